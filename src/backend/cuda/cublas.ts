/**
 * Products through cuBLAS, where it is found: `cublasGemmStridedBatchedEx`, which picks cuBLASLt's kernels by shape and type.
 *
 * cuBLAS is column-major: C = A B by rows is C' = B' A' by columns, so operands change places. Sums are in float32 (in float64 for float64)
 * and rounded once: reductions in the narrow type are switched off, TF32 follows PyTorch's switch. One stream and a workspace of fixed
 * address and size, so that results repeat and calls can be recorded into graphs.
 */

import type { DTypeName } from '../../dtype/dtype.ts';
import { flags } from '../../util/flags.ts';
import type { Driver } from './driver.ts';
import { openLibrary, requireKoffi } from './libraries.ts';
import { matmulSettings } from './settings.ts';

/** A product in cuBLAS's terms, without addresses. */
export interface Gemm {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly a: { readonly transposed: boolean; readonly ld: number; readonly stride: number; readonly dtype: DTypeName };
  readonly b: { readonly transposed: boolean; readonly ld: number; readonly stride: number; readonly dtype: DTypeName };
  readonly c: { readonly ld: number; readonly stride: number; readonly dtype: DTypeName };
}

export interface Cublas {
  readonly path: string;
  /** Status; 0 is success. */
  run(gemm: Gemm, a: number, b: number, c: number): number;
}

const dataTypes: Partial<Record<DTypeName, number>> = { float32: 0, float64: 1, float16: 2, bfloat16: 14 };
const compute = { float32: 68, float64: 70, fastTf32: 77 } as const;
const noReducedPrecision = 16; // CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION
const defaultAlgorithm = -1;
export const cublasWorkspaceBytes: number = 32 * 2 ** 20;

/** Does cuBLAS have this combination of types? */
export function supportsTypes(a: DTypeName, b: DTypeName, c: DTypeName): boolean {
  if (a !== b || dataTypes[a] === undefined) return false;
  return c === a || (c === 'float32' && (a === 'bfloat16' || a === 'float16'));
}

/**
 * One operand's layout: `rows` x `columns` with these strides, row-major with leading dimension `ld`, or the transpose of such a matrix.
 * Null where neither stride is 1.
 */
export function layoutOf(rows: number, columns: number, row: number, column: number): { transposed: boolean; ld: number } | null {
  if ((column === 1 || columns === 1) && (rows === 1 || row >= Math.max(1, columns)))
    return { transposed: false, ld: rows === 1 ? Math.max(1, columns) : row };
  if ((row === 1 || rows === 1) && (columns === 1 || column >= Math.max(1, rows)))
    return { transposed: true, ld: columns === 1 ? Math.max(1, rows) : column };
  return null;
}

/** cuBLAS for a device, or null where it is not installed (or MAGPIE_CUBLAS=0). */
export function openCublas(driver: Driver, takeWorkspace: (bytes: number) => number): Cublas | null {
  if (!flags.cublas) return null;
  // It needs libcublasLt, which lies beside it: loaded first, so that it is found whatever the search path is.
  openLibrary('libcublasLt', ['libcublasLt.so.13', 'libcublasLt.so.12']);
  const found = openLibrary('libcublas', ['libcublas.so.13', 'libcublas.so.12']);
  if ('reason' in found) return null;
  const koffi = requireKoffi();
  const handle = 'uintptr_t';
  const func = (name: string, ...args: unknown[]) => found.library.func(name, 'int', args as never[]);
  const create = func('cublasCreate_v2', koffi.out(koffi.pointer(handle)));
  const setStream = func('cublasSetStream_v2', handle, handle);
  const setWorkspace = func('cublasSetWorkspace_v2', handle, handle, 'size_t');
  const setMathMode = func('cublasSetMathMode', handle, 'int');
  const gemm = func(
    'cublasGemmStridedBatchedEx',
    handle,
    ...['int', 'int', 'int', 'int', 'int', handle],
    ...[handle, 'int', 'int', 'int64_t'],
    ...[handle, 'int', 'int', 'int64_t', handle],
    ...[handle, 'int', 'int', 'int64_t'],
    ...['int', 'int', 'int'],
  );
  const made = [0];
  driver.enter();
  if (create(made) !== 0) return null;
  const context = Number(made[0]);
  const check = (code: number, what: string): void => {
    if (code !== 0) throw new Error(`internal: ${what} failed with code ${code}`);
  };
  check(setStream(context, driver.stream), 'cublasSetStream');
  check(setWorkspace(context, takeWorkspace(cublasWorkspaceBytes), cublasWorkspaceBytes), 'cublasSetWorkspace');
  check(setMathMode(context, noReducedPrecision), 'cublasSetMathMode');
  // alpha and beta, in both precisions.
  const numbers = driver.hostMemory(32);
  const floats = new Float32Array(numbers.bytes.buffer, numbers.bytes.byteOffset, 8);
  floats[0] = 1;
  floats[1] = 0;
  new Float64Array(numbers.bytes.buffer, numbers.bytes.byteOffset + 8, 2).set([1, 0]);
  return {
    path: found.path,
    run({ m, n, k, batch, a, b, c }, aAddress, bAddress, cAddress) {
      const double = c.dtype === 'float64';
      const type = double ? compute.float64 : a.dtype === 'float32' && matmulSettings.allowTf32 ? compute.fastTf32 : compute.float32;
      const one = numbers.address + (double ? 8 : 0);
      const zero = numbers.address + (double ? 16 : 4);
      driver.enter();
      return gemm(
        context,
        ...[b.transposed ? 1 : 0, a.transposed ? 1 : 0, n, m, k, one],
        ...[bAddress, dataTypes[b.dtype]!, b.ld, b.stride],
        ...[aAddress, dataTypes[a.dtype]!, a.ld, a.stride, zero],
        ...[cAddress, dataTypes[c.dtype]!, c.ld, c.stride],
        ...[batch, type, defaultAlgorithm],
      );
    },
  };
}
