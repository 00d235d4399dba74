/**
 * Numbers that follow from number arguments.
 *
 * A position that grows by one at each call is no reason to trace each call. Two traces of one structure say how sizes, offsets, parameters
 * and small data follow from the arguments (linearly, in whole numbers, or as the argument itself); the third has to agree. Sizes below 2
 * mean other things than larger ones, and library code may say where else its decisions end (`decides`): outside of that range, and whenever an argument has
 * doubled since a trace last agreed, a call is traced again.
 */

import { viewArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import { bind, type Pattern } from '../schedule/symbols.ts';
import type { Plan } from './plan.ts';

/** base + slope * variable. */
interface Line {
  readonly variable: number;
  readonly base: number;
  readonly slope: number;
}
interface Placed extends Line {
  readonly at: number;
}
interface Range {
  low: number;
  high: number;
}

/** A trace that was kept: the numbers that it was made with, and what came of it. */
export interface Sighting {
  readonly numbers: readonly number[];
  readonly plan: Plan;
}

export interface Following {
  /** Which numbers are free. */
  readonly variables: readonly number[];
  /** Numbers of the arguments that follow from those; all others have to be what they were. */
  readonly dependent: readonly Placed[];
  readonly fixed: readonly { readonly at: number; readonly value: number }[];
  readonly scalars: readonly Placed[];
  readonly extra: readonly Placed[];
  readonly numbers: readonly Placed[];
  readonly data: readonly { readonly at: number; readonly lines: readonly Placed[] }[];
  readonly symbols: readonly Line[];
  readonly preludeSymbols: readonly Line[];
  /** Of each variable where it may lie. */
  readonly ranges: readonly Range[];
  /** Of each variable up to where (and from where) traces have agreed, with room to double. */
  readonly trusted: readonly Range[];
}

const sameArray = (a: ArrayLike<unknown>, b: ArrayLike<unknown>): boolean => {
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return a.length === b.length;
};
/** Whether two plans differ in numbers only. */
export const sameStructure = (a: Plan, b: Plan): boolean => a.fingerprint === b.fingerprint && sameArray(a.key, b.key);

/** Elements of small data as plain numbers, where they are whole. */
function wholeNumbers(bytes: Uint8Array | null, dtype: DType): number[] | null {
  if (bytes === null || dtype.is_complex || dtype.kind !== 'int') return null;
  return Array.from(viewArray(dtype, bytes.slice()) as ArrayLike<number | bigint>, Number);
}

/** How the numbers of three traces follow from their arguments; null where they do not. */
export function follow(sightings: readonly [Sighting, Sighting, Sighting]): Following | null {
  const [a, b, c] = sightings;
  if (!sameStructure(a.plan, b.plan) || !sameStructure(b.plan, c.plan)) return null;
  const variables: number[] = [];
  const lineOf = (ya: number, yb: number, yc: number): Line | null => {
    for (let v = 0; v < variables.length; v++) {
      const [xa, xb, xc] = sightings.map((s) => s.numbers[variables[v]]);
      if (Object.is(xa, ya) && Object.is(xb, yb) && Object.is(xc, yc)) return { variable: v, base: 0, slope: 1 };
      const slope = (yb - ya) / (xb - xa);
      const base = ya - slope * xa;
      if (Number.isInteger(slope) && Number.isInteger(base) && yc === base + slope * xc) return { variable: v, base, slope };
    }
    return null;
  };
  const dependent: Placed[] = [];
  const fixed: { at: number; value: number }[] = [];
  for (let at = 0; at < a.numbers.length; at++) {
    const [x, y, z] = sightings.map((s) => s.numbers[at]);
    if (Object.is(x, y) && Object.is(y, z)) {
      fixed.push({ at, value: x });
      continue;
    }
    const line = lineOf(x, y, z);
    if (line !== null) dependent.push({ at, ...line });
    else if (x === y || y === z || x === z) return null;
    else variables.push(at);
  }
  if (variables.length === 0) return null;
  const place = (lists: readonly ArrayLike<number | bigint>[], skip?: ReadonlySet<number>): Placed[] | null => {
    const [p, q, r] = lists;
    if (p.length !== q.length || q.length !== r.length) return null;
    const out: Placed[] = [];
    for (let at = 0; at < p.length; at++) {
      if (skip?.has(at) || (Object.is(p[at], q[at]) && Object.is(q[at], r[at]))) continue;
      if (typeof p[at] !== 'number' || typeof q[at] !== 'number' || typeof r[at] !== 'number') return null;
      const line = lineOf(p[at] as number, q[at] as number, r[at] as number);
      if (line === null) return null;
      out.push({ at, ...line });
    }
    return out;
  };
  const of = <T>(get: (p: Plan) => T): T[] => sightings.map((s) => get(s.plan));
  const numbers = place(of((p) => p.varying.numbers));
  const ruled = new Set(c.plan.rules.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i)));
  const scalars = place(
    of((p) => p.varying.scalars),
    ruled,
  );
  const extra = place(of((p) => p.varying.extra));
  if (numbers === null || scalars === null || extra === null) return null;
  const data: { at: number; lines: Placed[] }[] = [];
  for (let at = 0; at < c.plan.data.length; at++) {
    const bytes = of((p) => p.varying.data[at]);
    // What is too large to follow is taken to be a constant: the same bytes in three traces could not be compared.
    if (bytes.some((x) => x === null)) return null;
    if (sameArray(bytes[0]!, bytes[1]!) && sameArray(bytes[1]!, bytes[2]!)) continue;
    const { dtype } = c.plan.data[at].value;
    const lists = bytes.map((x) => wholeNumbers(x, dtype));
    if (lists.some((x) => x === null)) return null;
    const lines = place(lists as number[][]);
    if (lines === null) return null;
    data.push({ at, lines });
  }
  // Random numbers may be drawn differently for other numbers, and edges hold layouts.
  if (c.plan.events.some((e) => e.kind === 'draw') || (c.plan.edges.length > 0 && numbers.length > 0)) return null;
  const ranges = variables.map((): Range => ({ low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }));
  const bound = ({ variable, base, slope }: Line, low: number, high: number): void => {
    const r = ranges[variable];
    const [from, to] = slope > 0 ? [(low - base) / slope, (high - base) / slope] : [(high - base) / slope, (low - base) / slope];
    r.low = Math.max(r.low, from);
    r.high = Math.min(r.high, to);
  };
  for (const line of numbers) bound(line, 2, 2 ** 31 - 1);
  for (const { at, low, high } of c.plan.ranges) {
    const line = extra.find((l) => l.at === at);
    if (line !== undefined) bound(line, low, high - 1);
  }
  const symbolsOf = (pattern: Pattern, first: number): Line[] =>
    pattern.readAt.map((at): Line => {
      const line = numbers.find((l) => l.at === first + at);
      return line ?? { variable: 0, base: c.plan.varying.numbers[first + at], slope: 0 };
    });
  const { program, prelude } = c.plan;
  const symbols = symbolsOf(program.pattern, 0);
  const preludeSymbols = prelude === null ? [] : symbolsOf(prelude.program.pattern, prelude.firstNumber);
  const trusted = variables.map((at): Range => {
    const seen = sightings.map((s) => s.numbers[at]);
    return { low: Math.min(...seen), high: 2 * Math.max(...seen.map(Math.abs)) };
  });
  const found: Following = { variables, dependent, fixed, scalars, extra, numbers, data, symbols, preludeSymbols, ranges, trusted };
  return agreesWithProgram(found, c) ? found : null;
}

