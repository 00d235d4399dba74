/**
 * What a compiled function does at a call, as data: one program, where each of its inputs comes from, and where its results go.
 *
 * Everything that was there before the call is a *reference*: an argument by its place, the gradient of a leaf, or a cell (storage, tape, version)
 * that is held. Everything that a call makes is numbered. Values that change with number arguments (`numbers.ts`) are kept apart from the rest,
 * which has a fingerprint: two traces with equal fingerprints and keys differ in numbers only.
 */
import type { Tape, Version } from '../autograd/tape.ts';
import type { DType } from '../dtype/dtype.ts';
import type { Signature, Value } from '../graph/node.ts';
import type { Program } from '../schedule/program.ts';
import type { View } from '../shape/view.ts';
import type { Engine } from '../tensor/engine.ts';
import type { Storage, Tensor } from '../tensor/tensor.ts';
import type { Fields, TraceEvent } from './trace.ts';

/** A leaf tensor: an argument by its place, or one that is held. */
export type LeafRef = number | Tensor;
/** A storage. `new`: made by the call. */
export type CellRef =
  | { readonly kind: 'argument'; readonly at: number }
  | { readonly kind: 'held'; readonly storage: Storage }
  | { readonly kind: 'gradient'; readonly of: LeafRef }
  | { readonly kind: 'new'; readonly at: number };
/** Where an input of the program comes from. `draw`: from the event of this number. */
export type Source = CellRef | { readonly kind: 'data'; readonly at: number } | { readonly kind: 'draw'; readonly event: number };
export type TapeRef =
  | { readonly kind: 'none' }
  | { readonly kind: 'argument'; readonly at: number }
  | { readonly kind: 'held'; readonly tape: Tape }
  | { readonly kind: 'new'; readonly at: number };
export type VersionRef =
  | { readonly kind: 'cell'; readonly cell: CellRef }
  | { readonly kind: 'argument'; readonly at: number }
  | { readonly kind: 'held'; readonly version: Version }
  | { readonly kind: 'new'; readonly at: number };
/** A value: output of the program, or one of its inputs. */
export type ValueRef = { readonly output: number } | { readonly external: number };

export interface NewTape {
  readonly edge: number;
  readonly output: number;
  readonly base: View | null;
}
export interface NewCell {
  readonly from: ValueRef;
  readonly count: number;
}
export interface TensorTemplate {
  readonly cell: CellRef;
  readonly view: View;
  /** Place of the offset among the extra numbers. */
  readonly offset: number;
  readonly tape: TapeRef;
  /** Null: the storage's. */
  readonly version: VersionRef | null;
  readonly sibling: Tensor['sibling'];
}
/** What is returned. */
export type ResultForm =
  | { readonly kind: 'tensor'; readonly at: number }
  | { readonly kind: 'argument'; readonly at: number }
  | { readonly kind: 'reached'; readonly path: readonly (string | number)[] }
  | { readonly kind: 'number'; readonly at: number }
  | { readonly kind: 'same'; readonly value: unknown }
  | {
      readonly kind: 'array';
      readonly items: readonly ResultForm[];
      readonly named: readonly { readonly name: string; readonly at: number }[];
    }
  | { readonly kind: 'object'; readonly prototype: object | null; readonly keys: readonly string[]; readonly items: readonly ResultForm[] }
  | { readonly kind: 'map'; readonly keys: readonly unknown[]; readonly items: readonly ResultForm[] };

export interface EdgeTarget {
  /** An edge of this call, or (-1) what a tape from outside says now. */
  readonly edge: number;
  readonly tape: TapeRef | null;
  readonly output: number;
  readonly base: View;
  readonly view: View;
  readonly offset: number;
}
export interface EdgeTemplate {
  readonly name: string;
  readonly signature: Signature | null;
  readonly outputs: readonly View[];
  /** Slot of the first of its params among the scalars and their number; else the params themselves. */
  readonly params: { readonly first: number; readonly count: number } | readonly (number | bigint)[];
  readonly targets: readonly (EdgeTarget | null)[];
  /** Null: backward has been through it. */
  readonly saved: readonly SavedTemplate[] | null;
}
export interface SavedTemplate {
  readonly value: ValueRef;
  readonly view: View;
  readonly offset: number;
  readonly version: VersionRef | null;
  /** How many writes came after it was saved. */
  readonly behind: number;
}

