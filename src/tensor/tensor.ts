/**
 * Tensor: the handle that users hold. A storage (a mutable cell over an immutable value), a view of it, and a tape.
 *
 * The class has state and the few things that are not operators; every operator is declared in `ops/` and becomes a method there
 * (`ops/methods.ts`), typed by the same table.
 */

import { modes } from '../autograd/modes.ts';
import { Edge, Tape, type Version } from '../autograd/tape.ts';
import type { DType } from '../dtype/dtype.ts';
import { type Position, Value } from '../graph/node.ts';
import { makeView, type View } from '../shape/view.ts';
import { spoilLesson } from '../util/lesson.ts';
import { sink } from './tracing.ts';

/** Bytes on a device; `value` is what they are now. */
export class Storage implements Version, Position {
  value: Value;
  count = 0;
  /** Scratch: the number of the last module call at whose return it was in reach (`scope.ts`). */
  reached = 0;
  /** The outermost module call during which it was made (0: none), the module path, and as the how manieth there. */
  madeIn = 0;
  place: Position['place'] = null;
  placeCount = 0;
  constructor(value: Value) {
    this.value = value;
    value.visible = true;
  }
  get device(): string {
    return this.value.device;
  }
  nbytes(): number {
    return this.value.size * this.value.dtype.itemsize;
  }
}

const brand = Symbol.for('torch-magpie.Tensor');

export class Tensor {
  storage: Storage;
  view_: View;
  offset: number;
  tape: Tape;
  version: Version;
  /** Made under inference_mode: never on a tape. */
  readonly inference: boolean;
  grad_: Tensor | null = null;
  /** The user has looked at `.grad` (so its memory may not be reused by zero_grad). */
  gradSeen = false;
  name: string | null = null;
  /** Of an output of an operator that returns several views (`multi-view.ts`): which it is, and PyTorch's name of the edge. */
  sibling: { readonly index: number; readonly edge: string } | null = null;

  constructor(storage: Storage, view: View, offset: number, tape: Tape, version: Version = storage) {
    this.storage = storage;
    this.view_ = view;
    this.offset = offset;
    this.tape = tape;
    this.version = version;
    this.inference = modes.inference;
  }

  get [brand](): true {
    return true;
  }
  /** By brand, so that two copies of the package get along. */
  static [Symbol.hasInstance](x: unknown): boolean {
    return typeof x === 'object' && x !== null && (x as { [brand]?: true })[brand] === true;
  }

  get shape(): number[] {
    return [...this.view_.shape];
  }
  get dtype(): DType {
    return this.view_.dtype;
  }
  get device(): string {
    return this.view_.device;
  }
  get ndim(): number {
    return this.view_.shape.length;
  }
  get requires_grad(): boolean {
    return this.tape.edge !== null;
  }
  set requires_grad(value: boolean) {
    this.requires_grad_(value);
  }
  get is_leaf(): boolean {
    return this.tape.edge === null || this.tape.edge.leaf === (this as Tensor);
  }
  get grad_fn(): Edge | null {
    const edge = this.tape.edge;
    return edge === null || edge.leaf === (this as Tensor) ? null : edge;
  }
  get output_nr(): number {
    return this.tape.output;
  }
  get grad(): Tensor | null {
    if (sink !== null) sink.gradient(this as Tensor, 'read');
    this.gradSeen = true;
    return this.grad_;
  }
  set grad(value: Tensor | null) {
    if (sink !== null) sink.gradient(this as Tensor, 'clear');
    this.grad_ = value ?? null;
    this.gradSeen = true;
  }
  get _version(): number {
    return this.version.count;
  }

  /** Starts (or ends) recording for a leaf. Shape and data are unchanged. */
  requires_grad_(requires_grad = true): this {
    spoilLesson();
    if (requires_grad === this.requires_grad) return this;
    if (!requires_grad) {
      if (!this.is_leaf)
        throw new Error(
          "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().",
        );
      this.tape = new Tape(null, 0, null);
      return this;
    }
    if (!this.dtype.is_floating_point && !this.dtype.is_complex)
      throw new Error('only Tensors of floating point and complex dtype can require gradients');
    if (this.inference && !modes.inference)
      throw new Error('Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.');
    this.tape = new Tape(Edge.of({ name: 'AccumulateGrad', outputs: [this.view_], leaf: this as Tensor }), 0, this.view_);
    return this;
  }
}

/** A tensor over memory that is already there (or will be written by the caller). */
export function tensorOf(value: Value, view: View): Tensor {
  spoilLesson();
  return new Tensor(new Storage(value), view, 0, new Tape(null, 0, null));
}

/** A value without a node: memory handed in. */
export const leafValue = (dtype: DType, size: number, device: string): Value => new Value(null, 0, dtype, size, device);

export const contiguousView = (dtype: DType, device: string, shape: readonly number[]): View => makeView(dtype, device, shape);
