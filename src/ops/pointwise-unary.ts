/**
 * Exponentials, logarithms, trigonometric and hyperbolic functions, roundings, and what is made of them, with the names of NumPy.
 *
 * Most are one scalar operation with the gradient that `graph/vjp.ts` has for it.
 */
import { float64, int32, int64 } from '../dtype/dtype.ts';
import { complexOf, constant, type Prim } from '../graph/prim.ts';
import type { ScalarOp } from '../kernel/scalar.ts';
import { declareInplace, overload } from './declare.ts';
import { elementwise } from './elementwise.ts';
import { bitsType, docOf, isNaNPrim, like, noComplex, notImplemented, only, over, square, unary, zerosLike } from './pointwise-support.ts';

const one = <const N extends ScalarOp>(name: N, text: string) => unary(name, text, (x) => x.scalar(name));

const acos = one('acos', 'Inverse cosine');
const acosh = unary('acosh', 'Inverse hyperbolic cosine', (x) => x.scalar('acosh'), {
  gradient: (g, x) => {
    if (!x.dtype.is_complex) return g.div(square(x).sub(1).sqrt());
    return g.mul(
      over(1, x.add(1).sqrt())
        .mul(over(1, x.sub(1).sqrt()))
        .conj(),
    );
  },
});
const asin = one('asin', 'Inverse sine');
const asinh = one('asinh', 'Inverse hyperbolic sine');
const atan = one('atan', 'Inverse tangent');
const atanh = one('atanh', 'Inverse hyperbolic tangent');

const sigmoidBody = (x: Prim): Prim => over(1, x.neg().exp().add(1));
const sigmoidGradient = (g: Prim, _: Prim, y: Prim): Prim => g.mul(y.neg().add(1).mul(y).conj());

/** sin(pi x) / (pi x). */
export function sincBody(x: Prim): Prim {
  const angle = x.mul(Math.PI);
  return x.eq(0).where(1, angle.scalar('sin').div(angle));
}
export function sincGradient(g: Prim, x: Prim): Prim {
  const angle = x.mul(Math.PI);
  const below = square(x).mul(Math.PI);
  const slope = angle.mul(angle.scalar('cos')).sub(angle.scalar('sin')).div(below);
  return below.eq(0).where(0, g.mul(slope.conj()));
}

/** Integers are whole already. */
const rounding = <const N extends string>(name: N, text: string, fn: ScalarOp) =>
  unary(name, text, (x) => (x.dtype.is_floating_point ? x.scalar(fn) : x), {
    kind: 'DEFAULT',
    gradient: (g) => zerosLike(g),
    check: (compute) => {
      if (compute.is_complex && fn !== 'rint') throw new Error(`${name === 'fix' ? 'trunc' : name} is not supported for complex inputs`);
      if (compute.kind === 'bool' || compute.is_complex) throw notImplemented(`${name}_vml_cpu`, compute);
    },
  });
const trunc = rounding('trunc', 'Rounded towards zero', 'trunc');

const roundCall = elementwise({
  name: 'round',
  kind: 'DEFAULT',
  body: ([x]) => (x.dtype.is_floating_point ? x.scalar('rint') : x),
  gradient: (g) => [zerosLike(g)],
  check: only('round_vml_cpu', 'float', 'int'),
});
const roundDecimals = elementwise<number>({
  name: 'round',
  kind: 'DEFAULT',
  body: ([x], decimals) => {
    if (decimals === 0) return x.scalar('rint');
    const scale = like(x, 10 ** Math.abs(decimals));
    return decimals > 0 ? x.mul(scale).scalar('rint').div(scale) : x.div(scale).scalar('rint').mul(scale);
  },
  gradient: (g) => [zerosLike(g)],
  check: only('round_cpu', 'float'),
});
export const round = declareInplace(
  docOf('round', 'Rounded to the nearest whole number (ties to even), or to so many decimals'),
  overload('round(Tensor self) -> Tensor', (x) => roundCall([x])),
  overload('round.decimals(Tensor self, *, int decimals) -> Tensor', (x, decimals) => roundDecimals([x], decimals, `${decimals}`)),
);

const logitCall = elementwise<number | null>({
  name: 'logit',
  kind: 'INT_TO_FLOAT',
  body: ([x], eps) => {
    const z =
      eps === null || eps < 0
        ? x
        : x.lt(eps).where(
            like(x, eps),
            like(x, 1 - eps)
              .lt(x)
              .where(like(x, 1 - eps), x),
          );
    return z.div(z.neg().add(1)).log();
  },
  gradient: (g, [x], _, eps) => {
    const slope = g.div(x.mul(x.neg().add(1)));
    if (eps === null || eps < 0) return [x.ge(0).and(x.le(1)).where(slope, Number.NaN)];
    return [
      x
        .ge(eps)
        .and(x.le(like(x, 1 - eps)))
        .where(slope, 0),
    ];
  },
  check: only('logit_cpu', 'float', 'int', 'bool'),
});
export const logit = declareInplace(
  docOf('logit', 'log(self / (1 - self)), with self clamped to [eps, 1 - eps] if eps is given'),
  overload('logit(Tensor self, float? eps=None) -> Tensor', (x, eps) => logitCall([x], eps, `${eps}`)),
);

