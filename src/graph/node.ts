/**
 * The value graph: what an operator call leaves behind. One `Node` a call, one `Value` a result, both immutable but for bookkeeping.
 *
 * A `Signature` is everything about a call that does not change from step to step (operator, input views, constants, dims, which inputs
 * need a gradient); calls look it up and share it. A `Value` is flat memory: `size` elements of `dtype`, written by its node in the layout
 * `signature.outs[index]`, read by others through views of their own.
 */
import type { DType } from '../dtype/dtype.ts';
import type { View } from '../shape/view.ts';
import type { GradientPlan, Operator, Saved } from './operator.ts';

/** Device memory. Who holds it keeps the memory alive; the allocator learns of its death through a weak reference or `release`. */
export interface Buffer {
  readonly bytes: number;
  readonly device: string;
}

export interface Signature {
  readonly id: number;
  readonly operator: Operator;
  readonly inputs: readonly View[];
  readonly constants: unknown;
  /** Integers of the call that may become symbols. */
  readonly dims: readonly number[];
  readonly needs: readonly boolean[] | null;
  readonly device: string;
  /** Layouts of the outputs, then of the hidden outputs. */
  readonly outs: readonly View[];
  /** Bytes of all of them. */
  readonly bytes: number;
  readonly visible: number;
  readonly saved: readonly Saved[];
  readonly wrt: readonly number[];
  /** What is not the same question at each call: asked once, here. */
  readonly edge: EdgePlan;
  /** Equal for signatures that differ only in sizes, strides and dims: the structural part of a program's key. */
  readonly pattern: number;
  /** All sizes, strides and dims, in the fixed order that `schedule/symbols.ts` reads. */
  readonly numbers: Int32Array;
  /** Of a sequence of calls that is recorded as one: what it consists of. */
  readonly sequence: CallSequence | null;
}

/** Several calls recorded as one (`sequence.ts`): a backward that has been seen before. */
export interface CallSequence {
  readonly calls: readonly SequencedCall[];
  /** For each input of the whole where its offset stands among the signature's numbers, which hold those of every call with its offsets. */
  readonly offsetsAt: Int32Array;
}
export interface SequencedCall {
  readonly signature: Signature;
  /** Where each input comes from: result `index` of an earlier call, or (`call` -1) input `index` of the whole. */
  readonly srcs: readonly { readonly call: number; readonly index: number }[];
  /** For each output its number among those of the whole; -1: a temporary. */
  readonly outs: readonly number[];
  /** Which of the node's lists of params is the call's; -1: it has none. */
  readonly params: number;
}

/** How calls of a signature go on the tape. */
export interface EdgePlan {
  /** PyTorch's name of the edge. */
  readonly name: string;
  /** For each input whether it gets a gradient. */
  readonly takes: readonly boolean[];
  /** What an edge holds for backward: `saved` without the gradients, which come later. */
  readonly kept: readonly Saved[];
  /** For each output whether it can have a gradient at all. */
  readonly tracked: readonly boolean[];
  /** A write into a result is an error in backward, as in PyTorch. */
  readonly watched: boolean;
  /** `needs` as a bit mask, -1 for all of many. */
  readonly mask: number;
  /** Gradients of the call by which of its outputs have got one (a bit mask; a text where the bits do not suffice): filled in as they are asked for. */
  readonly gradients: Map<number | string, GradientCall>;
}
/** What a call's gradient is recorded with: the plan, for each of its inputs the place among what the edge kept (-1: a gradient), and the dims. */
export interface GradientCall {
  readonly plan: GradientPlan;
  readonly at: readonly number[];
  readonly dims: readonly number[];
}

/** Where in the modules a value was made: the n-th result at a module path. */
export interface Position {
  readonly place: { readonly path: string } | null;
  readonly placeCount: number;
}
export const positionText = ({ place, placeCount }: Position): string => `${place?.path ?? ''}#${placeCount}`;

export class Value {
  readonly node: Node | null;
  readonly index: number;
  readonly dtype: DType;
  readonly size: number;
  readonly device: string;
  buffer: Buffer | null = null;
  /** A user's handle may still see it: it must be stored by the flush that computes it. */
  visible = false;
  /** Seen inside a module's forward only: may be recomputed, is not stored. Null or the place it was made, for the error. */
  presumedDead: Position | null = null;
  /** `torch.keep` was called for it: never presumed dead. */
  kept = false;
  /** Edges of the tape that hold it for backward. */
  savedBy = 0;
  /** Scratch of the walk in progress (`schedule/capture.ts`): position + 1 in the program being captured. */
  mark = 0;
  constructor(node: Node | null, index: number, dtype: DType, size: number, device: string) {
    this.node = node;
    this.index = index;
    this.dtype = dtype;
    this.size = size;
    this.device = device;
  }
}

let nextSequence = 1;

export class Node {
  readonly signature: Signature;
  /** Sources, or null once the results are in memory and nothing can ask for recomputation. */
  srcs: readonly Value[] | null;
  readonly offsets: readonly number[];
  readonly params: readonly (number | bigint)[];
  /** Of a sequence: the params of its calls that have some. */
  paramLists: readonly (readonly (number | bigint)[])[] | null = null;
  readonly outs: Value[];
  /** For each output the value whose memory it may take over (an in-place write), if nothing else needs it. */
  donors: readonly Value[] | null;
  /** Where the call was made, for errors in data: operator and module path. */
  readonly place: string;
  pending = true;
  /** Scratch of the walk in progress (`tensor/engine.ts`): the number of the walk that has seen it. */
  walk = 0;
  /** Order of the calls. */
  readonly sequence: number = nextSequence++;
  constructor(
    signature: Signature,
    srcs: readonly Value[],
    offsets: readonly number[],
    params: readonly (number | bigint)[],
    donors: readonly Value[] | null,
    place: string,
  ) {
    this.signature = signature;
    this.outs = new Array<Value>(signature.outs.length);
    this.srcs = srcs;
    this.offsets = offsets;
    this.params = params;
    this.donors = donors;
    this.place = place;
  }
}
