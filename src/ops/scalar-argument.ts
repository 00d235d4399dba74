/**
 * Numbers as operands. A JS number has no kind: a safe integer other than -0 is PyTorch's int scalar, any other number a float scalar, a bigint
 * an int, a boolean a bool, `{ re, im }` a complex scalar; `torch.scalar(1, torch.float32)` says which one is meant.
 */
import type { Complex } from '../dtype/codec.ts';
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

export type ScalarArgument = number | bigint | boolean | ScalarBox | Complex;

/** A complex number: an object of `re` and `im` and nothing else. */
export const isComplexScalar = (x: unknown): x is Complex =>
  typeof x === 'object' &&
  x !== null &&
  typeof (x as Partial<Complex>).re === 'number' &&
  typeof (x as Partial<Complex>).im === 'number' &&
  Object.keys(x).length === 2;

export const isScalar = (x: unknown): x is ScalarArgument =>
  typeof x === 'number' || typeof x === 'bigint' || typeof x === 'boolean' || x instanceof ScalarBox || isComplexScalar(x);

export function scalarKind(x: ScalarArgument): ScalarKind {
  if (typeof x === 'boolean') return 'bool';
  if (typeof x === 'bigint') return 'int';
  if (x instanceof ScalarBox) return x.dtype.kind;
  if (typeof x === 'object') return 'complex';
  return Number.isSafeInteger(x) && !Object.is(x, -0) ? 'int' : 'float';
}

/** The plain number (bigint stays: int64 operands are exact); of a complex one with an imaginary part, PyTorch's error. */
export function scalarValue(x: ScalarArgument, what = 'double'): number | bigint {
  if (typeof x === 'boolean') return x ? 1 : 0;
  if (x instanceof ScalarBox) return x.value;
  if (typeof x !== 'object') return x;
  if (x.im !== 0) throw new Error(`value cannot be converted to type ${what} without overflow`);
  return x.re;
}

/** The same as a complex number. */
export function complexValue(x: ScalarArgument): Complex {
  return isComplexScalar(x) ? x : { re: Number(scalarValue(x)), im: 0 };
}