interface Replacements {
  readonly nan: number | null;
  readonly posinf: number | null;
  readonly neginf: number | null;
  readonly largest: number;
}
const replaceIn = (x: Prim, { nan, posinf, neginf, largest }: Replacements): Prim => {
  const above = x.eq(Number.POSITIVE_INFINITY).where(posinf ?? largest, x);
  const below = x.eq(Number.NEGATIVE_INFINITY).where(neginf ?? -largest, above);
  return isNaNPrim(x).where(nan ?? 0, below);
};
const finite = (x: Prim): Prim => x.sub(x).eq(0);
const nanToNum = elementwise<Replacements>({
  name: 'nan_to_num',
  kind: 'DEFAULT',
  body: ([x], to) => {
    if (x.dtype.is_complex) return complexParts(x, (p) => replaceIn(p, to));
    return x.dtype.is_floating_point ? replaceIn(x, to) : x;
  },
  gradient: (g, [x]) => {
    if (!x.dtype.is_complex) return [finite(x).where(g, 0)];
    return [finite(x.real).and(finite(x.imag)).where(g, 0)];
  },
});
const largestOf: Readonly<Record<string, number>> = {
  float64: Number.MAX_VALUE,
  complex128: Number.MAX_VALUE,
  float16: 65504,
  bfloat16: (2 - 2 ** -7) * 2 ** 127,
};
const largestSingle = (2 - 2 ** -23) * 2 ** 127;

/** Exponent field and significand of a float, from its bits: 0.5 <= |mantissa| < 1. */
export function splitFloat(x: Prim): { readonly mantissa: Prim; readonly exponent: Prim } {
  const type = bitsType(x, int32, int64);
  const [shift, bias] = x.dtype === float64 ? [52, 1022] : [23, 126];
  const tiny = x.scalar('abs').lt(x.dtype === float64 ? 2 ** -1022 : 2 ** -126);
  // Subnormals are scaled into the normal range first.
  const scaled = tiny.where(x.mul(2 ** shift), x);
  const bits = scaled.bitcast(type);
  const field = bits.scalar('ushr', shift).and(x.dtype === float64 ? 0x7ff : 0xff);
  const keep = x.dtype === float64 ? -0x7ff0000000000001n : -0x7f800001;
  const half = bits
    .and(constant(keep, type))
    .or(constant(BigInt(bias) << BigInt(shift), type))
    .bitcast(x.dtype);
  const special = x.eq(0).or(finite(x).not());
  const exponent = field.sub(bias).sub(tiny.where(constant(shift, type), constant(0, type)));
  return { mantissa: special.where(x, half), exponent: special.where(constant(0, type), exponent) };
}

export const unaryOps = {
  exp: one('exp', 'e to the power self'),
  exp2: one('exp2', '2 to the power self'),
  expm1: one('expm1', 'e to the power self, minus 1, accurate near 0'),
  log: one('log', 'Natural logarithm'),
  log2: one('log2', 'Logarithm to the base 2'),
  log10: one('log10', 'Logarithm to the base 10'),
  log1p: one('log1p', 'log(1 + self), accurate near 0'),
  sin: one('sin', 'Sine (radians)'),
  cos: one('cos', 'Cosine (radians)'),
  tan: one('tan', 'Tangent (radians)'),
  acos,
  arccos: acos,
  acosh,
  arccosh: acosh,
  asin,
  arcsin: asin,
  asinh,
  arcsinh: asinh,
  atan,
  arctan: atan,
  atanh,
  arctanh: atanh,
  sinh: one('sinh', 'Hyperbolic sine'),
  cosh: one('cosh', 'Hyperbolic cosine'),
  tanh: { ...one('tanh', 'Hyperbolic tangent'), functional: true as const },
  sigmoid: { ...unary('sigmoid', '1 / (1 + exp(-self))', sigmoidBody, { gradient: sigmoidGradient }), functional: true as const },
  logit,
  sinc: unary('sinc', 'sin(pi self) / (pi self)', sincBody, { gradient: sincGradient }),
  deg2rad: unary('deg2rad', 'Degrees to radians', (x) => x.mul(Math.PI / 180), {
    check: noComplex('deg2rad is not supported for complex tensors.'),
  }),
  rad2deg: unary('rad2deg', 'Radians to degrees', (x) => x.mul(180 / Math.PI), {
    check: noComplex('rad2deg is not supported for complex tensors.'),
  }),
  ceil: rounding('ceil', 'Rounded up', 'ceil'),
  floor: rounding('floor', 'Rounded down', 'floor'),
  trunc,
  fix: trunc,
  round,
  frac: unary('frac', 'The part behind the point, with the sign of self', (x) => x.sub(x.scalar('trunc')), {
    kind: 'DEFAULT',
    gradient: (g) => g,
    check: only('frac_cpu', 'float'),
  }),
  nan_to_num: declareInplace(
    docOf('nan_to_num', 'NaN and infinities replaced: by 0 and the largest numbers, unless others are given'),
    overload('nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor', (x, nan, posinf, neginf) =>
      nanToNum([x], { nan, posinf, neginf, largest: largestOf[x.dtype.name] ?? largestSingle }, `${nan},${posinf},${neginf}`),
    ),
  ),
};

function complexParts(x: Prim, f: (p: Prim) => Prim): Prim {
  return complexOf(f(x.real), f(x.imag));
}
