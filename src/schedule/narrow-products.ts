/**
 * Products of widened operands: where both operands of a float32 product are bfloat16 (or float16) numbers cast to float32, perhaps seen through
 * views, the product reads the narrow numbers themselves. Widening is exact and products are summed in float32 either way, so no bit changes;
 * but nothing is written out wide, half as much is read, and devices with units for narrow products use them. Where such a product is only cast back,
 * it is rounded as it is stored.
 */
import { bfloat16, float16, float32 } from '../dtype/dtype.ts';
import { Prim } from '../graph/prim.ts';

/** The same view of what was cast, or null. */
function narrowed(operand: Prim): Prim | null {
  const { body } = operand;
  if (body.op === 'cast') {
    const [src] = body.srcs;
    return operand.dtype === float32 && (src.dtype === bfloat16 || src.dtype === float16) ? src : null;
  }
  if (body.op !== 'view') return null;
  const src = narrowed(body.srcs[0]);
  return src === null ? null : new Prim({ ...body, srcs: [src] }, operand.shape, src.dtype);
}

/** The operands that the product of these reads. */
export function narrowOperands(operands: readonly Prim[]): readonly Prim[] {
  const found = operands.map(narrowed);
  const [a, b] = found;
  return found.length === 2 && a && b && a.dtype === b.dtype ? [a, b] : operands;
}

const isNarrow = (p: Prim): boolean => p.dtype === bfloat16 || p.dtype === float16;

/**
 * What a cast computes whose source is a product of narrow numbers that nobody else reads: the product itself, in the type of the cast; else null.
 * `usedOnce` is asked about the program as it was traced, `shared` is what became of a primitive.
 */
export function narrowResult(cast: Prim, usedOnce: (p: Prim) => boolean, shared: (p: Prim) => Prim): Prim | null {
  if (cast.body.op !== 'cast' || !isNarrow(cast)) return null;
  const visit = (traced: Prim): Prim | null => {
    if (!usedOnce(traced)) return null;
    const now = shared(traced);
    const { body } = now;
    if (body.op === 'dot' && now.dtype === float32 && body.srcs.every((s) => s.dtype === cast.dtype))
      return new Prim(body, now.shape, cast.dtype);
    if (body.op !== 'view' || traced.body.op !== 'view') return null;
    const src = visit(traced.body.srcs[0]);
    return src === null ? null : new Prim({ ...body, srcs: [src] }, now.shape, cast.dtype);
  };
  return visit(cast.body.srcs[0]);
}
