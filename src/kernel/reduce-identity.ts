/** What a reduction starts from, shared by the reference interpreter and by lowering. */
import type { ReduceKind } from './ir.ts';
import type { ComputeType } from './scalar.ts';

/** Index of an argmax lane that has seen nothing: above every real index. */
export const noIndex = 2147483647;

/** The identity of a reduction over values of a type; argmax and argmin start from the worst value. */
export function reduceIdentity(kind: ReduceKind, type: ComputeType): number | bigint | boolean {
  const big = type === 'i64';
  switch (kind) {
    case 'sum':
      return big ? 0n : 0;
    case 'prod':
      return big ? 1n : 1;
    case 'any':
      return false;
    case 'all':
      return true;
    case 'max':
    case 'argmax':
      return big ? -(2n ** 63n) : type === 'i32' ? -(2 ** 31) : type === 'bool' ? false : -Infinity;
    case 'min':
    case 'argmin':
      return big ? 2n ** 63n - 1n : type === 'i32' ? 2 ** 31 - 1 : type === 'bool' ? true : Infinity;
    default:
      return kind satisfies never;
  }
}
