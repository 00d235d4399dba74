/**
 * Attention of long sequences: block after block of queries, so that only one block's scores are in memory at a time and memory grows with the
 * length, not with its square. The backward computes each block's weights again from its rows' peak and total.
 *
 * The blocks are ordinary products and row kernels of one program, held apart by `after`; their numbers are those of the undivided form.
 */
import type { DType } from '../dtype/dtype.ts';
import { cat, constant, full, iota, type Prim } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import { toNumber } from '../shape/dim.ts';
import { matmulPrims } from './matmul.ts';

export interface BlockOptions {
  /** Queries a block. */
  readonly rows: number;
  readonly causal: boolean;
  readonly mask: 'none' | 'bool' | 'float';
  readonly compute: DType;
}

/** Queries a block for scores of so many bytes, or 0 where they need no blocks. */
export function blockRows(batch: number, queries: number, keys: number, itemsize: number, mostBytes: number): number {
  const row = batch * keys * itemsize;
  if (queries * row <= 4 * mostBytes || queries < 32) return 0;
  return Math.min(queries, Math.max(16, 16 * Math.floor(mostBytes / row / 16)));
}

interface Block {
  readonly start: number;
  readonly length: number;
}
function blocksOf(q: Prim, rows: number): Block[] {
  const length = toNumber(q.shape[q.ndim - 2], 'the number of queries');
  const out: Block[] = [];
  for (let start = 0; start < length; start += rows) out.push({ start, length: Math.min(rows, length - start) });
  return out;
}
const rowsOf = (x: Prim, { start, length }: Block): Prim => x.slice(x.ndim - 2, start, length);

/** The block's masked scores; rows of the mask that are the same for all queries stay as they are. */
function scoresOf(q: Prim, k: Prim, scale: Prim, mask: Prim | undefined, block: Block, o: BlockOptions): Prim {
  let s = matmulPrims(q, k.mT).cast(o.compute).mul(scale);
  const n = s.ndim;
  const low = constant(Number.NEGATIVE_INFINITY, s.dtype);
  if (o.causal)
    s = iota(s.shape, n - 1)
      .le(iota(s.shape, n - 2).add(block.start))
      .where(s, low);
  if (mask !== undefined) {
    const own = mask.ndim >= 2 && mask.shape[mask.ndim - 2] !== 1 ? rowsOf(mask, block) : mask;
    s = o.mask === 'bool' ? own.expand(s.shape).where(s, low) : s.add(own.cast(s.dtype));
  }
  return s;
}

interface RowStatistics {
  readonly peak: Prim;
  readonly total: Prim;
}
const weightsFrom = (s: Prim, { peak, total }: RowStatistics): Prim => {
  const e = s.sub(peak.eq(Number.NEGATIVE_INFINITY).where(0, peak)).exp();
  return e.div(total.eq(0).where(1, total));
};
/** Peak and total of each row, by traced output. */
const statisticsOf = new WeakMap<Prim, readonly RowStatistics[]>();

export function blockedAttention(q: Prim, k: Prim, v: Prim, mask: Prim | undefined, scale: Prim, o: BlockOptions): Prim {
  const statistics: RowStatistics[] = [];
  let done: Prim | null = null;
  const parts = blocksOf(q, o.rows).map((block) => {
    const own = rowsOf(q, block);
    const s = scoresOf(done === null ? own : own.after(done), k, scale, mask, block, o);
    const last = s.ndim - 1;
    const peak = s.amax([last], true);
    const total = s.sub(peak.eq(Number.NEGATIVE_INFINITY).where(0, peak)).exp().sum([last], true);
    statistics.push({ peak, total });
    const part: Prim = matmulPrims(weightsFrom(s, { peak, total }).cast(v.dtype), v);
    done = part;
    return part;
  });
  const out = cat(parts, parts[0].ndim - 2);
  statisticsOf.set(out, statistics);
  return out;
}

/** Gradients of q, k, v and a float mask. */
export function blockedAttentionGradient(
  g: Prim,
  [q, k, v]: readonly [Prim, Prim, Prim],
  mask: Prim | undefined,
  scale: Prim,
  out: Prim,
  o: BlockOptions,
): { q: Prim; k: Prim; v: Prim; mask: Prim | null } {
  const statistics = statisticsOf.get(out)!;
  const toQueries: Prim[] = [];
  let toKeys: Prim | null = null;
  let toValues: Prim | null = null;
  const toMask: Prim[] = [];
  const plus = (sum: Prim | null, x: Prim): Prim => (sum === null ? x : sum.add(x));
  blocksOf(q, o.rows).forEach((block, i) => {
    // The first block waits for the gradient, so that it is not taken for the forward's.
    const inTurn = (x: Prim): Prim => (toKeys === null || toValues === null ? x.after(g) : x.after(toKeys).after(toValues));
    const own = inTurn(rowsOf(q, block));
    const grad = inTurn(rowsOf(g, block));
    const weights = weightsFrom(scoresOf(own, k, scale, mask, block, o), statistics[i]);
    const low = weights.cast(v.dtype);
    toValues = plus(toValues, matmulPrims(low.mT, grad));
    const weighted = matmulPrims(grad, v.mT).cast(o.compute).mul(weights);
    const toScores = weighted.sub(weights.mul(weighted.sum([weights.ndim - 1], true)));
    if (o.mask === 'float') toMask.push(toScores);
    const scaled = toScores.mul(scale).cast(q.dtype);
    toQueries.push(matmulPrims(scaled, k));
    toKeys = plus(toKeys, matmulPrims(scaled.mT, rowsOf(q, block)));
  });
  let maskGradient: Prim | null = null;
  if (mask !== undefined && o.mask === 'float') {
    const whole = mask.ndim >= 2 && mask.shape[mask.ndim - 2] !== 1;
    const parts = toMask.map((p, i) => {
      const own = whole ? rowsOf(mask, blocksOf(q, o.rows)[i]).shape : mask.shape;
      return sumToShape(p, own);
    });
    maskGradient = (whole ? cat(parts, parts[0].ndim - 2) : parts.reduce((a, b) => a.add(b))).cast(mask.dtype);
  }
  const queries = cat(toQueries, toQueries[0].ndim - 2);
  return {
    q: sumToShape(queries, q.shape),
    k: sumToShape(toKeys ?? full(k.shape, 0, k.dtype), k.shape),
    v: sumToShape(toValues ?? full(v.shape, 0, v.dtype), v.shape),
    mask: maskGradient,
  };
}
