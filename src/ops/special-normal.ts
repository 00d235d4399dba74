/**
 * The normal distribution's functions, the scaled error function, and logarithms that are weighted: xlogy, xlog1py, entropy, zeta.
 */
import { float64 } from '../dtype/dtype.ts';
import type { LibraryFunction } from '../graph/library.ts';
import type { Prim } from '../graph/prim.ts';
import { erfcxCoefficients } from '../kernel/math/coefficients.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { elementwise, type Operand } from './elementwise.ts';
import { zeta } from './host/zeta.ts';
import {
  callOn,
  docOf,
  gradientMissing,
  isNaNPrim,
  like,
  nanLike,
  numberFunction,
  only,
  onlyFullFloats,
  over,
  polynomial,
  specialDoc,
  specialUnary,
  square,
  tensorOverload,
} from './pointwise-support.ts';
import { normalQuantile } from './special-coefficients.ts';

const infinity = Number.POSITIVE_INFINITY;
const inverseSqrtPi = 0.5641895835477563;

/** exp(x^2) erfc(x), in double precision: erfc itself near 0, one fit up to 28, a continued fraction beyond. */
export function erfcxBody(argument: Prim): Prim {
  const x = argument.cast(float64);
  const a = x.scalar('abs');
  const z = square(a);
  const near = z.exp().mul(a.scalar('erfc'));
  const middle = polynomial(a.sub(4).div(a.add(4)), [...erfcxCoefficients.f64].reverse()).div(a.mul(2).add(1));
  const fraction = z
    .mul(z.add(4.5))
    .add(2)
    .div(a.mul(z.mul(z.add(5)).add(3.75)))
    .mul(inverseSqrtPi);
  const far = a.gt(5e7).where(over(inverseSqrtPi, a), fraction);
  const positive = a.lt(0.5).where(near, a.lt(28).where(middle, far));
  const negative = x.lt(-26.7).where(infinity, z.exp().mul(2).sub(positive));
  return x.lt(0).where(negative, positive).cast(argument.dtype);
}

function ndtriBody(p: Prim): Prim {
  const tail = Math.exp(-2);
  const upper = p.gt(1 - tail);
  const y = upper.where(p.neg().add(1), p);
  const c = y.sub(0.5);
  const z = square(c);
  const centre = c
    .add(c.mul(z.mul(polynomial(z, normalQuantile.centre)).div(polynomial(z, normalQuantile.centreBelow))))
    .mul(Math.sqrt(2 * Math.PI));
  const x = y.log().mul(-2).sqrt();
  const inverse = over(1, x);
  const near = polynomial(inverse, normalQuantile.tail).div(polynomial(inverse, normalQuantile.tailBelow));
  const far = polynomial(inverse, normalQuantile.farTail).div(polynomial(inverse, normalQuantile.farTailBelow));
  const outer = x.sub(x.log().div(x)).sub(inverse.mul(x.lt(8).where(near, far)));
  const value = y.gt(tail).where(centre, upper.where(outer, outer.neg()));
  const inside = p.lt(0).or(p.gt(1)).or(isNaNPrim(p)).where(nanLike(p), value);
  return p.eq(0).where(-infinity, p.eq(1).where(infinity, inside));
}

function logNdtrBody(x: Prim): Prim {
  const t = x.mul(Math.SQRT1_2);
  const left = erfcxBody(t.neg()).mul(0.5).log().sub(square(t));
  return x.lt(-1).where(left, t.scalar('erfc').mul(-0.5).scalar('log1p'));
}

const weighted = (name: 'xlogy' | 'special_xlog1py', kernel: string) => {
  const log = (y: Prim): Prim => (name === 'xlogy' ? y.log() : y.scalar('log1p'));
  const pole = name === 'xlogy' ? 0 : -1;
  const body = (x: Prim, y: Prim): Prim => isNaNPrim(y).where(nanLike(y), x.eq(0).where(0, x.mul(log(y))));
  return elementwise({
    name,
    kind: 'INT_TO_FLOAT',
    body: ([x, y]) => body(x, y),
    gradient: (g, [x, y]) => [x.eq(0).and(y.le(pole)).where(0, body(g, y)), g.mul(x).div(pole === 0 ? y : y.add(1))],
    check: only(kernel, 'float', 'int', 'bool'),
  });
};
const xlogyCall = weighted('xlogy', 'xlogy_cpu');
const xlog1pyCall = weighted('special_xlog1py', 'xlog1py_cpu');

