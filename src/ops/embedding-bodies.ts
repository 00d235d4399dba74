/**
 * Look-ups in tables over primitives: rows (embedding) and reduced bags of rows (embedding_bag).
 *
 * A bag is found for each position by counting the offsets at or before it; everything else is a scatter into bags. Gradients go to rows by
 * scatter-add in index order; with `byFrequency` a row's gradient is divided by how often the call looked it up.
 */
import type { DType } from '../dtype/dtype.ts';
import { int64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, full, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';

export interface EmbeddingConstants {
  readonly padding: number | null;
  readonly byFrequency: boolean;
}

/** weight[indices]: one row for each index. */
export function lookupRows(weight: Prim, indices: Prim): Prim {
  const out: Dim[] = [...indices.shape, weight.shape[1]];
  const n = out.length;
  const row = indices
    .cast(int64)
    .unsqueeze(n - 1)
    .expand(out);
  return weight.lookup([row, iota(out, n - 1)]);
}
/** zeros of the table's shape with `rows` added at the indices. */
function addRows(table: Prim, rows: Prim, index: Prim): Prim {
  const coords = [index.unsqueeze(1).expand(rows.shape), iota(rows.shape, 1)];
  return full(table.shape, 0, rows.dtype).scatter(rows, coords, 'add');
}
function frequency(table: Prim, index: Prim, dtype: DType): Prim {
  const ones = constant(1, dtype).expand(index.shape);
  return full([table.shape[0]], 0, dtype).scatter(ones, [index], 'add').lookup([index]);
}

export const embeddingOperator: Operator<EmbeddingConstants> = {
  name: 'embedding',
  body: ([weight, indices]) => [lookupRows(weight, indices)],
  gradient: ([g], [weight, indices], _, { constants: { padding, byFrequency } }) => {
    if (g === null) return [null, null];
    const count = dimsOf.productOf(indices.shape);
    const index = indices.cast(int64).reshape([count]);
    let rows = g.reshape([count, weight.shape[1]]);
    if (padding !== null) rows = index.ne(padding).unsqueeze(1).where(rows, 0);
    if (byFrequency) rows = rows.div(frequency(weight, index, g.dtype).unsqueeze(1));
    return [addRows(weight, rows, index), null];
  },
};

export interface RenormConstants {
  readonly norm: (rows: Prim) => Prim;
}
/** The table with every row that was looked up and is longer than the maximum scaled down to it. */
export const renormOperator: Operator<RenormConstants> = {
  name: 'embedding_renorm',
  paramTypes: () => [],
  body: ([weight, indices, limit], { constants: { norm } }) => {
    const count = dimsOf.productOf(indices.shape);
    const index = indices.cast(int64).reshape([count]);
    const hits = full([weight.shape[0]], 0, int64).scatter(constant(1n, int64).expand([count]), [index], 'add');
    const length = norm(weight);
    const scale = limit.div(length.add(1e-7));
    const long = hits.gt(0).unsqueeze(1).and(length.gt(limit));
    return [long.expand(weight.shape).where(weight.mul(scale), weight)];
  },
};

export interface BagConstants extends EmbeddingConstants {
  readonly mode: 'sum' | 'mean' | 'max';
  /** There are weights of the samples. */
  readonly weighted: boolean;
  /** Number of offsets that begin a bag: with `include_last_offset` one less than there are. */
  readonly bags: number;
}
interface Bags {
  readonly index: Prim;
  /** The bag of each position, as a column of [positions, width]. */
  readonly coords: readonly [Prim, Prim];
  readonly counted: Prim;
  readonly size: Prim;
}
function bagsOf(weight: Prim, indices: Prim, offsets: Prim, c: BagConstants): Bags {
  const [count] = indices.shape;
  const width = weight.shape[1];
  const index = indices.cast(int64);
  const begins = offsets.cast(int64).slice(0, 0, c.bags).unsqueeze(0);
  const table = [count, c.bags];
  const bag = begins.expand(table).le(iota(table, 0)).cast(int64).sum([1]).sub(1n);
  const counted = c.padding === null ? constant(true, index.eq(index).dtype).expand([count]) : index.ne(c.padding);
  const size = full([c.bags], 0, int64).scatter(counted.cast(int64), [bag], 'add');
  return { index, coords: [bag.unsqueeze(1).expand([count, width]), iota([count, width], 1)], counted, size };
}
/** Inputs: table, indices, offsets, and the weights of the samples if there are any. */
export const bagOperator = (compute: (dtype: DType) => DType): Operator<BagConstants> => ({
  name: 'embedding_bag',
  body: ([weight, indices, offsets, sample], { constants: c }) => {
    const b = bagsOf(weight, indices, offsets, c);
    const dtype = compute(weight.dtype);
    const rows = lookupRows(weight, indices).cast(dtype);
    const out = [c.bags, weight.shape[1]];
    if (c.mode === 'max') {
      const low = constant(Number.NEGATIVE_INFINITY, dtype);
      const best = full(out, Number.NEGATIVE_INFINITY, dtype).scatter(b.counted.unsqueeze(1).where(rows, low), b.coords, 'max');
      return [b.size.gt(0).unsqueeze(1).where(best, 0).cast(weight.dtype)];
    }
    const scaled = c.weighted ? rows.mul(sample.cast(dtype).unsqueeze(1)) : rows;
    const total = full(out, 0, dtype).scatter(b.counted.unsqueeze(1).where(scaled, 0), b.coords, 'add');
    return [(c.mode === 'mean' ? total.div(b.size.maximum(1n).cast(dtype).unsqueeze(1)) : total).cast(weight.dtype)];
  },
  gradient: ([g], [weight, indices, offsets, sample], [out], { constants: c }) => {
    const none = c.weighted ? [null] : [];
    if (g === null) return [null, null, null, ...none];
    const b = bagsOf(weight, indices, offsets, c);
    const dtype = compute(weight.dtype);
    const each = g.cast(dtype).lookup(b.coords);
    const rows = lookupRows(weight, indices);
    let share = b.counted.unsqueeze(1).where(each, 0);
    if (c.mode === 'mean') share = share.div(b.size.maximum(1n).cast(dtype).lookup([b.coords[0]]));
    if (c.mode === 'max') {
      // The first of equals in its bag takes the gradient.
      const position = iota(rows.shape, 0);
      const hit = b.counted.unsqueeze(1).and(rows.eq(out.lookup(b.coords)));
      const beyond = constant(BigInt(Number.MAX_SAFE_INTEGER), int64).expand(rows.shape);
      const first = full(out.shape, Number.MAX_SAFE_INTEGER, int64).scatter(hit.where(position, beyond), b.coords, 'min');
      share = first.lookup(b.coords).eq(position).where(share, 0);
    }
    const own = share;
    if (c.weighted) share = share.mul(sample.cast(dtype).unsqueeze(1));
    if (c.byFrequency) share = share.div(frequency(weight, b.index, dtype).unsqueeze(1));
    const table = addRows(weight, share, b.index).cast(weight.dtype);
    return [table, null, null, ...(c.weighted ? [own.mul(rows.cast(dtype)).sum([1]).cast(sample.dtype)] : [])];
  },
});

export interface BilinearConstants {
  readonly bias: boolean;
}
/** y[o] = sum_ij x1[i] weight[o, i, j] x2[j] + bias[o]: a product with x1, then a row product with x2. */
export const bilinearOperator: Operator<BilinearConstants> = {
  name: 'bilinear',
  body: ([x1, x2, weight, bias], { constants: c }) => {
    const [outs, ins1, ins2] = weight.shape;
    const lead = x1.shape.slice(0, -1);
    const rows = dimsOf.productOf(lead);
    const table = weight.permute([1, 0, 2]).reshape([ins1, dimsOf.mul(outs, ins2)]);
    const mixed = x1.reshape([rows, ins1]).dot(table).reshape([rows, outs, ins2]);
    const y = mixed.mul(x2.reshape([rows, 1, ins2])).sum([2]);
    const shifted = c.bias ? y.add(bias) : y;
    return [shifted.reshape([...lead, outs])];
  },
};
