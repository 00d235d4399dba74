/**
 * Bessel functions of the orders 0 and 1, and Airy's Ai: rational and Chebyshev approximations (Cephes), as bodies, so that they fuse and run
 * in the kernels' own precision. All pieces are computed and chosen by `where`; what is chosen away may be NaN.
 */
import type { Prim } from '../graph/prim.ts';
import {
  isNaNPrim,
  like,
  nanLike,
  only,
  onlyFullFloats,
  over,
  polynomial,
  signOf,
  specialUnary,
  square,
  unary,
} from './pointwise-support.ts';
import { airy, firstOrder0, firstOrder1, modifiedFirst, modifiedSecond, secondOrder0, secondOrder1 } from './special-coefficients.ts';

const infinity = Number.POSITIVE_INFINITY;
const size = (x: Prim): Prim => x.scalar('abs');

/** A Chebyshev series at y / 2, highest term first (Cephes' chbevl). */
function series(y: Prim, terms: readonly number[]): Prim {
  let b0 = like(y, terms[0]);
  let b1 = like(y, 0);
  let b2 = b1;
  for (const term of terms.slice(1)) {
    b2 = b1;
    b1 = b0;
    b0 = y.mul(b1).sub(b2).add(term);
  }
  return b0.sub(b2).mul(0.5);
}

// ---- modified, first kind

const order0 = (a: Prim): Prim => {
  const near = series(a.mul(0.5).sub(2), modifiedFirst.order0Near);
  const far = series(over(32, a).sub(2), modifiedFirst.order0Far);
  return a.le(8).where(near, far.div(a.sqrt()));
};
const order1 = (a: Prim): Prim => {
  const near = series(a.mul(0.5).sub(2), modifiedFirst.order1Near).mul(a);
  const far = series(over(32, a).sub(2), modifiedFirst.order1Far);
  return a.le(8).where(near, far.div(a.sqrt()));
};
/** Infinity is NaN, as exp(x) / sqrt(x) is. */
const grown = (a: Prim, scaled: Prim): Prim => a.eq(infinity).where(nanLike(a), a.exp().mul(scaled));
const odd = (x: Prim, value: Prim): Prim => x.lt(0).where(value.neg(), value);

export const i0eBody = (x: Prim): Prim => order0(size(x));
export const i1eBody = (x: Prim): Prim => odd(x, order1(size(x)));
export const i0Body = (x: Prim): Prim => grown(size(x), order0(size(x)));
export const i1Body = (x: Prim): Prim => odd(x, grown(size(x), order1(size(x))));

/** Near zero the quotient I1(x) / x of the derivatives is taken for its limit. */
function aroundZero(x: Prim, g: Prim, slope: (safe: Prim) => Prim): Prim {
  const epsilon = x.dtype.itemsize === 8 ? 2 ** -52 : 2 ** -23;
  const apart = size(x).gt(epsilon);
  return g.mul(apart.where(slope(apart.where(x, epsilon)), 0.5));
}

const real = (kernel: string) => ({ check: only(kernel, 'float', 'int', 'bool') });
export const i0 = unary('i0', 'Modified Bessel function of the first kind of order 0', i0Body, {
  ...real('i0_vml_cpu'),
  gradient: (g, x) => g.mul(i1Body(x)),
});

// ---- modified, second kind

const logHalf = (x: Prim): Prim => x.mul(0.5).log();
const atEdges = (x: Prim, value: Prim): Prim => x.eq(0).where(infinity, x.lt(0).where(nanLike(x), value));
const second0 = (x: Prim): { readonly near: Prim; readonly far: Prim } => ({
  near: series(square(x).sub(2), modifiedSecond.order0Near).sub(logHalf(x).mul(i0Body(x))),
  far: series(over(8, x).sub(2), modifiedSecond.order0Far).div(x.sqrt()),
});
const second1 = (x: Prim): { readonly near: Prim; readonly far: Prim } => ({
  near: logHalf(x)
    .mul(i1Body(x))
    .add(series(square(x).sub(2), modifiedSecond.order1Near).div(x)),
  far: series(over(8, x).sub(2), modifiedSecond.order1Far).div(x.sqrt()),
});
const plain = (x: Prim, { near, far }: ReturnType<typeof second0>): Prim => atEdges(x, x.le(2).where(near, x.neg().exp().mul(far)));
const scaled = (x: Prim, { near, far }: ReturnType<typeof second0>): Prim => atEdges(x, x.le(2).where(near.mul(x.exp()), far));