export const xlogy = declareInplace(
  docOf('xlogy', 'self log(other), and 0 where self is 0'),
  overload('xlogy.Tensor(Tensor self, Tensor other) -> Tensor', (a, b) => xlogyCall([a, b])),
  overload('xlogy.Scalar_Other(Tensor self, Scalar other) -> Tensor', (a, b) => xlogyCall([a, b])),
  overload('xlogy.Scalar_Self(Scalar self, Tensor other) -> Tensor', (a, b) => xlogyCall([a, b])),
);

const zetaFunction: LibraryFunction<null> = numberFunction(
  'zeta',
  () => zeta,
  ([g], [x, q]) => [null, g ? g.mul(x.neg().mul(callOn(zetaFunction, [x.add(1), q], null))) : null],
);
const zetaCall = elementwise({
  name: 'special_zeta',
  kind: 'INT_TO_FLOAT',
  body: ([x, q]) => callOn(zetaFunction, [x, q], null),
  gradient: (g, [x, q]) => [
    gradientMissing(g, "the derivative for 'zeta' is not implemented."),
    g.mul(x.neg().mul(callOn(zetaFunction, [x.add(1), q], null))),
  ],
  check: onlyFullFloats('zeta_cpu'),
});

const entropy = (x: Prim): Prim => {
  const inside = x.gt(0).where(x.neg().mul(x.log()), x.eq(0).where(like(x, 0), -infinity));
  return isNaNPrim(x).where(x, inside);
};
const real = (kernel: string) => ({ check: only(kernel, 'float', 'int', 'bool') });
/** Overloads of two operands of which one may be a number, as `torch.special` names them. */
const threeWays = <const N extends string>(name: N, call: (operands: readonly Operand[]) => ReturnType<typeof xlogyCall>) =>
  [
    tensorOverload(name, call),
    overload(`${name}.other_scalar(Tensor self, Scalar other) -> Tensor` as const, ((a: Operand, b: Operand) => call([a, b])) as never),
    overload(`${name}.self_scalar(Scalar self, Tensor other) -> Tensor` as const, ((a: Operand, b: Operand) => call([a, b])) as never),
  ] as const;

export const normals = {
  xlogy,
  xlog1py: declare(specialDoc('xlog1py', 'self log(1 + other), and 0 where self is 0'), ...threeWays('special_xlog1py', xlog1pyCall)),
  zeta: declare(specialDoc('zeta', "Hurwitz' zeta function: the sum over k of (k + other)^-self"), ...threeWays('special_zeta', zetaCall)),
  entr: specialUnary('entr', '-x log(x), 0 at 0, and minus infinity below', entropy, {
    ...real('entr_cpu'),
    gradient: (g, x) => g.mul(x.log().add(1).neg()),
  }),
  erfcx: specialUnary('erfcx', 'exp(x^2) erfc(x)', erfcxBody, {
    check: onlyFullFloats('erfcx_cpu'),
    gradient: (g, x, y) =>
      x
        .mul(y)
        .mul(2)
        .sub(2 * inverseSqrtPi)
        .mul(g),
  }),
  ndtr: specialUnary(
    'ndtr',
    "The normal distribution's cumulative function",
    (x) => x.mul(Math.SQRT1_2).scalar('erf').add(1).mul(0.5),
    real('erf_vml_cpu'),
  ),
  ndtri: specialUnary('ndtri', 'Inverse of ndtr', ndtriBody, {
    check: onlyFullFloats('ndtri_cpu'),
    gradient: (g, _, y) =>
      g.mul(
        square(y)
          .mul(0.5)
          .exp()
          .mul(Math.sqrt(2 * Math.PI)),
      ),
  }),
  log_ndtr: specialUnary('log_ndtr', 'Logarithm of ndtr, accurate in the left tail', logNdtrBody, {
    check: onlyFullFloats('log_ndtr_cpu'),
    gradient: (g, x) => g.div(erfcxBody(x.mul(-Math.SQRT1_2))).mul(Math.sqrt(2 / Math.PI)),
  }),
};
