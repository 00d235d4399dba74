/**
 * Norms along dims and the distances made of them, over primitives.
 *
 * The gradient of a p-norm at zero and at ties is PyTorch's (`norm_backward`): nothing flows where the norm is zero, and the infinity norm
 * shares its gradient among the largest.
 */
import type { DType } from '../dtype/dtype.ts';
import { getDefaultDtype } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, iota, type Prim } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import type { Dim } from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { wrapDim } from './dims.ts';
import { scalar } from './scalar-argument.ts';
import { use } from './use.ts';

const one = (p: Prim): Prim => constant(1, p.dtype).expand(p.shape);
const signOf = (x: Prim): Prim => {
  if (x.dtype.is_complex) {
    const size = x.scalar('abs').real;
    const zero = size.eq(0);
    return zero.where(0, x.div(zero.where(1, size).cast(x.dtype)));
  }
  return x.gt(0).where(one(x), x.lt(0).where(one(x).neg(), 0));
};
const magnitude = (x: Prim): Prim => x.scalar('abs').real;

/** (sum |x|^p)^(1/p) along an axis, which is kept with size 1. */
export function normPrim(x: Prim, p: number, axes: readonly number[]): Prim {
  const size = magnitude(x);
  switch (p) {
    case 0:
      return size.ne(0).cast(size.dtype).sum(axes, true);
    case 1:
      return size.sum(axes, true);
    case 2:
      return (x.dtype.is_complex ? x.real.mul(x.real).add(x.imag.mul(x.imag)) : x.mul(x)).sum(axes, true).sqrt();
    case Number.POSITIVE_INFINITY:
      return size.amax(axes, true);
    case Number.NEGATIVE_INFINITY:
      return size.amin(axes, true);
    default:
      return size
        .scalar('pow', p)
        .sum(axes, true)
        .scalar('pow', 1 / p);
  }
}

/** Gradient of `normPrim` for the gradient `g` of the norm, both with the axes kept. */
export function normGradient(g: Prim, x: Prim, norm: Prim, p: number, axes: readonly number[]): Prim {
  const wide = (r: Prim): Prim => r.expand(x.shape).cast(x.dtype);
  const zero = norm.eq(0);
  const safe = zero.where(1, norm);
  switch (p) {
    case 0:
      return x.mul(0);
    case 1:
      return signOf(x).mul(wide(g));
    case 2:
      return x.mul(wide(zero.where(0, g.div(safe))));
    case Number.POSITIVE_INFINITY:
    case Number.NEGATIVE_INFINITY: {
      const hit = magnitude(x).eq(norm.expand(x.shape)).cast(g.dtype);
      return signOf(x)
        .mul(wide(g.div(hit.sum(axes, true))))
        .mul(hit.cast(x.dtype));
    }
    default: {
      const size = magnitude(x);
      const power =
        p < 2
          ? size.eq(0).where(
              0,
              size
                .eq(0)
                .where(1, size)
                .scalar('pow', p - 1),
            )
          : size.scalar('pow', p - 1);
      const scale = zero.where(0, g.mul(safe.scalar('pow', 1 - p)));
      return signOf(x).mul(power.cast(x.dtype)).mul(wide(scale));
    }
  }
}

interface NormConstants {
  readonly p: number;
  readonly axes: readonly number[];
  readonly keepdim: boolean;
  readonly compute: DType;
}
const kept = (g: Prim, x: Prim, axes: readonly number[]): Prim => g.reshape(x.shape.map((d, i): Dim => (axes.includes(i) ? 1 : d)));
const normOperator: Operator<NormConstants> = {
  name: 'linalg_vector_norm',
  body: ([input], { constants: { p, axes, keepdim, compute } }) => {
    const norm = normPrim(input.cast(compute), p, axes);
    return [(keepdim ? norm : norm.reshape(norm.shape.filter((_, i) => !axes.includes(i)))).cast(input.dtype.real)];
  },
  gradient: ([g], [input], [out], { constants: { p, axes, compute } }) => {
    if (g === null) return [null];
    const x = input.cast(compute);
    return [normGradient(kept(g, x, axes).cast(compute.real), x, kept(out, x, axes).cast(compute.real), p, axes).cast(input.dtype)];
  },
};
/** The p-norm of a floating or complex tensor along dims. */
export function vectorNorm(x: Tensor, p: number, dims: readonly number[], keepdim: boolean): Tensor {
  const axes = dims.map((d) => wrapDim(d, x.ndim)).filter((d) => d < x.ndim);
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(`norm:${p}:${axes}:${keepdim}:${compute.name}`, (): NormConstants => ({ p, axes, keepdim, compute }));
  return record(normOperator as never, [x], { constants })[0];
}