/** Whether the program's own pattern holds all along the lines, looked at where it could go wrong. */
function agreesWithProgram({ variables, numbers, symbols, preludeSymbols, ranges }: Following, c: Sighting): boolean {
  const { program, prelude } = c.plan;
  const here = variables.map((at) => c.numbers[at]);
  const moved = (by: number, which: number | null): number[] =>
    here.map((x, v) => Math.min(ranges[v].high, Math.max(ranges[v].low, which === null || which === v ? x + by : x)));
  const points = [0, 1, 2, 3, 7, 64, 1000, -1, -5].flatMap((by) => [moved(by, null), ...variables.map((_, v) => moved(by, v))]);
  for (const x of points) {
    const all = c.plan.varying.numbers.slice();
    for (const { at, variable, base, slope } of numbers) all[at] = base + slope * x[variable];
    const holds = (pattern: Pattern, own: Int32Array, lines: readonly Line[]): boolean => {
      const bound = bind(pattern, own);
      return bound !== null && lines.every(({ variable, base, slope }, i) => bound[i] === base + slope * x[variable]);
    };
    if (!holds(program.pattern, all.subarray(0, prelude?.firstNumber), symbols)) return false;
    if (prelude !== null && !holds(prelude.program.pattern, all.subarray(prelude.firstNumber), preludeSymbols)) return false;
  }
  return true;
}

