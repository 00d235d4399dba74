/**
 * Reverse-mode gradients of primitives: one rule a primitive, one line a scalar operation, and one walk.
 *
 * A rule gets the gradient of the result and returns gradients of the sources (null: no gradient flows). Operators inherit these through
 * their bodies; an operator declares a gradient of its own only for stability, subgradient convention or cost.
 *
 * The gradient of a complex number is PyTorch's: dL/dre + i dL/dim, so a holomorphic f passes on g * conj(f'(z)). `conj()` is nothing on reals.
 */
import type { ScalarOp } from '../kernel/scalar.ts';
import type { Dim } from '../shape/dim.ts';
import * as dims from '../shape/dim.ts';
import { blockDot } from './ggml.ts';
import { complexOf, full, iota, type Prim, resultsOf, rowMajor, sameShape } from './prim.ts';
import { trigamma } from './trigamma.ts';

type ScalarRule = (g: Prim, out: Prim, ...args: Prim[]) => (Prim | null)[];

const isContinuous = (p: Prim): boolean => p.dtype.is_floating_point || p.dtype.is_complex;
/** A gradient as its operand can take it: of a complex one a real operand gets the real part. */
const asGradientOf = (g: Prim, p: Prim): Prim => (g.dtype.is_complex === p.dtype.is_complex ? g : g.cast(p.dtype));
const zeroWhere = (condition: Prim, g: Prim): Prim => condition.where(0, g);
const twoOverSqrtPi = 1.1283791670955126;

const scalarRules: { readonly [K in ScalarOp]: ScalarRule | null } = {
  add: (g) => [g, g],
  sub: (g) => [g, g.neg()],
  mul: (g, _, a, b) => [g.mul(b.conj()), g.mul(a.conj())],
  div: (g, out, _, b) => [g.div(b.conj()), g.mul(out.conj()).div(b.conj()).neg()],
  idiv: null,
  irem: null,
  // PyTorch's maximum/minimum share the gradient between equal operands.
  min: (g, _, a, b) => [a.eq(b).where(g.mul(0.5), a.lt(b).where(g, 0)), a.eq(b).where(g.mul(0.5), b.lt(a).where(g, 0))],
  max: (g, _, a, b) => [a.eq(b).where(g.mul(0.5), b.lt(a).where(g, 0)), a.eq(b).where(g.mul(0.5), a.lt(b).where(g, 0))],
  neg: (g) => [g.neg()],
  abs: (g, out, a) => [a.dtype.is_complex ? out.eq(0).where(0, a.div(out)).mul(g) : a.lt(0).where(g.neg(), zeroWhere(a.eq(0), g))],
  sqrt: (g, out) => [g.div(out.conj().mul(2))],
  floor: (g) => [g.mul(0)],
  ceil: (g) => [g.mul(0)],
  trunc: (g) => [g.mul(0)],
  rint: (g) => [g.mul(0)],
  fma: (g, _, a, b) => [g.mul(b.conj()), g.mul(a.conj()), g],
  lt: null,
  le: null,
  eq: null,
  ne: null,
  and: null,
  or: null,
  xor: null,
  not: null,
  shl: null,
  shr: null,
  ushr: null,
  select: (g, _, condition) => [null, condition.where(g, 0), condition.where(0, g)],
  exp: (g, out) => [g.mul(out.conj())],
  exp2: (g, out) => [g.mul(out.conj()).mul(Math.LN2)],
  expm1: (g, out) => [g.mul(out.conj().add(1))],
  log: (g, _, a) => [g.div(a.conj())],
  log2: (g, _, a) => [g.div(a.conj().mul(Math.LN2))],
  log10: (g, _, a) => [g.div(a.conj().mul(Math.LN10))],
  log1p: (g, _, a) => [g.div(a.conj().add(1))],
  sin: (g, _, a) => [g.mul(a.scalar('cos').conj())],
  cos: (g, _, a) => [g.mul(a.scalar('sin').neg().conj())],
  tan: (g, out) => [g.mul(out.mul(out).add(1).conj())],
  asin: (g, _, a) => [g.div(a.mul(a).neg().add(1).sqrt().conj())],
  acos: (g, _, a) => [g.div(a.mul(a).neg().add(1).sqrt().conj()).neg()],
  atan: (g, _, a) => [g.div(a.mul(a).add(1).conj())],
  atan2: (g, _, a, b) => {
    const recip = g.div(a.mul(a).add(b.mul(b)));
    return [recip.mul(b), recip.mul(a.neg())];
  },
  sinh: (g, _, a) => [g.mul(a.scalar('cosh').conj())],
  cosh: (g, _, a) => [g.mul(a.scalar('sinh').conj())],
  tanh: (g, out) => [g.mul(out.mul(out).neg().add(1).conj())],
  asinh: (g, _, a) => [g.div(a.mul(a).add(1).sqrt().conj())],
  // Two roots: of a complex a the product of the roots is not the root of the product.
  acosh: (g, _, a) => [g.div(a.sub(1).sqrt().mul(a.add(1).sqrt()).conj())],
  atanh: (g, _, a) => [g.div(a.mul(a).neg().add(1).conj())],
  erf: (g, _, a) => [g.mul(a.mul(a).neg().exp().mul(twoOverSqrtPi))],
  erfc: (g, _, a) => [g.mul(a.mul(a).neg().exp().mul(-twoOverSqrtPi))],
  erfinv: (g, out) => [
    g.mul(
      out
        .mul(out)
        .exp()
        .mul(1 / twoOverSqrtPi),
    ),
  ],
  lgamma: (g, _, a) => [g.mul(a.scalar('digamma'))],
  digamma: (g, _, a) => [g.mul(trigamma(a))],
  // d/da is 0 where the exponent is 0; d/db is 0 where the base is 0 and the exponent is not negative (PyTorch's conventions).
  pow: (g, out, a, b) => [
    b.eq(0).where(0, g.mul(b.conj()).mul(a.scalar('pow', b.sub(1)).conj())),
    a.eq(0).and(b.real.ge(0)).where(0, g.mul(out.conj()).mul(a.log().conj())),
  ],
  fmod: (g, _, a, b) => [g, g.mul(a.div(b).scalar('trunc')).neg()],
};

