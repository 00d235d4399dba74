/**
 * The one place at which the engine tells a trace what happens (`compile/trace.ts`): calls, writes, data that comes from JavaScript, and what
 * belongs to the library's own state. While nobody traces, each of these is one comparison with null.
 */
import type { Node, Value } from '../graph/node.ts';
import type { Tensor } from './tensor.ts';

export interface TraceSink {
  /** Nothing is computed until the trace ends. */
  readonly holds: boolean;
  /** A call is being made of these. */
  inputs(inputs: readonly Tensor[]): void;
  submitted(node: Node): void;
  /** A tensor is about to be written in place. */
  writing(self: Tensor): void;
  /** `.grad` of a leaf is about to be looked at, to be given up, or to be set. */
  gradient(leaf: Tensor, how: 'read' | 'clear'): void;
  /** Backward goes through this edge. */
  backward(edge: { readonly sequence: number }): void;
  /** Numbers are wanted in JavaScript. */
  read(): void;
  /** JavaScript's numbers have become a tensor. */
  data(value: Value, bytes: Uint8Array): void;
  /** Random numbers have become a tensor, made by `make`. */
  draw(make: () => Tensor): Tensor;
  /** Numbers that are in memory are looked at, for an error only: `look` does so, at once and at each later call. */
  check(t: Tensor, look: (t: Tensor) => void): void;
  /** A number that is still to be computed says whether there is an error: not 0, then `error` of it. */
  condition(value: Value, error: (at: number) => Error): void;
  module(module: object): void;
  /** An optimizer's step begins; null: it has been recorded. */
  optimizer(optimizer: object | null): void;
  /** The next call is an update rule's, with numbers that the optimizer has worked out. */
  rule(call: object, numbers: readonly number[]): void;
  /** Does something to the library's own state, and will at each later call. */
  library(work: () => void): void;
  /** A number has decided something, which it decides the same way from `low` up to, but not including, `high`. */
  decided(value: number, low: number, high: number): void;
  /** A flush was asked for that would have computed all. */
  flush(): void;
  /** Nothing of this call can be prepared. */
  refuse(reason: string): void;
}

/** Who traces. */
export let sink: TraceSink | null = null;
export function setSink(next: TraceSink | null): void {
  sink = next;
}

/** Random numbers from the host: at each call of a compiled function they are drawn again. */
export const drawn = (make: () => Tensor): Tensor => (sink === null ? make() : sink.draw(make));

/** A change of the library's own state, which a compiled function makes at each call. */
export function libraryState(work: () => void): void {
  if (sink === null) work();
  else sink.library(work);
}

/**
 * Says that what follows depends on `value` in a way that is not linear, and stays as it is from `low` up to, but not including, `high`: a compiled
 * function whose number arguments change is not to go beyond.
 */
export function decides(value: number, low: number, high: number): void {
  if (sink !== null) sink.decided(value, low, high);
}

/** A look at numbers in memory that only an error may follow from. */
export function hostCheck(t: Tensor, look: (t: Tensor) => void): void {
  if (sink === null) look(t);
  else sink.check(t, look);
}
