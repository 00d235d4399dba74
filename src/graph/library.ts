/**
 * Library functions: results that no composition of the other primitives gives at a reasonable cost (sorting, factorizations, transforms, series
 * that run until they converge). A function has a host implementation over dense row-major arrays, which every device whose memory the host
 * can see runs between its kernels; a device may have a kernel of its own for it, found by name.
 */
import type { StorageArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import type { Prim } from './prim.ts';

/** Dense, row-major. Complex numbers are interleaved (re, im); float16, bfloat16 and fp8 are their bits, as in `dtype/codec.ts`. */
export interface HostArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: StorageArray;
}

export interface LibraryFunction<C = unknown> {
  readonly name: string;
  /** Gradients of the sources (null: none). Without it, the operator that calls the function has a gradient of its own, or none. */
  readonly vjp?: (
    grads: readonly (Prim | null)[],
    srcs: readonly Prim[],
    results: readonly Prim[],
    constants: C,
  ) => readonly (Prim | null)[];
  /** Fills every output. May throw: an error in the data, with PyTorch's text; it reaches the user at the flush. */
  readonly run: (inputs: readonly HostArray[], outputs: readonly HostArray[], constants: C) => void;
}
