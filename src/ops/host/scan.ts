/**
 * Running sums, products, extremes and log-sum-exps along an axis, on the host.
 *
 * As in PyTorch's CPU kernels, floats accumulate in float64 and are rounded at every element written; integers wrap. Complex numbers are interleaved. `reverse` runs from the end: gradients of scans are scans.
 */
import type { HostArray, LibraryFunction } from '../../graph/library.ts';
import { callLibrary, constant, type Prim } from '../../graph/prim.ts';
import { forEachRow, rowData, sizeOf, words } from './rows.ts';

export interface ScanConstants {
  readonly axis: number;
  readonly reverse: boolean;
}

type Scan = LibraryFunction<ScanConstants>;

/** Visits the positions of every row in the direction of the scan. */
function scanRows(x: HostArray, { axis, reverse }: ScanConstants, start: () => void, step: (at: number) => void): void {
  const length = x.shape[axis];
  const stride = sizeOf(x.shape.slice(axis + 1));
  if (length === 0) return;
  forEachRow(x.shape, axis, (first) => {
    start();
    if (reverse) for (let i = length - 1; i >= 0; i--) step(first + i * stride);
    else for (let i = 0; i < length; i++) step(first + i * stride);
  });
}

/** Running sums or products of real floats and int32. Rows that are not contiguous advance together, one accumulator each. */
function accumulateReal(kind: 'sum' | 'prod', x: HostArray, out: HostArray, { axis, reverse }: ScanConstants): void {
  const [source, target] = [rowData(x), rowData(out)];
  const length = x.shape[axis];
  const stride = sizeOf(x.shape.slice(axis + 1));
  const outer = sizeOf(x.shape.slice(0, axis));
  const [start, step] = reverse ? [length - 1, -1] : [0, 1];
  const initial = kind === 'sum' ? 0 : 1;
  const totals = new Float64Array(stride);
  for (let o = 0; o < outer; o++) {
    const base = o * length * stride;
    if (stride === 1) {
      let total = initial;
      let at = base + start;
      if (kind === 'sum')
        for (let i = 0; i < length; i++, at += step) {
          total += source[at];
          target[at] = total;
        }
      else
        for (let i = 0; i < length; i++, at += step) {
          total *= source[at];
          target[at] = total;
        }
      continue;
    }
    totals.fill(initial);
    for (let i = 0; i < length; i++) {
      const row = base + (start + i * step) * stride;
      if (kind === 'sum') for (let j = 0; j < stride; j++) target[row + j] = totals[j] += source[row + j];
      else for (let j = 0; j < stride; j++) target[row + j] = totals[j] *= source[row + j];
    }
  }
}

/** Sums of int64 by halves: no bigint is made. */
function sumLong(x: HostArray, out: HostArray, c: ScanConstants): void {
  const [source, target] = [words(x.data), words(out.data)];
  let [low, high] = [0, 0];
  scanRows(
    x,
    c,
    () => {
      low = 0;
      high = 0;
    },
    (at) => {
      low += source[2 * at] >>> 0;
      high = (high + source[2 * at + 1] + (low > 0xffffffff ? 1 : 0)) | 0;
      low >>>= 0;
      target[2 * at] = low;
      target[2 * at + 1] = high;
    },
  );
}

function multiplyLong(x: HostArray, out: HostArray, c: ScanConstants): void {
  const [source, target] = [x.data as BigInt64Array, out.data as BigInt64Array];
  let product = 1n;
  scanRows(
    x,
    c,
    () => {
      product = 1n;
    },
    (at) => {
      product = BigInt.asIntN(64, product * source[at]);
      target[at] = product;
    },
  );
}

function accumulateComplex(kind: 'sum' | 'prod', x: HostArray, out: HostArray, c: ScanConstants): void {
  const [source, target] = [rowData(x), rowData(out)];
  let [re, im] = [0, 0];
  scanRows(
    x,
    c,
    () => {
      re = kind === 'sum' ? 0 : 1;
      im = 0;
    },
    (at) => {
      const [a, b] = [source[2 * at], source[2 * at + 1]];
      if (kind === 'sum') [re, im] = [re + a, im + b];
      else [re, im] = [re * a - im * b, re * b + im * a];
      target[2 * at] = re;
      target[2 * at + 1] = im;
    },
  );
}

function accumulate(kind: 'sum' | 'prod', x: HostArray, out: HostArray, c: ScanConstants): void {
  if (x.dtype.is_complex) accumulateComplex(kind, x, out, c);
  else if (!(x.data instanceof BigInt64Array)) accumulateReal(kind, x, out, c);
  else if (kind === 'sum') sumLong(x, out, c);
  else multiplyLong(x, out, c);
}

const like = (p: Prim): readonly [{ readonly shape: Prim['shape']; readonly dtype: Prim['dtype'] }] => [{ shape: p.shape, dtype: p.dtype }];
const scanOf = (fn: Scan, p: Prim, c: ScanConstants): Prim => callLibrary(fn, [p], like(p), c)[0];
const turned = (c: ScanConstants): ScanConstants => ({ axis: c.axis, reverse: !c.reverse });

