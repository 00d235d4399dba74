/**
 * The tape: where gradients flow.
 *
 * A `Tape` is shared by a tensor and its differentiable views; it names the edge that made the present contents. In-place writes replace the
 * edge, so every view sees the write's gradient; a write under `no_grad` or through `detach()` leaves it alone. An `Edge` is one recorded call:
 * what it saved, and for each input that needs a gradient the edge (and the view of its output) that the gradient goes to.
 */
import type { Signature, Value } from '../graph/node.ts';
import type { View } from '../shape/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { anomaly } from './modes.ts';

/** Something whose `count` grows with every in-place write: the storage, or a cell of its own for `.data`. */
export interface Version {
  count: number;
}

export class Tape {
  edge: Edge | null;
  /** Which of the edge's outputs the tape's memory is, and its layout there. */
  output: number;
  base: View | null;
  constructor(edge: Edge | null, output: number, base: View | null) {
    this.edge = edge;
    this.output = output;
    this.base = base;
  }
}

/** Where the gradient of one input goes: output `output` of `edge`, read through `view` at `offset` of the memory laid out as `base`. */
export interface EdgeTarget {
  readonly edge: Edge;
  readonly output: number;
  readonly base: View;
  readonly view: View;
  readonly offset: number;
}

export interface SavedValue {
  readonly value: Value;
  readonly view: View;
  readonly offset: number;
  /** Whose writes make it stale, and how many there had been; null: nobody's. */
  version: Version | null;
  count: number;
  /** The tape of the tensor that was saved: it names what made the present contents, for the error. */
  tape: Tape | null;
}

/** The gradients that a backward in progress has brought to an edge so far. */
export interface Arrivals {
  readonly edge: Edge;
  /** The number of that backward. */
  readonly walk: number;
  /** Those of the backward that this one runs inside of, if that has to do with the edge too. */
  readonly outer: Arrivals | null;
  /** For each output the first gradient, and where it was said to go. */
  readonly grads: (Tensor | null)[];
  readonly targets: (EdgeTarget | null)[];
  /** For each output that has got several: all of them, in order. */
  several: Map<number, { readonly grad: Tensor; readonly view: View; readonly offset: number }[]> | null;
}

export type GradientHook = (grad: Tensor) => Tensor | null | undefined;

/** The caller's frames: those outside of this package's core. */
function callSite(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 40;
  const frames = (new Error().stack ?? '').split('\n').slice(2);
  Error.stackTraceLimit = limit;
  const outside = frames.filter((f) => !/[\\/](autograd|tensor|ops)[\\/][\w-]+\.[jt]s/.test(f));
  return (outside.length > 0 ? outside : frames).join('\n');
}

let nextSequence = 1;
const none: readonly never[] = [];

export class Edge {
  readonly sequence: number = nextSequence++;
  /** PyTorch's name of it, as `grad_fn` shows it. */
  readonly name: string;
  readonly signature: Signature | null;
  readonly targets: readonly (EdgeTarget | null)[];
  readonly outputs: readonly View[];
  readonly params: readonly (number | bigint)[];
  saved: SavedValue[] | null;
  /** Of a leaf: the tensor whose `.grad` accumulates. */
  readonly leaf: Tensor | null;
  /** Of a leaf: its gradient's way when it is read as it is. */
  own: EdgeTarget | null = null;
  hooks: Map<number, GradientHook[]> | null = null;
  /** Tensors that asked to retain the gradient of an output. */
  retained: { readonly output: number; readonly tensor: Tensor }[] | null = null;
  /** A gradient written by the user (custom Function) instead of a derived one. */
  readonly custom: ((grads: readonly (Tensor | null)[]) => readonly (Tensor | null)[]) | null;

  /** Scratch of the backward in progress (`backward.ts`). */
  arrivals: Arrivals | null = null;

  /** Call stack of the forward call, in anomaly mode. */
  readonly origin: string | null = anomaly.enabled ? callSite() : null;

  constructor(
    name: string,
    outputs: readonly View[],
    signature: Signature | null = null,
    targets: readonly (EdgeTarget | null)[] = none,
    params: readonly (number | bigint)[] = none,
    saved: SavedValue[] | null = [],
    leaf: Tensor | null = null,
    custom: Edge['custom'] = null,
  ) {
    this.name = name;
    this.signature = signature;
    this.targets = targets;
    this.outputs = outputs;
    this.params = params;
    this.saved = saved;
    this.leaf = leaf;
    this.custom = custom;
  }
  /** An edge of none of the recorded calls. */
  static of(fields: {
    readonly name: string;
    readonly outputs: readonly View[];
    readonly targets?: readonly (EdgeTarget | null)[];
    readonly leaf?: Tensor;
    readonly custom?: Edge['custom'];
  }): Edge {
    const { name, outputs, targets = none, leaf = null, custom = null } = fields;
    return new Edge(name, outputs, null, targets, none, [], leaf, custom);
  }

  /** Lets go of what was saved; a second backward through it raises. */
  release(): void {
    // What saved nothing may be walked again, as in PyTorch.
    if (this.saved === null || this.saved.length === 0 || this.leaf !== null) return;
    for (const s of this.saved) s.value.savedBy--;
    this.saved = null;
  }
}
