/**
 * Judging: `torch.testing.assert_close`'s rules, per dtype, with NaN equal to NaN.
 *
 * A mismatch is a text (the first difference, counts, the largest error in units of the tolerance), agreement is null.
 */
import { formatOf, type HostTensor, numbers, roundTo, ulpOf } from './host.ts';

/** Relative and absolute tolerance of each dtype; integers and bool are exact. */
const defaults: Readonly<Record<string, readonly [rtol: number, atol: number]>> = {
  float64: [1e-7, 1e-7],
  float32: [1.3e-6, 1e-5],
  float16: [1e-3, 1e-5],
  bfloat16: [1.6e-2, 1e-5],
  complex128: [1e-7, 1e-7],
  complex64: [1.3e-6, 1e-5],
  complex32: [1e-3, 1e-5],
};

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** Shape and dtype only. */
export function compareForm(actual: HostTensor, expected: HostTensor): string | null {
  if (actual.dtype !== expected.dtype) return `dtype ${actual.dtype} instead of ${expected.dtype}`;
  if (shapeText(actual.shape) !== shapeText(expected.shape))
    return `shape ${shapeText(actual.shape)} instead of ${shapeText(expected.shape)}`;
  return null;
}

/** `assert_close(actual, expected, equal_nan=True)`, its tolerances times `factor`. */
export function compare(actual: HostTensor, expected: HostTensor, factor = 1): string | null {
  return compareForm(actual, expected) ?? compareValues(actual, expected, factor);
}

export function compareValues(actual: HostTensor, expected: HostTensor, factor = 1): string | null {
  const { kind } = formatOf(expected.dtype);
  if (kind === 'int' || kind === 'bool') return compareBytes(actual, expected);
  const [rtol, atol] = defaults[expected.dtype] ?? [0, 0];
  return compareClose(numbers(actual), numbers(expected), rtol * factor, atol * factor, kind === 'complex');
}

function compareBytes(actual: HostTensor, expected: HostTensor): string | null {
  const { itemsize } = formatOf(expected.dtype);
  const a = actual.bytes;
  const e = expected.bytes;
  let wrong = 0;
  let first = -1;
  for (let i = 0; i < e.length; i += itemsize) {
    let same = true;
    for (let k = 0; k < itemsize; k++) if (a[i + k] !== e[i + k]) same = false;
    if (same) continue;
    wrong++;
    if (first < 0) first = i / itemsize;
  }
  if (wrong === 0) return null;
  return `${wrong} of ${e.length / itemsize} differ, first at ${first}: ${numbers(actual)[first]} instead of ${numbers(expected)[first]}`;
}

/** |a - e| <= atol + rtol |e|, or equal, or both NaN. Complex numbers by modulus. */
export function compareClose(a: Float64Array, e: Float64Array, rtol: number, atol: number, complex = false): string | null {
  const step = complex ? 2 : 1;
  let wrong = 0;
  let first = '';
  let worst = 0;
  for (let i = 0; i < e.length; i += step) {
    const excess = complex ? excessOfPair(a, e, i, rtol, atol) : excessOf(a[i], e[i], rtol, atol);
    if (excess <= 1) continue;
    wrong++;
    if (first === '') first = `at ${i / step}: ${valueText(a, i, complex)} instead of ${valueText(e, i, complex)}`;
    worst = Math.max(worst, excess);
  }
  return wrong === 0 ? null : `${wrong} of ${e.length / step} differ (up to ${worst.toPrecision(3)} x tolerance), first ${first}`;
}
const valueText = (x: Float64Array, i: number, complex: boolean): string => (complex ? `${x[i]}+${x[i + 1]}j` : String(x[i]));

/** The error in units of what is allowed; infinite where no tolerance applies. */
function excessOf(a: number, e: number, rtol: number, atol: number): number {
  if (a === e || (Number.isNaN(a) && Number.isNaN(e))) return 0;
  const error = Math.abs(a - e);
  if (!Number.isFinite(error)) return Number.POSITIVE_INFINITY;
  return error / (atol + rtol * Math.abs(e));
}
function excessOfPair(a: Float64Array, e: Float64Array, i: number, rtol: number, atol: number): number {
  if (a[i] === e[i] && a[i + 1] === e[i + 1]) return 0;
  const bothNaN = (Number.isNaN(a[i]) || Number.isNaN(a[i + 1])) && (Number.isNaN(e[i]) || Number.isNaN(e[i + 1]));
  if (bothNaN) return 0;
  const error = Math.hypot(a[i] - e[i], a[i + 1] - e[i + 1]);
  if (!Number.isFinite(error)) return Number.POSITIVE_INFINITY;
  return error / (atol + rtol * Math.hypot(e[i], e[i + 1]));
}

/**
 * The low-precision rule: `actual` equals `exact` (the same call in float32 or float64) rounded once, within one unit in the last place.
 * `exact` itself must be near the recorded result, so that a call that is wrong in every precision does not confirm itself.
 */
export function agreesRounded(actual: HostTensor, exact: HostTensor, expected: HostTensor): boolean {
  if (compareForm(actual, expected) !== null || exact.shape.join() !== expected.shape.join()) return false;
  const a = numbers(actual);
  const x = numbers(exact);
  const e = numbers(expected);
  let largest = 0;
  for (const v of e) if (Number.isFinite(v)) largest = Math.max(largest, Math.abs(v));
  for (let i = 0; i < a.length; i++) {
    const rounded = roundTo(actual.dtype, x[i]);
    if (a[i] === rounded || (Number.isNaN(a[i]) && Number.isNaN(rounded))) {
      if (Number.isNaN(a[i]) !== Number.isNaN(e[i])) return false;
    } else if (!(Math.abs(a[i] - rounded) <= Math.max(ulpOf(actual.dtype, a[i]), ulpOf(actual.dtype, rounded)))) return false;
    if (Number.isFinite(e[i]) && !(Math.abs(x[i] - e[i]) <= 0.1 * largest + 1e-2)) return false;
  }
  return true;
}

/** Two-sample Kolmogorov-Smirnov at a level that ten thousand records do not reach by chance; for generators other than the CPU's. */
export function sameDistribution(actual: HostTensor, expected: HostTensor): string | null {
  const a = numbers(actual).sort();
  const e = numbers(expected).sort();
  const n = a.length;
  if (n === 0) return null;
  if (a.some((x) => Number.isNaN(x)) && !e.some((x) => Number.isNaN(x))) return 'NaN among the draws';
  let i = 0;
  let j = 0;
  let distance = 0;
  while (i < n && j < n) {
    const x = Math.min(a[i], e[j]);
    while (i < n && a[i] <= x) i++;
    while (j < n && e[j] <= x) j++;
    distance = Math.max(distance, Math.abs(i - j) / n);
  }
  const limit = Math.sqrt((-Math.log(5e-8) / 2) * (2 / n));
  return distance > limit ? `distribution: distance ${distance.toFixed(3)} over ${limit.toFixed(3)}` : null;
}

/** A number against a recorded scalar, as float64 unless a dtype is named. */
export function compareScalar(actual: number, expected: number, dtype = 'float64', factor = 1): string | null {
  const [rtol, atol] = defaults[dtype] ?? [0, 0];
  return excessOf(actual, expected, rtol * factor, atol * factor) <= 1 ? null : `${actual} instead of ${expected}`;
}
