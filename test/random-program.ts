/**
 * Random programs: a list of instructions over a pool of small tensors, run by anything that has the operators (`Machine`). An instruction
 * names its operands by numbers that are taken modulo what is there, and does nothing where its operands do not fit, so every list is a program.
 */
import fc from 'fast-check';

/** The operators of the instructions over one kind of tensor. */
export interface Machine<T> {
  readonly make: (shape: readonly number[], values: readonly number[]) => T;
  readonly shape: (t: T) => readonly number[];
  /** Whether writing is allowed (no element twice). */
  readonly writable: (t: T) => boolean;
  readonly values: (t: T) => number[];
  readonly unary: (name: Unary, x: T) => T;
  readonly scale: (x: T, by: number) => T;
  readonly shift: (x: T, by: number) => T;
  readonly binary: (name: Binary, x: T, y: T) => T;
  readonly reduce: (name: Reduce, x: T, dim: number, keepdim: boolean) => T;
  readonly softmax: (x: T, dim: number) => T;
  readonly matmul: (x: T, y: T) => T;
  readonly cat: (x: T, y: T, dim: number) => T;
  readonly permute: (x: T, order: readonly number[]) => T;
  readonly slice: (x: T, dim: number, start: number, end: number, step: number) => T;
  readonly select: (x: T, dim: number, index: number) => T;
  readonly unsqueeze: (x: T, dim: number) => T;
  readonly expandFront: (x: T, count: number) => T;
  readonly reshape: (x: T, shape: readonly number[]) => T;
  readonly unbind: (x: T, dim: number) => T[];
  readonly write: (name: Write, x: T, y: T) => void;
  readonly fill: (x: T, value: number) => void;
}

const unaries = ['neg', 'abs', 'relu', 'tanh', 'clone'] as const;
const binaries = ['add', 'sub', 'mul'] as const;
const reduces = ['sum', 'mean', 'amax'] as const;
const writes = ['copy_', 'add_', 'mul_'] as const;
export type Unary = (typeof unaries)[number];
export type Binary = (typeof binaries)[number];
export type Reduce = (typeof reduces)[number];
export type Write = (typeof writes)[number];

const kinds = [
  ...['unary', 'scale', 'shift', 'binary', 'binary', 'reduce', 'softmax', 'matmul', 'cat'],
  ...['permute', 'slice', 'slice', 'select', 'unsqueeze', 'expand', 'reshape', 'unbind'],
  ...['write', 'write', 'write', 'write', 'fill', 'swap', 'read'],
] as const;

export interface Instruction {
  readonly kind: (typeof kinds)[number];
  readonly a: number;
  readonly b: number;
  readonly c: number;
}
export interface Program {
  readonly shapes: readonly (readonly number[])[];
  readonly body: readonly Instruction[];
}

const small = fc.nat({ max: 1000 });
const instruction = fc.record({ kind: fc.constantFrom(...kinds), a: small, b: small, c: small });
const shape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 0, maxLength: 3 });
export const randomProgram: fc.Arbitrary<Program> = fc.record({
  shapes: fc.array(shape, { minLength: 2, maxLength: 3 }),
  body: fc.array(instruction, { minLength: 4, maxLength: 14 }),
});

const numel = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const largest = 200;
const most = 14;

function broadcasts(from: readonly number[], to: readonly number[]): boolean {
  return from.length <= to.length && from.every((d, i) => d === 1 || d === to[i + to.length - from.length]);
}
function common(a: readonly number[], b: readonly number[]): boolean {
  const n = Math.max(a.length, b.length);
  let size = 1;
  for (let i = 1; i <= n; i++) {
    const [x, y] = [a[a.length - i] ?? 1, b[b.length - i] ?? 1];
    if (x !== y && x !== 1 && y !== 1) return false;
    size *= Math.max(x, y);
  }
  return size <= largest;
}

/** Initial contents: small, of both signs, all different. */
export const startValues = (shape: readonly number[], tensor: number): number[] =>
  Array.from({ length: numel(shape) }, (_, i) => Math.fround((((i * 7 + tensor * 13) % 19) - 9) / 8 + tensor / 64));