// ---- first and second kind

/** sqrt(2 / (pi x)) (p cos + q sin) of the phase; `sine` says which of the two the modulus goes with. */
function wave(x: Prim, z: Prim, phase: number, table: typeof firstOrder0 | typeof firstOrder1, kind: 'first' | 'second'): Prim {
  const p = polynomial(z, table.p).div(polynomial(z, table.pBelow));
  const q = over(5, x).mul(polynomial(z, table.q).div(polynomial(z, table.qBelow)));
  const angle = x.sub(phase);
  const [sine, cosine] = [angle.scalar('sin'), angle.scalar('cos')];
  const sum = kind === 'first' ? p.mul(cosine).sub(q.mul(sine)) : p.mul(sine).add(q.mul(cosine));
  return sum.mul(Math.sqrt(2 / Math.PI)).div(x.sqrt());
}
const ratio = (z: Prim, table: { readonly near: readonly number[]; readonly nearBelow: readonly number[] }): Prim =>
  polynomial(z, table.near).div(polynomial(z, table.nearBelow));

function j0Body(argument: Prim): Prim {
  const x = size(argument);
  const z = square(x);
  const near = z.sub(5.783185962946784).mul(z.sub(30.471262343662087)).mul(ratio(z, firstOrder0));
  const tiny = z.mul(-0.25).add(1);
  return x.le(5).where(x.lt(1e-5).where(tiny, near), wave(x, over(25, z), Math.PI / 4, firstOrder0, 'first'));
}
function j1Body(argument: Prim): Prim {
  const x = size(argument);
  const z = square(x);
  const near = ratio(z, firstOrder1).mul(argument).mul(z.sub(14.681970642123893)).mul(z.sub(49.2184563216946));
  return x.le(5).where(near, odd(argument, wave(x, square(over(5, x)), (3 * Math.PI) / 4, firstOrder1, 'first')));
}
const belowZero = (x: Prim, value: Prim): Prim => x.eq(0).where(-infinity, x.lt(0).where(nanLike(x), value));
function y0Body(x: Prim): Prim {
  const z = square(x);
  const near = ratio(z, secondOrder0).add(
    x
      .log()
      .mul(j0Body(x))
      .mul(2 / Math.PI),
  );
  return belowZero(x, x.le(5).where(near, wave(x, over(25, z), Math.PI / 4, firstOrder0, 'second')));
}
function y1Body(x: Prim): Prim {
  const near = x.mul(ratio(square(x), secondOrder1)).add(
    j1Body(x)
      .mul(x.log())
      .sub(over(1, x))
      .mul(2 / Math.PI),
  );
  return belowZero(x, x.le(5).where(near, wave(x, square(over(5, x)), (3 * Math.PI) / 4, firstOrder1, 'second')));
}

function sphericalBody(x: Prim): Prim {
  const z = square(x);
  const terms = [1 / 6227020800, -1 / 39916800, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1];
  const value = size(x).lt(0.5).where(polynomial(z, terms), x.scalar('sin').div(x));
  return size(x).eq(infinity).where(0, value);
}

// ---- Airy

