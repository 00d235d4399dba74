/**
 * The matrix product of the native `cpu` device: C[b, m, n] = A[b, m, k] x B[b, k, n] in emitted AVX-512 or AVX2.
 *
 *   const plan = planMatmul({ ... });                        pure: phases, workspace, argument words
 *   const code = matmulKernels(isa, types);                  machine code for all shapes and strides, generated once
 *   writeMatmulArgs(plan, block, { a, b, c, workspace });    then each phase is a stage of the pool: code[phase.kernel] over phase.count
 *
 * Numbers: an element is a chain of fused multiply-adds over each block of `depthBlock` k, from 0; blocks are added in order; narrower
 * results are rounded once, at the end. Instruction set, tiling, threads, strides and packing do not show.
 *
 * The packed panels and the register tile follow Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
 */

import type { Isa } from './assembler.ts';
import { emitCompute } from './matmul-compute.ts';
import type { MatmulTypes } from './matmul-layout.ts';
import { emitPackB } from './matmul-pack.ts';

export { depthBlock, type MatmulDtype, type MatmulTypes, word as matmulWord } from './matmul-layout.ts';
export {
  type MatmulAddresses,
  type MatmulPhase,
  type MatmulPlan,
  type MatmulRequest,
  packedBytes,
  planMatmul,
  writeMatmulArgs,
} from './matmul-plan.ts';

/** Position-independent code, `void kernel(u64* args, i64 begin, i64 end, u64 scratch)`; place it at a multiple of 64. */
export type MatmulKernels = { readonly packB: Uint8Array; readonly compute: Uint8Array };

const known = new Map<string, MatmulKernels>();

export function matmulKernels(isa: Isa, types: MatmulTypes): MatmulKernels {
  const key = `${isa} ${types.a} ${types.b} ${types.c}`;
  let kernels = known.get(key);
  if (kernels === undefined) {
    kernels = { packB: emitPackB(isa, types), compute: emitCompute(isa, types) };
    known.set(key, kernels);
  }
  return kernels;
}