/** Runs the program; everything that was read, then the contents of every tensor of the pool, in order. */
export function execute<T>(program: Program, m: Machine<T>, wrapLeaf: (t: T) => T = (t) => t): number[][] {
  const pool = program.shapes.map((s, i) => wrapLeaf(m.make(s, startValues(s, i))));
  const seen: number[][] = [];
  for (const step of program.body) run(step, pool, m, seen);
  for (const t of pool) seen.push(m.values(t));
  return seen;
}

function run<T>({ kind, a, b, c }: Instruction, pool: T[], m: Machine<T>, seen: number[][]): void {
  const put = (t: T): void => {
    if (pool.length < most) pool.push(t);
    else pool[c % most] = t;
  };
  const x = pool[a % pool.length];
  const y = pool[b % pool.length];
  const sx = m.shape(x);
  const sy = m.shape(y);
  const dim = sx.length === 0 ? 0 : c % sx.length;
  switch (kind) {
    case 'unary':
      put(m.unary(unaries[c % unaries.length], x));
      return;
    case 'scale':
      put(m.scale(x, ((b % 7) - 3) / 4));
      return;
    case 'shift':
      put(m.shift(x, ((b % 7) - 3) / 4));
      return;
    case 'binary':
      if (common(sx, sy)) put(m.binary(binaries[c % binaries.length], x, y));
      return;
    case 'reduce':
      if (sx.length > 0) put(m.reduce(reduces[b % reduces.length], x, dim, b % 2 === 0));
      return;
    case 'softmax':
      if (sx.length > 0) put(m.softmax(x, dim));
      return;
    case 'matmul':
      if (sx.length === 2 && sy.length === 2 && sx[1] === sy[0]) put(m.matmul(x, y));
      return;
    case 'cat':
      if (sx.length > 0 && sx.length === sy.length && sx.every((d, i) => i === dim || d === sy[i]) && numel(sx) + numel(sy) <= largest)
        put(m.cat(x, y, dim));
      return;
    case 'permute': {
      const order = [...sx.keys()];
      for (let i = order.length - 1; i > 0; i--) {
        const j = (b + i * c) % (i + 1);
        [order[i], order[j]] = [order[j], order[i]];
      }
      put(m.permute(x, order));
      return;
    }
    case 'slice': {
      if (sx.length === 0) return;
      const start = b % sx[dim];
      const end = start + 1 + (a % (sx[dim] - start));
      put(m.slice(x, dim, start, end, 1 + (b % 2)));
      return;
    }
    case 'select':
      if (sx.length > 0) put(m.select(x, dim, b % sx[dim]));
      return;
    case 'unsqueeze':
      if (sx.length < 4) put(m.unsqueeze(x, b % (sx.length + 1)));
      return;
    case 'expand':
      if (sx.length < 4 && numel(sx) * 3 <= largest) put(m.expandFront(x, 2 + (b % 2)));
      return;
    case 'reshape': {
      const n = numel(sx);
      const divisors = [...Array(n).keys()].map((i) => i + 1).filter((d) => n % d === 0);
      const first = divisors[b % divisors.length];
      put(m.reshape(x, c % 3 === 0 ? [n] : [first, n / first]));
      return;
    }
    case 'unbind': {
      if (sx.length === 0) return;
      const parts = m.unbind(x, dim);
      put(parts[0]);
      if (parts.length > 1) put(parts[parts.length - 1]);
      return;
    }
    case 'write':
      if (broadcasts(sy, sx) && m.writable(x)) m.write(writes[c % writes.length], x, y);
      return;
    case 'fill':
      if (m.writable(x)) m.fill(x, c % 2 === 0 ? 0 : 0.5);
      return;
    case 'swap': {
      // Two writes that each need what the other overwrites.
      if (!broadcasts(sy, sx) || !broadcasts(sx, sy) || !m.writable(x) || !m.writable(y)) return;
      const old = m.unary('clone', x);
      m.write(writes[c % writes.length], x, y);
      m.write(writes[b % writes.length], y, old);
      return;
    }
    case 'read':
      seen.push(m.values(x));
      return;
    default:
      kind satisfies never;
  }
}
