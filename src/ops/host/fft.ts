/**
 * Discrete Fourier transforms over rows, in float64: lengths whose prime factors are small by Stockham's algorithm (radix by radix, no bit
 * reversal), others by Bluestein's chirp convolution of the next power of two. Unnormalized in both directions.
 */

export interface ComplexRow {
  re: Float64Array;
  im: Float64Array;
}

const largestRadix = 13;

/** Radices of a length, largest first, or null where a prime factor is too large. */
function radicesOf(n: number): number[] | null {
  const out: number[] = [];
  let rest = n;
  while (rest % 4 === 0) {
    out.push(4);
    rest /= 4;
  }
  for (let p = 2; p <= largestRadix; p++)
    while (rest % p === 0) {
      out.push(p);
      rest /= p;
    }
  return rest === 1 ? out : null;
}

interface Plan {
  readonly n: number;
  readonly radices: readonly number[] | null;
  /** e^(-2 pi i k / n). */
  readonly cos: Float64Array;
  readonly sin: Float64Array;
  readonly chirp: Bluestein | null;
  readonly work: ComplexRow;
}
interface Bluestein {
  readonly size: number;
  /** e^(-pi i k^2 / n). */
  readonly re: Float64Array;
  readonly im: Float64Array;
  /** Transform of the conjugate chirp. */
  readonly kernel: ComplexRow;
}

const plans = new Map<number, Plan>();
const mostPlans = 64;
const row = (n: number): ComplexRow => ({ re: new Float64Array(n), im: new Float64Array(n) });

function planOf(n: number): Plan {
  const known = plans.get(n);
  if (known !== undefined) return known;
  const radices = radicesOf(n);
  const cos = new Float64Array(n);
  const sin = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    cos[k] = Math.cos((2 * Math.PI * k) / n);
    sin[k] = -Math.sin((2 * Math.PI * k) / n);
  }
  const plan: Plan = { n, radices, cos, sin, chirp: radices === null ? makeChirp(n) : null, work: row(n) };
  if (plans.size >= mostPlans) plans.delete(plans.keys().next().value!);
  plans.set(n, plan);
  return plan;
}

function makeChirp(n: number): Bluestein {
  let size = 1;
  while (size < 2 * n - 1) size *= 2;
  const re = new Float64Array(n);
  const im = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    // k^2 modulo 2n keeps the angle exact.
    const angle = (Math.PI * ((k * k) % (2 * n))) / n;
    re[k] = Math.cos(angle);
    im[k] = -Math.sin(angle);
  }
  const kernel = row(size);
  for (let k = 0; k < n; k++) {
    kernel.re[k] = re[k];
    kernel.im[k] = -im[k];
    if (k > 0) {
      kernel.re[size - k] = re[k];
      kernel.im[size - k] = -im[k];
    }
  }
  transform(kernel);
  return { size, re, im, kernel };
}

/** The transform of a row in place: sum of x[j] e^(-2 pi i j k / n). */
export function transform(x: ComplexRow): void {
  const n = x.re.length;
  if (n <= 1) return;
  const plan = planOf(n);
  if (plan.radices === null) bluestein(plan, x);
  else stockham(plan, plan.radices, x);
}
/** The same with e^(+2 pi i j k / n). */
export function inverseTransform(x: ComplexRow): void {
  const { re, im } = x;
  // Swapping the parts before and after conjugates both sides.
  x.re = im;
  x.im = re;
  transform(x);
  const swapped = x.re;
  x.re = x.im;
  x.im = swapped;
}

function stockham({ n, cos, sin, work }: Plan, radices: readonly number[], x: ComplexRow): void {
  let source = x;
  let target = work;
  let length = n;
  let stride = 1;
  for (const r of radices) {
    const part = length / r;
    const step = n / length;
    const turn = n / r;
    for (let p = 0; p < part; p++) {
      for (let q = 0; q < stride; q++) {
        for (let k = 0; k < r; k++) {
          let sumRe = 0;
          let sumIm = 0;
          for (let j = 0; j < r; j++) {
            const at = q + stride * (p + part * j);
            const w = ((j * k) % r) * turn;
            sumRe += source.re[at] * cos[w] - source.im[at] * sin[w];
            sumIm += source.re[at] * sin[w] + source.im[at] * cos[w];
          }
          const w = (p * k * step) % n;
          const to = q + stride * (r * p + k);
          target.re[to] = sumRe * cos[w] - sumIm * sin[w];
          target.im[to] = sumRe * sin[w] + sumIm * cos[w];
        }
      }
    }
    const swap = source;
    source = target;
    target = swap;
    length = part;
    stride *= r;
  }
  if (source !== x) {
    x.re.set(source.re);
    x.im.set(source.im);
  }
}

function bluestein({ n, chirp }: Plan, x: ComplexRow): void {
  const { size, re, im, kernel } = chirp!;
  const a = row(size);
  for (let k = 0; k < n; k++) {
    a.re[k] = x.re[k] * re[k] - x.im[k] * im[k];
    a.im[k] = x.re[k] * im[k] + x.im[k] * re[k];
  }
  transform(a);
  for (let k = 0; k < size; k++) {
    const p = a.re[k] * kernel.re[k] - a.im[k] * kernel.im[k];
    a.im[k] = a.re[k] * kernel.im[k] + a.im[k] * kernel.re[k];
    a.re[k] = p;
  }
  inverseTransform(a);
  for (let k = 0; k < n; k++) {
    const p = a.re[k] / size;
    const q = a.im[k] / size;
    x.re[k] = p * re[k] - q * im[k];
    x.im[k] = p * im[k] + q * re[k];
  }
}