export interface GradientAfter {
  readonly leaf: LeafRef;
  /** Among the tensors; null: none. */
  readonly tensor: number | null;
  readonly seen: boolean;
}
/** What a leaf's gradient has to be before the call. */
export interface GradientBefore {
  readonly leaf: LeafRef;
  readonly view: View | null;
  readonly offset: number;
}
export interface CheckTemplate {
  readonly external: number;
  readonly view: View;
  readonly offset: number;
  readonly look: (t: Tensor) => void;
}
export interface OutputTemplate {
  readonly dtype: DType;
  readonly size: number;
}

/** The program that looks at indices that are computed inside, before the other one writes anything. */
export interface Prelude {
  readonly program: Program;
  readonly symbols: Int32Array;
  /** Where its numbers and scalars begin among all. */
  readonly firstNumber: number;
  readonly firstScalar: number;
  /** Its inputs, among the plan's. */
  readonly inputs: readonly number[];
  readonly errors: readonly { readonly output: number; readonly error: (code: number) => Error }[];
}

/** Numbers that may follow from number arguments. */
export interface Varying {
  readonly numbers: Int32Array;
  readonly scalars: readonly (number | bigint)[];
  /** Offsets of tensors and checks, numbers that are returned. */
  readonly extra: readonly number[];
  /** Data from JavaScript; null where it is too much to follow. */
  readonly data: readonly (Uint8Array | null)[];
}

export interface Plan {
  readonly engine: Engine;
  readonly device: string;
  readonly fingerprint: string;
  readonly key: Int32Array;
  readonly varying: Varying;
  readonly program: Program;
  readonly symbols: Int32Array;
  readonly prelude: Prelude | null;
  readonly sources: readonly Source[];
  readonly outputs: readonly OutputTemplate[];
  /** For each output the input whose memory it may take over; -1: none. */
  readonly donors: readonly number[];
  /** Inputs that are made of JavaScript's data: the value that stays, and whether a result shows it. */
  readonly data: readonly { readonly value: Value; readonly shown: boolean }[];
  readonly cells: readonly NewCell[];
  readonly writes: readonly { readonly cell: CellRef; readonly output: number }[];
  readonly counts: readonly { readonly version: VersionRef; readonly by: number }[];
  readonly edges: readonly EdgeTemplate[];
  /** Oldest first. */
  readonly edgeOrder: readonly number[];
  readonly tapes: readonly NewTape[];
  readonly tapeWrites: readonly { readonly tape: TapeRef; readonly to: NewTape | null }[];
  readonly versions: readonly number[];
  readonly tensors: readonly TensorTemplate[];
  readonly gradients: readonly GradientAfter[];
  readonly gradientsBefore: readonly GradientBefore[];
  readonly checks: readonly CheckTemplate[];
  readonly result: ResultForm;
  readonly events: readonly TraceEvent[];
  readonly modules: ReadonlyMap<object, Fields>;
  /** Numbers (among the extra ones) on which something was decided: it holds from `low` up to, but not including, `high`. */
  readonly ranges: readonly { readonly at: number; readonly low: number; readonly high: number }[];
  /** Slots of scalars that an optimizer's rules say, by event and rule. */
  readonly rules: readonly { readonly event: number; readonly at: number; readonly first: number; readonly count: number }[];
  /** Held tapes that results go on from, as they have to be. */
  readonly heldTapes: readonly { readonly tape: Tape; readonly onTape: boolean; readonly output: number; readonly base: View | null }[];
  /** Storages that no argument may share: all that are held, where an argument is written; else those that are written. */
  readonly exclusive: readonly Storage[];
  /** Arguments that have to be this storage, because a module has it too. */
  readonly required: readonly { readonly at: number; readonly storage: Storage }[];
}
