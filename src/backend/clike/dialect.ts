/**
 * What differs between the languages that `render.ts` writes: names of types and how lanes talk to each other. Data and short texts only.
 *
 * A vector register is a scalar of each thread, sixteen threads next to one another are its lanes; they are called a *team* here. The names
 * that a dialect's `head` must define for the body: `L` (this thread's lane), `item` (the number of the piece of the grid), `A` (argument
 * words), `S` (scratch memory of the team), and the functions of `prelude`.
 */
import type { ElementName, RegisterType } from '../../kernel/vector-ir.ts';

export interface Dialect {
  readonly name: string;
  readonly types: Readonly<Record<RegisterType, string>>;
  /** How an element lies in memory. */
  readonly memoryTypes: Readonly<Record<ElementName, string>>;
  /** Functions that bodies call; the same for all kernels. */
  readonly prelude: string;
  /** Opens the kernel up to its first statement for one piece of the grid; `locals`: bytes of scratch memory of a team. */
  head(name: string, begin: string, end: string, locals: number): string;
  readonly tail: string;
  /** The same for a kernel whose items are each shared by the teams of a block (`G` of `GS`); `slots`: bytes for cells. See `folds.ts`. */
  blockHead(name: string, begin: string, end: string, locals: number, slots: number): string;
  readonly blockTail: string;
  /** The same for a kernel that computes the cells of free folds ahead: item `blockIdx.y`, all teams of the grid's row. */
  aheadHead(name: string, begin: string, end: string, locals: number, slots: number): string;
  readonly aheadTail: string;
  /** A barrier for all teams that share an item. */
  readonly barrier: string;
  /** A load that may be moved across stores: nothing writes that memory while the kernel runs. */
  constantLoad(type: string, address: string): string;
  swap(value: string, distance: number): string;
  first(value: string): string;
  test(kind: 'any' | 'all', mask: string): string;
  /** Memory accesses of the team's threads before this come before those after it. */
  readonly order: string;
  /** True in one lane for each distinct index among the active ones: the last. The whole team calls it. */
  lastOfEqual(active: string, indices: string): string;
  readonly unroll: (times: number) => string;
}
