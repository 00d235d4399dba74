/**
 * Elements of a source combined with what they are scattered to: replace, sum, prod, mean, amax, amin, with or without the old values; and PyTorch's
 * gradients of these (equal extremes share, products take zeros apart).
 *
 * Products are a library function, since the scatter primitive adds, takes extremes or replaces.
 */
import { decode, encodeInto } from '../dtype/codec.ts';
import { bool, iinfo, int32 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import { callLibrary, constant, full, type Prim } from '../graph/prim.ts';

export type Reduce = 'none' | 'sum' | 'prod' | 'mean' | 'amax' | 'amin';

const times = (a: unknown, b: unknown): unknown => {
  if (typeof a === 'object' && a !== null) {
    const [x, y] = [a, b] as { re: number; im: number }[];
    return { re: x.re * y.re - x.im * y.im, im: x.re * y.im + x.im * y.re };
  }
  return typeof a === 'bigint' ? BigInt.asIntN(64, a * (b as bigint)) : (a as number) * (b as number);
};

/** srcs: base, value, one coordinate a dim of the base. */
const scatterProduct: LibraryFunction<null> = {
  name: 'scatter_prod',
  run: ([base, value, ...coords], [out]) => {
    const { dtype } = out;
    out.data.set(base.data as never);
    const { shape } = base;
    const count = value.shape.reduce((a, b) => a * b, 1);
    for (let i = 0; i < count; i++) {
      let at = 0;
      coords.forEach((c, d) => {
        at = at * shape[d] + Number(c.data[i]);
      });
      encodeInto(dtype, out.data, at, times(decode(dtype, out.data, at), decode(dtype, value.data, i)) as number);
    }
  },
  vjp: ([g], [base, value, ...coords], [result]) => {
    if (g === null) return [null, null, ...coords.map(() => null)];
    return [...reduceGradients(g, base, value, result, coords, 'prod', true), ...coords.map(() => null)];
  },
};

function product(base: Prim, value: Prim, coords: readonly Prim[]): Prim {
  return callLibrary(scatterProduct as never, [base, value, ...coords], [{ shape: base.shape, dtype: base.dtype }], null)[0];
}

/** What an element without old value starts from. */
function identity(p: Prim, reduce: Reduce): Prim {
  const { dtype } = p;
  if (reduce === 'sum' || reduce === 'mean') return constant(0, dtype);
  if (reduce === 'prod') return constant(1, dtype);
  const low = reduce === 'amax';
  if (dtype.kind === 'int') return constant(low ? iinfo(dtype).min : iinfo(dtype).max, dtype);
  return constant(low ? -Infinity : Infinity, dtype);
}

/** The quotient of a sum and a positive count, rounded down for integers. */
function meanOf(total: Prim, count: Prim): Prim {
  if (total.dtype.kind !== 'int') return total.div(count);
  const quotient = total.scalar('idiv', count);
  return total.lt(quotient.mul(count)).where(quotient.sub(1), quotient);
}

function counts(base: Prim, value: Prim, coords: readonly Prim[], includeSelf: boolean): Prim {
  const found = full(base.shape, includeSelf ? 1 : 0, base.dtype).scatter(full(value.shape, 1, base.dtype), coords, 'add');
  return found.eq(0).where(1, found);
}

/** base with value combined in at coords, in base's dtype. */
export function reduceInto(base: Prim, value: Prim, coords: readonly Prim[], reduce: Reduce, includeSelf: boolean): Prim {
  if (reduce === 'none') return base.scatter(value, coords, null);
  const compute = base.dtype.kind === 'bool' ? int32 : computationDtype(base.dtype);
  const a = base.cast(compute);
  const v = value.cast(compute);
  const start = includeSelf ? a : a.scatter(identity(a, reduce).expand(v.shape), coords, null);
  const combined = (): Prim => {
    switch (reduce) {
      case 'sum':
        return start.scatter(v, coords, 'add');
      case 'prod':
        return product(start, v, coords);
      case 'mean':
        return meanOf(start.scatter(v, coords, 'add'), counts(a, v, coords, includeSelf));
      case 'amax':
        return start.scatter(v, coords, 'max');
      case 'amin':
        return start.scatter(v, coords, 'min');
      default:
        return reduce satisfies never;
    }
  };
  return base.dtype === bool ? combined().ne(0) : combined().cast(base.dtype);
}

/** Gradients of base and value, all in one dtype. */
export function reduceGradients(
  g: Prim,
  base: Prim,
  value: Prim,
  result: Prim,
  coords: readonly Prim[],
  reduce: Reduce,
  includeSelf: boolean,
): [Prim, Prim] {
  const cleared = (p: Prim): Prim => p.scatter(full(value.shape, 0, g.dtype), coords, null);
  if (reduce === 'none') return [cleared(g), g.lookup(coords)];
  const [self, source] = gradientsWithSelf(g, base, value, result, coords, reduce, includeSelf);
  return [includeSelf ? self : cleared(self), source];
}

function gradientsWithSelf(
  g: Prim,
  base: Prim,
  value: Prim,
  result: Prim,
  coords: readonly Prim[],
  reduce: Exclude<Reduce, 'none'>,
  includeSelf: boolean,
): [Prim, Prim] {
  switch (reduce) {
    case 'sum':
      return [g, g.lookup(coords)];
    case 'mean': {
      const n = counts(base, value, coords, includeSelf);
      return [g.div(n), g.lookup(coords).div(n.lookup(coords))];
    }
    case 'amax':
    case 'amin': {
      const ofSelf = base.eq(result).cast(g.dtype);
      const ofSource = value.eq(result.lookup(coords)).cast(g.dtype);
      const shared = g.div(ofSelf.scatter(ofSource, coords, 'add'));
      return [ofSelf.mul(shared), ofSource.mul(shared.lookup(coords))];
    }
    case 'prod': {
      const start = (p: Prim): Prim => (includeSelf ? p : p.scatter(full(value.shape, 1, p.dtype), coords, null));
      const safe = base.eq(0).where(1, base);
      const self = g.mul(product(start(safe), value, coords).div(safe).conj());
      // A source that is the only zero of its place gets the product of the others.
      const zero = value.eq(0);
      const zeros = full(base.shape, 0, g.dtype).scatter(zero.cast(g.dtype), coords, 'add').lookup(coords);
      const alone = zero.and(zeros.eq(1));
      const others = product(start(base), alone.where(1, value), coords);
      const source = alone.where(g.mul(others.conj()).lookup(coords), g.mul(result.conj()).lookup(coords).div(zero.where(1, value).conj()));
      return [self, source];
    }
    default:
      return reduce satisfies never;
  }
}
