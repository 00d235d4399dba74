/**
 * Special values, empty tensors, mixed dtypes and wrong arguments: every line of `edge-cases.fixture.jsonl`, which `scripts/record-edge-cases.py`
 * recorded from PyTorch. Results are compared with dtype, shape, NaN, infinities and the sign of zero; errors with their first line.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from './methods.ts';

type Value = number | string | boolean;
interface TensorRecord {
  readonly t: string;
  readonly s: readonly number[];
  readonly v: readonly Value[];
}
type Argument = null | number | boolean | string | { readonly x: string } | { readonly f: number | string };
interface Case {
  readonly op: string;
  readonly a: readonly Argument[];
  readonly k?: Readonly<Record<string, Argument>>;
  readonly r?: TensorRecord | readonly TensorRecord[] | boolean;
  readonly e?: string;
}

const dtypes = {
  f64: torch.float64,
  f32: torch.float32,
  f16: torch.float16,
  bf16: torch.bfloat16,
  i64: torch.int64,
  i32: torch.int32,
  i16: torch.int16,
  i8: torch.int8,
  u8: torch.uint8,
  b: torch.bool,
};
const text = readFileSync(new URL('./edge-cases.fixture.jsonl', import.meta.url), 'utf8');
const [first, ...rest] = text.trimEnd().split('\n');
const { operands } = JSON.parse(first) as { operands: Record<string, TensorRecord> };
const cases = rest.map((line) => JSON.parse(line) as Case);

function numberOf(v: Value): number | bigint | boolean {
  if (typeof v !== 'string') return v;
  if (v.endsWith('n') && v !== 'nan') return BigInt(v.slice(0, -1));
  return { nan: Number.NaN, inf: Infinity, '-inf': -Infinity, '-0': -0 }[v] ?? Number(v);
}
const isFloat = (t: string): boolean => t.startsWith('f') || t === 'bf16';
function tensorOf({ t, s, v }: TensorRecord): Tensor {
  const dtype = dtypes[t as keyof typeof dtypes];
  const flat = v.map(numberOf) as number[];
  const made =
    flat.length === 0
      ? torch.empty([...s], { dtype })
      : torch.tensor(t === 'i64' ? (flat.map(BigInt) as never) : flat, { dtype }).reshape([...s]);
  return made as Tensor;
}
function argumentOf(a: Argument): unknown {
  if (typeof a !== 'object' || a === null) return a;
  if ('x' in a) return tensorOf(operands[a.x]);
  // A whole number is an int in JavaScript's eyes: a box says that it is a float.
  const value = numberOf(a.f) as number;
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? torch.scalar(value, torch.float32) : value;
}

function call({ op, a, k }: Case): unknown {
  const args = a.map(argumentOf);
  if (k !== undefined) args.push(Object.fromEntries(Object.entries(k).map(([name, v]) => [name, argumentOf(v)])));
  if (op.startsWith('Tensor.')) {
    const [self, ...others] = args as [Record<string, (...args: unknown[]) => unknown>, ...unknown[]];
    return self[op.slice(7)](...others);
  }
  const f = op.split('.').reduce<unknown>((space, name) => (space as Record<string, unknown>)[name], torch);
  return (f as (...args: unknown[]) => unknown)(...args);
}

// Transcendental functions: a few units in the last place; exact ones are exact within these too.
const relative: Readonly<Record<string, number>> = { f64: 2e-13, f32: 2e-6, f16: 1e-3, bf16: 1.6e-2 };
const absolute: Readonly<Record<string, number>> = { f64: 1e-14, f32: 1e-7, f16: 1e-7, bf16: 2e-38 };
/** PyTorch takes pi in single precision there. */
const looser: Readonly<Record<string, number>> = { 'special.gammainc': 1e-9, 'special.gammaincc': 1e-9 };

/** Operators for which either zero is right (PyTorch's own vector and scalar code differ). */
const anyZero = new Set(['maximum', 'minimum', 'fmax', 'fmin', 'clamp', 'special.airy_ai']);

function difference(actual: unknown, expected: NonNullable<Case['r']>, op: string): string | null {
  if (typeof expected === 'boolean') return actual === expected ? null : `${actual} instead of ${expected}`;
  if (Array.isArray(expected)) {
    const parts = (expected as TensorRecord[]).map((e, i) => difference((actual as unknown[])[i], e, op));
    return parts.find((p) => p !== null) ?? null;
  }
  const { t, s, v } = expected as TensorRecord;
  const out = actual as Tensor;
  if (out.dtype !== dtypes[t as keyof typeof dtypes]) return `dtype ${out.dtype.name} instead of ${t}`;
  if (out.shape.join() !== s.join()) return `shape [${out.shape}] instead of [${s}]`;
  const values = out.reshape([-1]).tolist() as (number | bigint | boolean)[];
  for (let i = 0; i < v.length; i++) {
    const want = numberOf(v[i]);
    const got = values[i];
    if (!isFloat(t)) {
      if (typeof got === 'boolean' ? got !== want : BigInt(got) !== BigInt(want as number)) return `at ${i}: ${got} instead of ${want}`;
      continue;
    }
    const [x, y] = [Number(got), Number(want)];
    if (Object.is(x, y)) continue;
    if (x === 0 && y === 0 && anyZero.has(op)) continue;
    const tolerance = (looser[op] ?? relative[t]) * Math.abs(y) + absolute[t];
    const close = Number.isFinite(y) && (y !== 0 || x !== 0) && Math.abs(x - y) <= tolerance;
    if (!close) return `at ${i}: ${Object.is(x, -0) ? '-0' : x} instead of ${Object.is(y, -0) ? '-0' : y}`;
  }
  return null;
}

function judge(c: Case): string | null {
  let actual: unknown;
  try {
    actual = call(c);
    if (c.e !== undefined) return `no error: ${c.e}`;
    return difference(actual, c.r!, c.op);
  } catch (error) {
    const message = (error as Error).message.split('\n')[0];
    return c.e === message ? null : `${message} instead of ${c.e ?? 'a result'}`;
  }
}
const describeArgument = (a: Argument): string => (typeof a === 'object' && a !== null ? ('x' in a ? a.x : `${a.f}.`) : `${a}`);
const describeCase = ({ op, a, k }: Case): string => `${op}(${a.map(describeArgument)}${k ? `, ${JSON.stringify(k)}` : ''})`;

test('there are a thousand cases and more', () => {
  expect(cases.length).toBeGreaterThan(1000);
});
describe.each([...new Set(cases.map((c) => c.op))])('%s', (op) => {
  test("answers as PyTorch does on special values, or with PyTorch's error", () => {
    const wrong = cases
      .filter((c) => c.op === op)
      .flatMap((c) => {
        const reason = judge(c);
        return reason === null ? [] : [`${describeCase(c)}: ${reason}`];
      });
    expect(wrong).toEqual([]);
  }, 120_000);
});
