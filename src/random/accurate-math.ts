/**
 * `log`, `exp`, `sin`, `cos` and `tan` in float64, right to the last bit but for rare near-ties.
 *
 * The C library behind PyTorch's CPU kernels errs by hardly more than half a unit in the last place, JavaScript's own functions by up
 * to one, so float64 streams would differ in their last bit. Here every function is a table look-up in double-double and a
 * short polynomial in a small remainder whose rounding error no longer reaches the result. The tables are made once, from
 * 120-bit integers. Domain: what random streams need (finite arguments; `sin` and `cos` up to a few thousand).
 */

// Error-free transformations; the rounding error of the last one is left in `error`.
let error = 0;
function twoSum(a: number, b: number): number {
  const s = a + b;
  const t = s - a;
  error = a - (s - t) + (b - t);
  return s;
}
const SPLITTER = 2 ** 27 + 1;
function twoProduct(a: number, b: number): number {
  const p = a * b;
  const ta = SPLITTER * a;
  const ah = ta - (ta - a);
  const al = a - ah;
  const tb = SPLITTER * b;
  const bh = tb - (tb - b);
  const bl = b - bh;
  error = ah * bh - p + ah * bl + al * bh + al * bl;
  return p;
}

/** a * b + c, rounded once but for rare near-ties. */
export function fma(a: number, b: number, c: number): number {
  const p = twoProduct(a, b);
  const e1 = error;
  const s = twoSum(p, c);
  return s + (error + e1);
}

const f64 = new Float64Array(1);
const words = new Uint32Array(f64.buffer);

/**
 * a * b + c of float32 numbers with one rounding. The product is exact in float64, so rounding the float64 sum again goes wrong only where that
 * sum has landed on the middle between two float32 numbers; there the lost rest decides. (Results are normal numbers.)
 */
export function fmaf(a: number, b: number, c: number): number {
  const p = a * b;
  const s = p + c;
  f64[0] = s;
  if ((words[0]! & 0x1fffffff) !== 0x10000000) return Math.fround(s);
  const t = s - p;
  const rest = p - (s - t) + (c - t);
  if (rest !== 0) words[0] = words[0]! + (rest > 0 === s > 0 ? 1 : -1);
  return Math.fround(f64[0]!);
}

const BITS = 120n;
const ONE = 1n << BITS;
const mul = (a: bigint, b: bigint): bigint => (a * b) >> BITS;

/** A fixed-point number as an unevaluated sum of doubles, the first ones cut to `bits` significant bits. */
function split(value: bigint, parts: number, bits = 53): number[] {
  const out: number[] = [];
  let rest = value;
  for (let i = 0; i < parts; i++) {
    let part = Number(rest);
    if (i < parts - 1 && bits < 53 && part !== 0) {
      const unit = 2 ** (Math.floor(Math.log2(Math.abs(part))) - bits + 1);
      part = Math.round(part / unit) * unit;
    }
    out.push(part * 2 ** -120);
    rest -= BigInt(part);
  }
  return out;
}

/** 2 atanh(n/d), which is log((d + n) / (d - n)). */
function logOfRatio(n: bigint, d: bigint): bigint {
  const s = (n * ONE) / d;
  const square = mul(s, s);
  let sum = 0n;
  for (let power = s, k = 1n; power !== 0n && power !== -1n; power = mul(power, square), k += 2n) sum += power / k;
  return 2n * sum;
}
const LN2_BIG = logOfRatio(1n, 3n);

/** e^x, and cos x + i sin x, by Taylor's series for a fixed-point x of moderate size. */
function expBig(x: bigint): bigint {
  let sum = ONE;
  for (let term = x, k = 2n; term !== 0n; term = mul(term, x) / k, k++) sum += term;
  return sum;
}
function sinCosBig(x: bigint): [bigint, bigint] {
  let sin = 0n;
  let cos = 0n;
  let term = ONE;
  for (let k = 0n; term !== 0n && k < 200n; k++) {
    const signed = k & 2n ? -term : term;
    if (k & 1n) sin += signed;
    else cos += signed;
    term = (term * x) / (ONE * (k + 1n));
  }
  return [sin, cos];
}
/** Machin's formula. */
function piBig(): bigint {
  const arctan = (d: bigint): bigint => {
    let sum = 0n;
    let power = ONE / d;
    for (let k = 1n; power !== 0n; k += 2n) {
      sum += k & 2n ? -power / k : power / k;
      power /= d * d;
    }
    return sum;
  };
  return 4n * (4n * arctan(5n) - arctan(239n));
}
const PI_BIG = piBig();

