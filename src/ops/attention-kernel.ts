/**
 * Attention as a library function, for devices that have a kernel of their own for it (`limits.kernels`): scores are never in memory. Without gradients;
 * where one is wanted the body of `attention.ts` is used. The host's form here is the plain definition.
 */
import { decode, encodeInto } from '../dtype/codec.ts';
import type { HostArray, LibraryFunction } from '../graph/library.ts';
import { callLibrary, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';

export interface AttentionKernelConstants {
  readonly causal: boolean;
  readonly mask: 'none' | 'bool' | 'float';
  readonly scale: number;
}

/** q [b, h, m, d], k and v [b, h or fewer, n, d], mask [b, h, m, n] to [b, h, m, d]. */
export const attentionFunction: LibraryFunction<AttentionKernelConstants> = {
  name: 'scaled_dot_product_attention',
  run([q, k, v, mask], [out], { causal, mask: kind, scale }) {
    const [batch, heads, rows, width] = q.shape;
    const [, shared, keys] = k.shape;
    const value = (x: HostArray, at: number): number => Number(decode(x.dtype, x.data, at));
    for (let pair = 0; pair < batch * heads; pair++) {
      const other = Math.floor(pair / heads) * shared + Math.floor((pair % heads) / (heads / shared));
      for (let i = 0; i < rows; i++) {
        const scores = Array.from({ length: keys }, (_, j) => {
          if (causal && j > i) return Number.NEGATIVE_INFINITY;
          let sum = 0;
          for (let d = 0; d < width; d++) sum += value(q, (pair * rows + i) * width + d) * value(k, (other * keys + j) * width + d);
          if (kind === 'none') return sum * scale;
          const m = value(mask, (pair * rows + i) * keys + j);
          return kind === 'float' ? sum * scale + m : m === 0 ? Number.NEGATIVE_INFINITY : sum * scale;
        });
        const peak = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
        const weights = scores.map((s) => Math.exp(s - (peak === Number.NEGATIVE_INFINITY ? 0 : peak)));
        const total = weights.reduce((a, b) => a + b, 0);
        for (let d = 0; d < width; d++) {
          const sum = weights.reduce((s, w, j) => s + w * value(v, (other * keys + j) * width + d), 0);
          encodeInto(out.dtype, out.data, (pair * rows + i) * width + d, total === 0 ? 0 : sum / total);
        }
      }
    }
  },
};

/** With dims of size 1 put in front until there are four. */
const four = (x: Prim): Prim => (x.ndim >= 4 ? x : x.reshape([...new Array<Dim>(4 - x.ndim).fill(1), ...x.shape]));

export function attentionByKernel(q: Prim, k: Prim, v: Prim, mask: Prim | undefined, constants: AttentionKernelConstants): Prim {
  const [wide, keys, values] = [four(q), four(k), four(v)];
  const scores = [...wide.shape.slice(0, 3), keys.shape[2]];
  const srcs = [wide, keys, values, ...(mask === undefined ? [] : [mask.expand(scores)])];
  const [out] = callLibrary(attentionFunction, srcs, [{ shape: wide.shape, dtype: q.dtype }], constants);
  return out.reshape(q.shape);
}

/** Can the kernels take these shapes? Head sizes to 256; in float32 only few queries, as decoding has: else products are as fast. */
export function fitsKernel(q: readonly number[], k: readonly number[], v: readonly number[], dtype: string, groups: boolean): boolean {
  const width = q[q.length - 1];
  if (q.length > 4 || q.length !== k.length || q.length !== v.length || width % 8 !== 0 || width > 256 || v[v.length - 1] !== width)
    return false;
  if (q.some((d) => d === 0) || k.some((d) => d === 0)) return false;
  const sameLead = q.slice(0, -2).every((d, i) => (groups && i === q.length - 3) || (d === k[i] && d === v[i]));
  if (!sameLead || k.some((d, i) => d !== v[i])) return false;
  return dtype === 'bfloat16' || dtype === 'float16' || (dtype === 'float32' && q[q.length - 2] <= 16);
}
