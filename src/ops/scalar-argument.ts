/**
 * Numbers as operands. A JS number has no kind: a safe integer other than -0 is PyTorch's int scalar, any other number a float scalar, a bigint
 * an int, a boolean a bool; `torch.scalar(1, torch.float32)` says which one is meant.
 */
import type { DType } from '../dtype/dtype.ts';
import type { ScalarKind } from '../dtype/promotion.ts';

export class ScalarBox {
  readonly value: number;
  readonly dtype: DType;
  constructor(value: number, dtype: DType) {
    this.value = value;
    this.dtype = dtype;
  }
}

/** A number that counts as a scalar of this dtype's kind whatever its value: `x.mul(torch.scalar(2, torch.float32))` is a float multiply. */
export const scalar = (value: number, dtype: DType): ScalarBox => new ScalarBox(value, dtype);

export type ScalarArgument = number | bigint | boolean | ScalarBox;

export const isScalar = (x: unknown): x is ScalarArgument =>
  typeof x === 'number' || typeof x === 'bigint' || typeof x === 'boolean' || x instanceof ScalarBox;

export function scalarKind(x: ScalarArgument): ScalarKind {
  if (typeof x === 'boolean') return 'bool';
  if (typeof x === 'bigint') return 'int';
  if (x instanceof ScalarBox) return x.dtype.kind;
  return Number.isSafeInteger(x) && !Object.is(x, -0) ? 'int' : 'float';
}

/** The plain number (bigint stays: int64 operands are exact). */
export function scalarValue(x: ScalarArgument): number | bigint {
  if (typeof x === 'boolean') return x ? 1 : 0;
  return x instanceof ScalarBox ? x.value : x;
}