export const cumsumFunction: Scan = {
  name: 'cumsum',
  vjp: ([g], _, __, c) => [g && scanOf(cumsumFunction, g, turned(c))],
  run: ([x], [out], c) => accumulate('sum', x, out, c),
};

// With no zero in x, dL/dx = (sum from here on of g y) / x. Up to the first zero that holds too (later products are 0); for the first zero itself the
// products are those without it; after it all gradients are 0.
export const cumprodFunction: Scan = {
  name: 'cumprod',
  vjp: ([g], [x], [y], c) => {
    if (!g) return [null];
    const back = turned(c);
    const zero = x.eq(0);
    const zeros = scanOf(cumsumFunction, zero.cast(x.dtype.real), c);
    const first = zero.and(zeros.eq(1));
    const one = constant(1, x.dtype);
    const without = scanOf(cumprodFunction, first.where(one, x), c);
    const atZero = scanOf(cumsumFunction, g.mul(without.conj()), back);
    const before = scanOf(cumsumFunction, g.mul(y.conj()), back).div(zero.where(one, x).conj());
    return [first.where(atZero, zeros.eq(0).where(before, 0))];
  },
  run: ([x], [out], c) => accumulate('prod', x, out, c),
};

/** log(e^a + e^b) for finite, infinite and NaN operands. */
function logAddExp(a: number, b: number): number {
  const most = Math.max(a, b);
  const least = Math.min(a, b);
  if (least === most && !Number.isFinite(most)) return most;
  return most + Math.log1p(Math.exp(least - most));
}

/** The same for complex numbers, ordered by their real parts; PyTorch's `_log_add_exp_helper`. */
function complexLogAddExp(ar: number, ai: number, br: number, bi: number): readonly [number, number] {
  if (ar !== ar || ai !== ai || br !== br || bi !== bi) return [NaN, NaN];
  const smaller = ar < br || (ar === br && ai <= bi);
  const [mr, mi, lr, li] = smaller ? [br, bi, ar, ai] : [ar, ai, br, bi];
  if (!Number.isFinite(lr) && lr === mr) {
    if (lr < 0) return [lr, li];
    // Both +inf: the phases add.
    return [Infinity, Math.atan2(Math.sin(ai) + Math.sin(bi), Math.cos(ai) + Math.cos(bi))];
  }
  if (mr === -Infinity) return [mr, mi];
  const scale = Math.exp(lr - mr);
  const [re, im] = [scale * Math.cos(li - mi), scale * Math.sin(li - mi)];
  // log(1 + z) without losing small z.
  return [mr + 0.5 * Math.log1p(re * (2 + re) + im * im), mi + Math.atan2(im, 1 + re)];
}

export const logcumsumexpFunction: Scan = {
  name: 'logcumsumexp',
  vjp: ([g], [x], [y], c) => {
    if (!g) return [null];
    const back = turned(c);
    if (x.dtype.is_complex) return [scanOf(logcumsumexpFunction, g.log().sub(y.conj()), back).add(x.conj()).exp()];
    // Positive and negative gradients apart, so that all sums are of logarithms.
    const size = g.scalar('abs').log();
    const part = (where: Prim): Prim =>
      scanOf(logcumsumexpFunction, where.where(size.sub(y), -Infinity), back)
        .add(x)
        .exp();
    return [part(g.gt(0)).sub(part(g.lt(0)))];
  },
  run: ([x], [out], c) => {
    const [source, target] = [rowData(x), rowData(out)];
    if (x.dtype.is_complex) {
      let [re, im] = [0, 0];
      scanRows(
        x,
        c,
        () => {
          [re, im] = [-Infinity, 0];
        },
        (at) => {
          [re, im] = re === -Infinity ? [source[2 * at], source[2 * at + 1]] : complexLogAddExp(source[2 * at], source[2 * at + 1], re, im);
          target[2 * at] = re;
          target[2 * at + 1] = im;
        },
      );
      return;
    }
    let total = -Infinity;
    scanRows(
      x,
      c,
      () => {
        total = -Infinity;
      },
      (at) => {
        total = logAddExp(source[at], total);
        target[at] = total;
      },
    );
  },
};

/** Positions of the running largest or smallest: the last of equals, the latest NaN. */
const extremePositions = (name: 'cummax' | 'cummin'): LibraryFunction<ScanConstants> => ({
  name,
  run: ([x], [out], c) => {
    const source = rowData(x);
    const target = words(out.data);
    const sign = name === 'cummax' ? 1 : -1;
    const stride = sizeOf(x.shape.slice(c.axis + 1));
    let [first, best, fresh] = [0, 0, true];
    scanRows(
      x,
      c,
      () => {
        fresh = true;
      },
      (at) => {
        if (fresh) {
          [first, best, fresh] = [at, at, false];
        } else {
          const [v, b] = [source[at], source[best]];
          if (v !== v || (b === b && (sign > 0 ? v >= b : v <= b))) best = at;
        }
        target[2 * at] = (best - first) / stride;
        target[2 * at + 1] = 0;
      },
    );
  },
});
export const cummaxFunction = extremePositions('cummax');
export const cumminFunction = extremePositions('cummin');