function airyBody(x: Prim): Prim {
  const root = size(x).sqrt();
  const zeta = size(x)
    .mul(root)
    .mul(2 / 3);
  const quarter = root.sqrt();
  const inverse = over(1, zeta);
  const scale = 0.5641895835477563;
  // x < -2.09: modulus and phase
  const z2 = square(inverse);
  const f = z2.mul(polynomial(z2, airy.f).div(polynomial(z2, airy.fBelow))).add(1);
  const g = inverse.mul(polynomial(z2, airy.g).div(polynomial(z2, airy.gBelow)));
  const angle = zeta.add(Math.PI / 4);
  const left = over(scale, quarter).mul(angle.scalar('sin').mul(f).sub(angle.scalar('cos').mul(g)));
  // x >= 2.09
  const right = polynomial(inverse, airy.right).div(polynomial(inverse, airy.rightBelow)).mul(scale).div(quarter.mul(2).mul(zeta.exp()));
  // between: the power series
  const cube = x.mul(x).mul(x);
  let [even, odds, m, n] = [like(x, 1), x, like(x, 1), x];
  for (let k = 1; k <= 13; k++) {
    m = m.mul(cube).mul(1 / ((3 * k - 1) * (3 * k)));
    n = n.mul(cube).mul(1 / (3 * k * (3 * k + 1)));
    even = even.add(m);
    odds = odds.add(n);
  }
  const middle = even.mul(0.3550280538878172).sub(odds.mul(0.2588194037928068));
  const value = x.lt(-2.09).where(left, x.ge(2.09).where(right, middle));
  const beyond = x.gt(103.892).where(0, value);
  return size(x).eq(infinity).or(isNaNPrim(x)).where(nanLike(x), beyond);
}

/** No derivative in PyTorch: the result does not require grad. */
const fixed = <const N extends string>(name: N, text: string, body: (x: Prim) => Prim) =>
  specialUnary(name, text, body, { check: onlyFullFloats(`${name}_cpu`), differentiable: false });

export const bessels = {
  i0,
  i0e: specialUnary('i0e', 'exp(-|x|) I0(x)', i0eBody, {
    ...real('i0e_cpu'),
    gradient: (g, x, y) => g.mul(i1eBody(x).sub(signOf(x).mul(y))),
  }),
  i1: specialUnary('i1', 'Modified Bessel function of the first kind of order 1', i1Body, {
    ...real('i1_cpu'),
    gradient: (g, x, y) => aroundZero(x, g, (safe) => i0Body(safe).sub(y.div(safe))),
  }),
  i1e: specialUnary('i1e', 'exp(-|x|) I1(x)', i1eBody, {
    ...real('i1e_cpu'),
    gradient: (g, x, y) => aroundZero(x, g, (safe) => i0eBody(safe).sub(y.mul(signOf(safe).add(over(1, safe))))),
  }),
  modified_bessel_i0: fixed('modified_bessel_i0', 'Modified Bessel function of the first kind of order 0', i0Body),
  modified_bessel_i1: fixed('modified_bessel_i1', 'Modified Bessel function of the first kind of order 1', i1Body),
  modified_bessel_k0: fixed('modified_bessel_k0', 'Modified Bessel function of the second kind of order 0', (x) => plain(x, second0(x))),
  modified_bessel_k1: fixed('modified_bessel_k1', 'Modified Bessel function of the second kind of order 1', (x) => plain(x, second1(x))),
  scaled_modified_bessel_k0: fixed('scaled_modified_bessel_k0', 'exp(x) K0(x)', (x) => scaled(x, second0(x))),
  scaled_modified_bessel_k1: fixed('scaled_modified_bessel_k1', 'exp(x) K1(x)', (x) => scaled(x, second1(x))),
  bessel_j0: fixed('bessel_j0', 'Bessel function of the first kind of order 0', j0Body),
  bessel_j1: fixed('bessel_j1', 'Bessel function of the first kind of order 1', j1Body),
  bessel_y0: fixed('bessel_y0', 'Bessel function of the second kind of order 0', y0Body),
  bessel_y1: fixed('bessel_y1', 'Bessel function of the second kind of order 1', y1Body),
  spherical_bessel_j0: fixed('spherical_bessel_j0', 'Spherical Bessel function of order 0', sphericalBody),
  airy_ai: fixed('airy_ai', "Airy's function Ai", airyBody),
};
