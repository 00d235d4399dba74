/**
 * Operators made of other operators: `use('sum', x, [1])` calls the table's `sum` from inside a declaration.
 *
 * The names are looked up when the call is made, and the types are loose on purpose: the precise ones come from the declarations themselves,
 * which may not depend on them. Functions of other namespaces go by their path (`linalg.qr`, `nn.functional.relu`).
 */
import type { Tensor } from '../tensor/tensor.ts';

const table = new Map<string, (...args: unknown[]) => unknown>();

/** Called for each operator as it is installed. */
export function provide(name: string, f: (...args: unknown[]) => unknown): void {
  table.set(name, f);
}

/** Calls an operator of the table; `T` is what it returns (one tensor by default). */
export function use<T = Tensor>(name: string, ...args: unknown[]): T {
  const f = table.get(name);
  if (f === undefined) throw new Error(`internal: there is no operator ${name}`);
  return f(...args) as T;
}