/** Gradient of `view` with respect to its source: windows that do not overlap are padded back, repeated (stride 0) dims are summed. */
export function viewGradient(g: Prim, srcShape: readonly Dim[], strides: readonly Dim[], offset: Dim): Prim {
  const repeated = [...strides.keys()].filter((i) => strides[i] === 0 && g.shape[i] !== 1);
  const summed = g.sum(repeated);
  const kept = [...strides.keys()].filter((i) => !repeated.includes(i));
  const keptStrides = kept.map((i) => strides[i]);
  const size = dims.productOf(srcShape);
  const placed = placeWindow(summed, srcShape, keptStrides, offset);
  if (placed !== null) return placed;
  // Anything else (windows that overlap or don't follow the dims): add each element at its flat position, in order.
  let flat: Prim = full(summed.shape, 0, iota([1], 0).dtype).add(asNumber(offset));
  keptStrides.forEach((s, axis) => {
    flat = flat.add(iota(summed.shape, axis).mul(asNumber(s)));
  });
  return full([size], 0, g.dtype).scatter(summed, [flat], 'add').reshape(srcShape);
}

const asNumber = (d: Dim): number => dims.toNumber(d, 'a stride of an overlapping view');

/** The window put back in zeros of `srcShape`, when each of its dims walks along one dim of the source; else null. */
function placeWindow(g: Prim, srcShape: readonly Dim[], strides: readonly Dim[], offset: Dim): Prim | null {
  const total = dims.productOf(srcShape);
  const srcStrides = rowMajor(srcShape);
  // A reshape or permutation of the whole source.
  if (offset === 0 && dims.equal(dims.productOf(g.shape), total)) {
    const order = orderByStride(g.shape, strides);
    if (order !== null) return g.permute(order).reshape(srcShape);
  }
  const merged = mergeDims(g, strides);
  if (merged !== null) {
    // Dims that were joined across dims of the source: it is taken in the factors that the window's strides name.
    const factors = factorsOf(total, merged.strides);
    return (
      placeWindow(merged.g, srcShape, merged.strides, offset) ??
      (factors === null ? null : (placeWindow(merged.g, factors, merged.strides, offset)?.reshape(srcShape) ?? null))
    );
  }
  // Per-dim slices: assign every window dim to a source dim whose stride divides its own.
  const starts: Dim[] = [];
  let rest = offset;
  // A dim of the source that the window spans begins at 0, as long as it spans all dims further out: else it would leave the memory.
  let spanning = true;
  srcStrides.forEach((s, d) => {
    const spans = g.shape.some((n, i) => dims.equal(strides[i], s) && dims.equal(n, srcShape[d]));
    if (typeof rest === 'number' && typeof s === 'number') {
      starts.push(Math.floor(rest / s));
      rest %= s;
    } else {
      const exact = dims.exactQuotient(rest, s);
      if (exact === null && spanning && spans) starts.push(0);
      else {
        starts.push(exact ?? dims.quotient(rest, s));
        rest = exact === null ? dims.remainder(rest, s) : 0;
      }
    }
    spanning &&= spans || srcShape[d] === 1;
  });
  if (rest !== 0) return null;
  const owner = new Array<number>(srcShape.length).fill(-1);
  const steps = new Array<number>(srcShape.length).fill(1);
  for (let i = 0; i < g.ndim; i++) {
    if (g.shape[i] === 1) continue;
    const at = srcStrides.findIndex((s, d) => {
      if (owner[d] >= 0 || srcShape[d] === 1) return false;
      const step = dims.exactQuotient(strides[i], s);
      if (typeof step !== 'number' || step === 0) return false;
      const reach = dims.add(starts[d], dims.mul(dims.sub(g.shape[i], 1), step));
      return step > 0 ? dims.provablyAtMost(reach, dims.sub(srcShape[d], 1)) : dims.provablyAtMost(0, reach);
    });
    if (at < 0) return null;
    owner[at] = i;
    steps[at] = dims.exactQuotient(strides[i], srcStrides[at]) as number;
  }
  const order = [...owner.filter((i) => i >= 0), ...[...g.shape.keys()].filter((i) => !owner.includes(i))];
  const aligned = g.permute(order).reshape(owner.map((i) => (i >= 0 ? g.shape[i] : 1)));
  return aligned.pad(srcShape, starts, steps);
}