/** The values of the variables in these arguments, or null where they are not on the lines, or not known to be. */
export function variablesOf(f: Following, numbers: readonly number[], into: number[]): boolean {
  for (let i = 0; i < f.fixed.length; i++) if (!Object.is(numbers[f.fixed[i].at], f.fixed[i].value)) return false;
  for (let v = 0; v < f.variables.length; v++) {
    const x = numbers[f.variables[v]];
    const { low, high } = f.ranges[v];
    if (!(x >= low && x <= high && x >= f.trusted[v].low && x <= f.trusted[v].high)) return false;
    into[v] = x;
  }
  for (let i = 0; i < f.dependent.length; i++) {
    const { at, variable, base, slope } = f.dependent[i];
    if (numbers[at] !== base + slope * into[variable]) return false;
  }
  return true;
}

/** What `f` says of a trace made with these numbers, where it says something else: for the check, and for trust. */
export function disagreement(f: Following | null, known: Sighting, now: Sighting): string | null {
  if (known.plan.fingerprint !== now.plan.fingerprint) return 'it computes or changes other tensors';
  if (!sameArray(known.plan.key, now.plan.key)) return 'it makes other calls';
  const x = (f?.variables ?? []).map((at) => now.numbers[at]);
  const compare = (
    what: string,
    lines: readonly Placed[],
    before: ArrayLike<number | bigint>,
    after: ArrayLike<number | bigint>,
    skip?: ReadonlySet<number>,
  ): string | null => {
    const by = new Map(lines.map((l) => [l.at, l]));
    for (let at = 0; at < after.length; at++) {
      if (skip?.has(at)) continue;
      const line = by.get(at);
      const expected = line === undefined ? before[at] : line.base + line.slope * x[line.variable];
      if (!Object.is(Number(expected), Number(after[at]))) return `${what} is ${after[at]}, expected was ${expected}`;
    }
    return null;
  };
  const [a, b] = [known.plan.varying, now.plan.varying];
  const ruled = new Set(now.plan.rules.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i)));
  const found =
    compare('a size or offset', f?.numbers ?? [], a.numbers, b.numbers) ??
    compare('a number of a call', f?.scalars ?? [], a.scalars, b.scalars, ruled) ??
    compare('an offset or a returned number', f?.extra ?? [], a.extra, b.extra);
  if (found !== null) return found;
  for (let at = 0; at < b.data.length; at++) {
    const [p, q] = [a.data[at], b.data[at]];
    if (p === null || q === null) continue;
    const lines = f?.data.find((d) => d.at === at)?.lines;
    if (lines === undefined) {
      if (!sameArray(p, q)) return 'data made inside has changed';
      continue;
    }
    const { dtype } = now.plan.data[at].value;
    const wrong = compare('a number of data made inside', lines, wholeNumbers(p, dtype)!, wholeNumbers(q, dtype)!);
    if (wrong !== null) return wrong;
  }
  return null;
}
