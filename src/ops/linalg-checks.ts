/** What torch.linalg checks before it computes, in PyTorch's words, and the errors in data that `info` tells of. */
import { scalarTypeName } from '../dtype/promotion.ts';
import { broadcastShapes } from '../shape/view.ts';
import { engineOf } from '../tensor/devices.ts';
import { toTypedArray } from '../tensor/read.ts';
import { type Constants, constantsOf } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';

export const last = (x: Tensor): number => x.view_.shape[x.ndim - 1];
export const lastButOne = (x: Tensor): number => x.view_.shape[x.ndim - 2];
export const batchShape = (x: Tensor): readonly number[] => x.view_.shape.slice(0, -2);

export function requireMatrix(x: Tensor, name: string, argument = 'A'): void {
  if (x.ndim < 2) throw new Error(`${name}: The input tensor ${argument} must have at least 2 dimensions.`);
}
export function requireSquare(x: Tensor, name: string, argument = 'A'): void {
  requireMatrix(x, name, argument);
  if (lastButOne(x) !== last(x))
    throw new Error(`${name}: ${argument} must be batches of square matrices, but they are ${lastButOne(x)} by ${last(x)} matrices`);
}
const isFloating = (x: Tensor): boolean => x.dtype.is_floating_point || x.dtype.is_complex;
const isLow = (x: Tensor): boolean => x.dtype.is_floating_point && x.dtype.itemsize < 4;

/** float32, float64 and their complex twins; `kernel` names what refuses the small floats where that is not `name` itself. */
export function requireFloating(x: Tensor, name: string, kernel: string | null = null): void {
  if (!isFloating(x)) throw new Error(`${name}: Expected a floating point or complex tensor as input. Got ${scalarTypeName(x.dtype)}`);
  if (!isLow(x)) return;
  if (kernel === null) throw new Error(`${name}: Low precision dtypes not supported. Got ${scalarTypeName(x.dtype)}`);
  throw new Error(`"${kernel}" not implemented for '${scalarTypeName(x.dtype)}'`);
}
/** The same where only the kernel refuses. */
export function requireKernel(x: Tensor, kernel: string): void {
  if (!isFloating(x) || isLow(x)) throw new Error(`"${kernel}" not implemented for '${scalarTypeName(x.dtype)}'`);
}
export function requireSameDtype(a: Tensor, b: Tensor, name: string, first = 'A', second = 'B'): void {
  if (a.dtype !== b.dtype)
    throw new Error(
      `${name}: Expected ${first} and ${second} to have the same dtype, but found ${first} of type ${scalarTypeName(a.dtype)} and ${second} of type ${scalarTypeName(b.dtype)} instead`,
    );
}

/** A X = B or X A = B: dtypes and sizes; B has two dims at least. */
export function requireSystem(a: Tensor, b: Tensor, left: boolean, name: string): void {
  requireSameDtype(a, b, name);
  requireSquare(a, name);
  requireMatrix(b, name, 'B');
  requireCompatible(a, b.view_.shape, left, name);
}
export function requireCompatible(a: Tensor, b: readonly number[], left: boolean, name: string): void {
  const [rows, columns] = b.slice(-2);
  if ((left ? rows : columns) !== last(a))
    throw new Error(
      `${name}: Incompatible shapes of A and B for the equation ${left ? 'AX = B' : 'XA = B'} (${lastButOne(a)}x${last(a)} and ${rows}x${columns})`,
    );
}
/** Common batch dims. */
export function commonBatch(a: readonly number[], b: readonly number[]): readonly number[] {
  const common = broadcastShapes(a, b);
  if (common !== null) return common;
  const n = Math.max(a.length, b.length);
  for (let i = n - 1; ; i--) {
    const x = a[i - (n - a.length)] ?? 1;
    const y = b[i - (n - b.length)] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new Error(`The size of tensor a (${x}) must match the size of tensor b (${y}) at non-singleton dimension ${i}`);
  }
}

/**
 * Constants of a call that also say how large its matrices are: what is computed depends on which side is longer, so calls that differ in it are
 * different programs (batch sizes may still be symbols).
 */
export function sized<T>(key: string, matrix: Tensor, value: () => T): Constants {
  return constantsOf(`${key}:${lastButOne(matrix)}x${last(matrix)}`, value);
}

/** What a nonzero `info` of a function of this name means. */
function meaning(name: string, info: number): string {
  if (name.includes('inv'))
    return `The diagonal element ${info} is zero, the inversion could not be completed because the input matrix is singular.`;
  if (name.includes('solve')) return 'The solver failed because the input matrix is singular.';
  if (name.includes('cholesky'))
    return `The factorization could not be completed because the input is not positive-definite (the leading minor of order ${info} is not positive-definite).`;
  return `U[${info},${info}] is zero and using it on lu_solve would result in a division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)`;
}

/** Reads `info` (which waits for the device, where that is possible) and throws PyTorch's error for the first matrix that failed. */
export function throwFor(info: Tensor, name: string): void {
  const { backend } = engineOf(info.device);
  if (!backend.limits.canBlock || backend.name === 'null') return;
  const codes = toTypedArray(detached(info));
  for (let i = 0; i < codes.length; i++)
    if (Number(codes[i]) !== 0)
      throw new Error(`${name}: ${info.ndim === 0 ? '' : `(Batch element ${i}): `}${meaning(name, Number(codes[i]))}`);
}