/** The shape of `total` elements whose row-major strides are those given, largest first, and 1; null if one does not divide another. */
function factorsOf(total: Dim, strides: readonly Dim[]): Dim[] | null {
  const factors: Dim[] = [];
  let above = total;
  for (const s of [...strides, 1]) {
    const factor = dims.exactQuotient(above, s);
    if (factor === null) return null;
    if (factor !== 1 || factors.length === 0) factors.push(factor);
    above = s;
  }
  return factors;
}

/** Window dims that together walk one dim (a head and its elements), in the order of their strides, as one; null if there are none. */
function mergeDims(g: Prim, strides: readonly Dim[]): { g: Prim; strides: Dim[] } | null {
  const dim = [...g.shape.keys()].filter((i) => g.shape[i] !== 1);
  if (dim.some((i) => !dims.provablyAtMost(1, strides[i]))) return null;
  const order = [...dim].sort((a, b) => (dims.equal(strides[a], strides[b]) ? 0 : dims.provablyAtMost(strides[b], strides[a]) ? -1 : 1));
  const shape: Dim[] = [];
  const merged: Dim[] = [];
  for (const i of order) {
    const last = merged.length - 1;
    if (last >= 0 && dims.equal(merged[last], dims.mul(strides[i], g.shape[i]))) {
      shape[last] = dims.mul(shape[last], g.shape[i]);
      merged[last] = strides[i];
    } else {
      shape.push(g.shape[i]);
      merged.push(strides[i]);
    }
  }
  if (shape.length === dim.length) return null;
  const ones = [...g.shape.keys()].filter((i) => g.shape[i] === 1);
  return { g: g.permute([...ones, ...order]).reshape(shape), strides: merged };
}

/** The order of dims in which strides are row-major for the shape, or null. Dims of size 1 go first. */
function orderByStride(shape: readonly Dim[], strides: readonly Dim[]): number[] | null {
  const remaining = new Set([...shape.keys()].filter((i) => shape[i] !== 1));
  const order: number[] = [];
  let expected: Dim = 1;
  while (remaining.size > 0) {
    const next = [...remaining].find((i) => dims.equal(strides[i], expected));
    if (next === undefined) return null;
    remaining.delete(next);
    order.unshift(next);
    expected = dims.mul(expected, shape[next]);
  }
  return [...[...shape.keys()].filter((i) => shape[i] === 1), ...order];
}