function tableOf(count: number, entry: (index: number) => bigint): Float64Array {
  return Float64Array.from(Array.from({ length: count }, (_, i) => split(entry(i), 2)).flat());
}
const [LN2_HIGH, LN2_LOW] = split(LN2_BIG, 2, 40) as [number, number];
const [STEP1, STEP2, STEP3] = split(PI_BIG / 64n, 3, 36) as [number, number, number];
const [EXP1, EXP2, EXP3] = split(LN2_BIG / 64n, 3, 36) as [number, number, number];
const LOG_FIRST = 45; // centres j/64 for a mantissa in [sqrt(1/2), sqrt(2))
const logTable = tableOf(47, (i) => logOfRatio(BigInt(i + LOG_FIRST - 64), BigInt(i + LOG_FIRST + 64)));
const sinTable = tableOf(128, (i) => sinCosBig((PI_BIG * BigInt(i <= 64 ? i : i - 128)) / 64n)[0]);
const cosTable = tableOf(128, (i) => sinCosBig((PI_BIG * BigInt(i <= 64 ? i : i - 128)) / 64n)[1]);
const expTable = tableOf(64, (i) => expBig((LN2_BIG * BigInt(i)) / 64n));

export function log(x: number): number {
  if (!(x > 0) || x === Infinity || x < 2 ** -1022) return Math.log(x);
  f64[0] = x;
  let k = (words[1]! >>> 20) - 1023;
  words[1] = (words[1]! & 0xfffff) | 0x3ff00000;
  let m = f64[0]!;
  if (m > Math.SQRT2) {
    m /= 2;
    k++;
  }
  const j = Math.round(m * 64);
  const c = j / 64;
  // log(m / c) = 2 atanh(s), s = (m - c) / (m + c) = s0 + s1
  const top = m - c;
  const bottom = twoSum(m, c);
  const bottomLow = error;
  const s0 = top / bottom;
  const back = twoProduct(s0, bottom);
  const s1 = (top - back - error - s0 * bottomLow) / bottom;
  const z = s0 * s0;
  const tail = 2 * s0 * z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z / 11))));
  const at = 2 * (j - LOG_FIRST);
  const sum = twoSum(k * LN2_HIGH, logTable[at]!);
  const e1 = error;
  const high = twoSum(sum, 2 * s0);
  return high + (error + e1 + (k * LN2_LOW + logTable[at + 1]! + 2 * s1 + tail));
}

export function exp(x: number): number {
  if (!(Math.abs(x) < 700)) return Math.exp(x);
  const k = Math.round((x * 64) / Math.LN2);
  const r = twoSum(x - k * EXP1, -k * EXP2);
  const low = error - k * EXP3;
  const at = 2 * (((k % 64) + 64) % 64);
  const tail = low + r * r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r / 720))));
  const scale = expTable[at]!;
  const product = twoProduct(scale, r);
  const e1 = error;
  const high = twoSum(scale, product);
  return (high + (error + e1 + (expTable[at + 1]! * (1 + r) + scale * tail))) * 2 ** Math.floor(k / 64);
}

/** S + C * r for the table entries of an angle: the sum's head is returned, its tail is left in `error`. */
function rotate(s: Float64Array, c: Float64Array, sign: number, at: number, r: number, low: number): number {
  const z = r * r;
  const sinTail = low - r * z * (1 / 6 - z * (1 / 120 - z * (1 / 5040 - z / 362880)));
  const cosTail = -z * (1 / 2 - z * (1 / 24 - z * (1 / 720 - z / 40320))) - r * low;
  const head = sign * c[at]!;
  const product = twoProduct(head, r);
  const e1 = error;
  const high = twoSum(s[at]!, product);
  const rest = error + e1 + (s[at + 1]! + sign * c[at + 1]! * r + s[at]! * cosTail + head * sinTail);
  const result = high + rest;
  error = high - result + rest;
  return result;
}

let remainder = 0;
let remainderLow = 0;
/** x - k pi/64 as a double-double; returns the table position of k. */
function reduce(x: number): number {
  const k = Math.round((x * 64) / Math.PI);
  remainder = twoSum(x - k * STEP1, -k * STEP2);
  remainderLow = error - k * STEP3;
  return 2 * (((k % 128) + 128) % 128);
}

export function sin(x: number): number {
  const at = reduce(x);
  return rotate(sinTable, cosTable, 1, at, remainder, remainderLow);
}

export function cos(x: number): number {
  const at = reduce(x);
  return rotate(cosTable, sinTable, -1, at, remainder, remainderLow);
}

export function tan(x: number): number {
  const at = reduce(x);
  const s = rotate(sinTable, cosTable, 1, at, remainder, remainderLow);
  const sLow = error;
  const c = rotate(cosTable, sinTable, -1, at, remainder, remainderLow);
  const cLow = error;
  const q = s / c;
  const back = twoProduct(q, c);
  return q + (s - back - error + sLow - q * cLow) / c;
}