/** The norm of a - b + eps along the last dim. */
export function pairwiseDistance(a: Tensor, b: Tensor, p: number, eps: number, keepdim: boolean): Tensor {
  const difference = use('add', use('sub', a, b), scalar(eps, getDefaultDtype()));
  return vectorNorm(difference, p, [-1], keepdim);
}

// ---- cosine similarity

interface CosineConstants {
  readonly axis: number;
  readonly eps: number;
  readonly compute: DType;
}
const cosineParts = (a: Prim, b: Prim, { axis, eps }: CosineConstants) => {
  const [na, nb] = [a, b].map((x) => normPrim(x, 2, [axis]));
  const [ca, cb] = [na, nb].map((n) => n.maximum(eps));
  return { na, nb, ca, cb, u: a.div(ca), v: b.div(cb) };
};
/** sum (a / |a|) (b / |b|) with norms of at least eps, whose gradient passes all the same. */
export const cosineOperator: Operator<CosineConstants> = {
  name: 'cosine_similarity',
  body: ([a, b], { constants: c }) => {
    const { u, v } = cosineParts(a.cast(c.compute), b.cast(c.compute), c);
    return [u.mul(v).sum([c.axis]).cast(a.dtype)];
  },
  gradient: ([g], [a, b], _, { constants: c }) => {
    if (g === null) return [null, null];
    const [x, y] = [a.cast(c.compute), b.cast(c.compute)];
    const { na, nb, ca, cb, u, v } = cosineParts(x, y, c);
    const grad = g.cast(c.compute).unsqueeze(c.axis);
    const dot = u.mul(v).sum([c.axis], true);
    const side = (own: Prim, norm: Prim, clamped: Prim, other: Prim): Prim => {
      const direction = norm.eq(0).where(0, own.div(norm.eq(0).where(1, norm)));
      return grad.mul(other.sub(dot.mul(direction))).div(clamped);
    };
    return [sumToShape(side(x, na, ca, v), a.shape).cast(a.dtype), sumToShape(side(y, nb, cb, u), b.shape).cast(b.dtype)];
  },
};

// ---- all pairs

interface PairConstants {
  readonly p: number;
}
/** |a_i - b_j| for rows i of a and j of b; batch dims are equal. */
export const cdistOperator: Operator<PairConstants> = {
  name: 'cdist',
  body: ([a, b], { constants: { p } }) => {
    const d = differences(a, b);
    return [normPrim(d, p, [d.ndim - 1]).squeeze(d.ndim - 1)];
  },
  gradient: ([g], [a, b], [out], { constants: { p } }) => {
    if (g === null) return [null, null];
    const d = differences(a, b);
    const last = d.ndim - 1;
    const grad = pairGradient(g.unsqueeze(last), d, out.unsqueeze(last), p);
    return [grad.sum([last - 1]), grad.sum([last - 2]).neg()];
  },
};
const differences = (a: Prim, b: Prim): Prim => a.unsqueeze(a.ndim - 1).sub(b.unsqueeze(b.ndim - 2));

/** `_cdist_backward`: of the infinity norm every largest difference gets the whole gradient. */
function pairGradient(g: Prim, d: Prim, norm: Prim, p: number): Prim {
  if (p !== Number.POSITIVE_INFINITY) return normGradient(g, d, norm, p, [d.ndim - 1]);
  return magnitude(d).eq(norm).where(signOf(d).mul(g), 0);
}

/** Inputs x, and the rows of the first and of the second of each pair. */
export const pdistOperator: Operator<PairConstants> = {
  name: 'pdist',
  body: ([x, first, second], { constants: { p } }) => {
    const d = rows(x, first).sub(rows(x, second));
    return [normPrim(d, p, [1]).squeeze(1)];
  },
  gradient: ([g], [x, first, second], [out], { constants: { p } }) => {
    if (g === null) return [null, null, null];
    const d = rows(x, first).sub(rows(x, second));
    const grad = pairGradient(g.unsqueeze(1), d, out.unsqueeze(1), p);
    const zero = constant(0, x.dtype).expand(x.shape);
    const to = (index: Prim): readonly Prim[] => [index.unsqueeze(1).expand(d.shape), iota(d.shape, 1)];
    return [zero.scatter(grad, to(first), 'add').scatter(grad.neg(), to(second), 'add'), null, null];
  },
};
function rows(x: Prim, index: Prim): Prim {
  const shape = [index.shape[0], x.shape[1]];
  return x.lookup([index.unsqueeze(1).expand(shape), iota(shape, 1)]);
}

export function requireFloatingText(dtype: DType, text: (name: string) => string): void {
  if (!dtype.is_floating_point) throw new Error(text(scalarTypeName(dtype)));
}