function gradientsOf(out: Prim, g: Prim): (Prim | null)[] {
  const body = out.body;
  switch (body.op) {
    case 'input':
    case 'const':
    case 'param':
    case 'dim':
    case 'iota':
      return [];
    case 'scalar': {
      const rule = scalarRules[body.fn];
      if (rule === null) return body.srcs.map(() => null);
      return rule(g, out, ...body.srcs).map((x, i) => (isContinuous(body.srcs[i]) ? x : null));
    }
    case 'cast':
      return [isContinuous(body.srcs[0]) ? g.cast(body.srcs[0].dtype) : null];
    case 'bitcast':
      return [null];
    case 'view':
      return [viewGradient(g, body.srcs[0].shape, body.strides, body.offset)];
    case 'pad': {
      const src = body.srcs[0];
      const strides = rowMajor(out.shape);
      const offset = body.starts.reduce<Dim>((sum, s, i) => dims.add(sum, dims.mul(s, strides[i])), 0);
      return [
        g.view(
          src.shape,
          strides.map((s, i) => dims.mul(s, body.steps[i])),
          offset,
        ),
      ];
    }
    case 'reduce': {
      const src = body.srcs[0];
      const keep = (p: Prim): Prim => p.reshape(src.shape.map((d, i) => (body.axes.includes(i) ? 1 : d))).expand(src.shape);
      switch (body.kind) {
        case 'sum':
          return [keep(g)];
        case 'max':
        case 'min': {
          // amax/amin: shared evenly among equal elements.
          const hit = src.eq(keep(out)).cast(g.dtype);
          return [hit.mul(keep(g.div(hit.sum(body.axes))))];
        }
        case 'prod':
          return [productGradient(src, g, body.axes, keep)];
        case 'any':
        case 'all':
        case 'argmax':
        case 'argmin':
          return [null];
        default:
          return body.kind satisfies never;
      }
    }
    case 'dot': {
      const [a, b] = body.srcs;
      // Blocks of bytes have no gradient.
      if (body.blocks !== undefined) return [blockDot(g, b, { ...body.blocks, transposed: !body.blocks.transposed }), null];
      return [g.dot(b.mT.conj()), a.mT.conj().dot(g)];
    }
    case 'lookup': {
      const [src, ...coords] = body.srcs;
      return [full(src.shape, 0, g.dtype).scatter(g, coords, 'add'), ...coords.map(() => null)];
    }
    case 'scatter': {
      const [, value, ...coords] = body.srcs;
      const none = coords.map(() => null);
      if (body.combine === 'add') return [g, g.lookup(coords), ...none];
      if (body.combine === null) return [g.scatter(full(value.shape, 0, g.dtype), coords, null), g.lookup(coords), ...none];
      throw new Error(`internal: scatter with ${body.combine} has no gradient rule`);
    }
    case 'store': {
      const value = body.srcs[1];
      return [g.store(full(value.shape, 0, g.dtype), body.strides, body.offset), g.view(value.shape, body.strides, body.offset)];
    }
    case 'cat': {
      let start: Dim = 0;
      return body.srcs.map((part) => {
        const piece = g.slice(body.axis, start, part.shape[body.axis]);
        start = dims.add(start, part.shape[body.axis]);
        return piece;
      });
    }
    case 'after':
      return [g, null];
    case 'complex':
      return [g.real, g.imag];
    case 'part':
      return body.part === 'real' ? [complexOf(g, full(g.shape, 0, g.dtype))] : [complexOf(full(g.shape, 0, g.dtype), g)];
    case 'library':
    case 'result':
      throw new Error('internal: library calls are walked as a whole');
    default:
      return body satisfies never;
  }
}

/**
 * Product of all other elements, without a division by zero. Zeros appear as themselves where their derivative counts, so that the
 * gradient's gradient is right too: their sum is the only one's value where there is one, and the other's for each of two.
 */
