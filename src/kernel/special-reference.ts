/**
 * Special functions in double precision for the reference interpreter: erf, erfc, erfinv, lgamma, digamma, and an exact fma.
 *
 * Textbook series and continued fractions, run to convergence: slow, simple, good to some 1e-15. The formulas that kernels run are in
 * `decompose.ts`; these only judge them.
 */

const inverseSqrtPi = 0.5641895835477563;

/** exp(-x^2) without the rounding error of x^2. */
function expMinusSquare(x: number): number {
  const high = Math.fround(x);
  return Math.exp(-high * high) * Math.exp(-(x - high) * (x + high));
}

export function erf(x: number): number {
  const a = Math.abs(x);
  if (a !== a) return x;
  if (a > 2.5) return Math.sign(x) * (1 - erfc(a));
  // erf(x) = 2/sqrt(pi) exp(-x^2) sum 2^n x^(2n+1) / (1 * 3 * ... * (2n+1)): all terms of one sign
  let term = x;
  let sum = x;
  for (let n = 1; n < 200 && Math.abs(term) > Math.abs(sum) * 1e-18; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return 2 * inverseSqrtPi * expMinusSquare(x) * sum;
}

export function erfc(x: number): number {
  if (x !== x) return x;
  if (x < 1) return 1 - erf(x);
  if (x > 28) return 0;
  let tail = 0; // continued fraction x + (1/2)/(x + 1/(x + (3/2)/(x + ...))), from behind
  for (let k = 400; k >= 1; k--) tail = k / 2 / (x + tail);
  return (expMinusSquare(x) * inverseSqrtPi) / (x + tail);
}

export function erfinv(y: number): number {
  if (!(Math.abs(y) < 1)) return Math.abs(y) === 1 ? y * Infinity : Number.NaN;
  if (y === 0) return y;
  const a = Math.abs(y);
  const logarithm = Math.log1p(-a * a);
  const t = 2 / (Math.PI * 0.147) + logarithm / 2; // Winitzki's start, then Newton
  let x = Math.sqrt(Math.sqrt(t * t - logarithm / 0.147) - t);
  for (let i = 0; i < 6; i++) {
    const error = x > 1 ? 1 - a - erfc(x) : erf(x) - a;
    const step = error / (2 * inverseSqrtPi * expMinusSquare(x));
    x -= step / (1 + x * step); // Halley
  }
  return y < 0 ? -x : x;
}

export function lgamma(x: number): number {
  if (x !== x || x === Infinity) return x;
  if (x === -Infinity) return Infinity;
  if (x <= 0) {
    if (Number.isInteger(x)) return Infinity;
    const fraction = x - 2 * Math.round(x / 2);
    return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * fraction))) - lgamma(1 - x);
  }
  if (x === 1 || x === 2) return 0;
  let shift = 1;
  let z = x;
  while (z < 15) shift *= z++;
  const w = 1 / (z * z);
  const series = (((((-691 / 360360) * w + 1 / 1188) * w - 1 / 1680) * w + 1 / 1260) * w - 1 / 360) * w + 1 / 12;
  return (z - 0.5) * Math.log(z) - z + 0.9189385332046727 + series / z - Math.log(shift);
}

export function digamma(x: number): number {
  if (x === 0) return Object.is(x, -0) ? Infinity : -Infinity;
  if (x < 0) {
    if (Number.isInteger(x) || x === -Infinity) return Number.NaN;
    const fraction = x - Math.trunc(x);
    return digamma(1 - x) - Math.PI / Math.tan(Math.PI * fraction);
  }
  let z = x;
  let result = 0;
  while (z < 12) result -= 1 / z++;
  const w = 1 / (z * z);
  const series = ((((((691 / 32760) * w - 1 / 132) * w + 1 / 240) * w - 1 / 252) * w + 1 / 120) * w - 1 / 12) * w;
  return result + Math.log(z) - 0.5 / z + (z === Infinity ? 0 : series);
}

const view = new DataView(new ArrayBuffer(8));

/** A finite double as integer * 2^exponent. */
function decompose(x: number): [mantissa: bigint, exponent: number] {
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const field = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const magnitude = field === 0 ? fraction : fraction | 0x10000000000000n;
  return [bits >> 63n ? -magnitude : magnitude, Math.max(field, 1) - 1075];
}

/** integer * 2^exponent rounded to nearest even. */
function compose(integer: bigint, exponent: number): number {
  let magnitude = integer < 0n ? -integer : integer;
  const length = magnitude.toString(2).length;
  const drop = Math.max(length - 53, -1074 - exponent);
  if (drop > 0) {
    const unit = 1n << BigInt(drop);
    const rest = magnitude & (unit - 1n);
    magnitude >>= BigInt(drop);
    if (rest * 2n > unit || (rest * 2n === unit && magnitude & 1n)) magnitude += 1n;
    exponent += drop;
  }
  // in two steps, as 2^exponent alone may overflow or vanish; both products are exact or overflow for good
  const half = Math.trunc(exponent / 2);
  const value = Number(magnitude) * 2 ** half * 2 ** (exponent - half);
  return integer < 0n ? -value : value;
}

/** a * b + c with one rounding. */
export function fma64(a: number, b: number, c: number): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a * b + c;
  if (!Number.isFinite(c)) return c; // a * b may overflow in double; exactly it is finite
  if (a === 0 || b === 0) return a * b + c;
  const [ma, ea] = decompose(a);
  const [mb, eb] = decompose(b);
  const [mc, ec] = decompose(c);
  const low = Math.min(ea + eb, ec);
  const sum = ((ma * mb) << BigInt(ea + eb - low)) + (mc << BigInt(ec - low));
  // an exact zero of operands that cancel is +0, of equal signs (c is a zero) keeps the sign
  return sum === 0n ? (c === 0 ? a * b + c : 0) : compose(sum, low);
}

/** The same for float32 operands: the product is exact in double, the sum is rounded to odd before it is rounded to float32. */
export function fma32(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  if (!Number.isFinite(sum)) return Math.fround(sum);
  const back = sum - product;
  const error = product - (sum - back) + (c - back);
  if (error === 0) return Math.fround(sum);
  view.setFloat64(0, sum);
  const bits = view.getBigInt64(0);
  if ((bits & 1n) === 0n) {
    view.setBigInt64(0, error > 0 === sum > 0 ? bits + 1n : bits - 1n);
    return Math.fround(view.getFloat64(0));
  }
  return Math.fround(sum);
}