function productGradient(src: Prim, g: Prim, axes: readonly number[], keep: (p: Prim) => Prim): Prim {
  const zero = src.eq(0);
  const zeros = keep(zero.cast(g.dtype.real).sum(axes));
  const nonzero = zero.where(1, src);
  const others = keep(nonzero.reduce('prod', axes));
  const theZero = keep(zero.where(src, 0).sum(axes));
  const withoutOne = others.div(nonzero);
  const withOneZero = zero.where(others, theZero.mul(withoutOne));
  const withTwoZeros = zero.where(theZero.sub(src).mul(others), 0);
  const gradient = zeros.eq(0).where(withoutOne, zeros.eq(1).where(withOneZero, zeros.eq(2).where(withTwoZeros, 0)));
  return keep(g).mul(gradient.conj());
}

/** All prims that `roots` depend on, sources first. Iterative: chains may be long. */
export function topological(roots: readonly Prim[], stop?: (p: Prim) => boolean): Prim[] {
  const seen = new Set<Prim>();
  const order: Prim[] = [];
  const stack: { prim: Prim; next: number }[] = [];
  for (const root of roots) {
    if (seen.has(root)) continue;
    seen.add(root);
    stack.push({ prim: root, next: 0 });
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const srcs = stop?.(top.prim) ? [] : top.prim.srcs;
      if (top.next < srcs.length) {
        const src = srcs[top.next++];
        if (!seen.has(src)) {
          seen.add(src);
          stack.push({ prim: src, next: 0 });
        }
      } else {
        order.push(top.prim);
        stack.pop();
      }
    }
  }
  return order;
}

/** Gradients of `wrt`, given gradients of some outputs. Null where nothing flows. */
export function vjp(seeds: readonly (readonly [Prim, Prim])[], wrt: readonly Prim[], ends: readonly Prim[] = []): (Prim | null)[] {
  const wanted = new Set(wrt);
  const stops = new Set(ends);
  // Nothing flows past what is wanted, nor past the ends (the inputs of a call in the midst of a program).
  const order = topological(
    seeds.map(([out]) => out),
    (p) => wanted.has(p) || stops.has(p),
  );
  const needed = new Set<Prim>();
  for (const p of order) if (wanted.has(p) || p.srcs.some((s) => needed.has(s))) needed.add(p);
  const contributions = new Map<Prim, Prim[]>();
  const addTo = (p: Prim, g: Prim): void => {
    const list = contributions.get(p);
    if (list === undefined) contributions.set(p, [g]);
    else list.push(g);
  };
  for (const [out, g] of seeds) addTo(out, g);
  const total = (p: Prim): Prim | null => {
    const list = contributions.get(p);
    return list === undefined ? null : list.reduce((a, b) => a.add(b));
  };
  for (let i = order.length - 1; i >= 0; i--) {
    const p = order[i];
    if (!needed.has(p)) continue;
    if (p.body.op === 'library') {
      // All its results have been visited: each left its gradient.
      const grads = libraryGradients(p, total);
      p.srcs.forEach((src, k) => {
        const grad = grads[k];
        if (grad && needed.has(src)) addTo(src, asGradientOf(grad, src));
      });
      continue;
    }
    const g = total(p);
    if (g === null) continue;
    contributions.set(p, [g]);
    if (wanted.has(p) || p.body.op === 'result') continue;
    const grads = gradientsOf(p, g);
    p.srcs.forEach((src, k) => {
      const grad = grads[k];
      if (grad && needed.has(src)) addTo(src, asGradientOf(grad, src));
    });
  }
  return wrt.map(total);
}

function libraryGradients(call: Prim, total: (p: Prim) => Prim | null): readonly (Prim | null)[] {
  if (call.body.op !== 'library') throw new Error('internal: not a library call');
  const { fn, constants } = call.body;
  const results = resultsOf(call);
  const grads = results.map(total);
  if (grads.every((g) => g === null)) return call.srcs.map(() => null);
  if (fn.vjp === undefined) throw new Error(`internal: ${fn.name} has no gradient rule`);
  return fn.vjp(grads, call.srcs, results, constants);
}

/** Reduces a gradient to the shape of an operand that was broadcast. */
export function sumToShape(g: Prim, shape: readonly Dim[]): Prim {
  if (sameShape(g.shape, shape)) return g;
  const lead = g.ndim - shape.length;
  const axes = [...g.shape.keys()].filter((i) => i < lead || (shape[i - lead] === 1 && g.shape[i] !== 1));
  return g.sum(axes).reshape(shape);
}
