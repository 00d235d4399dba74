/** Complex numbers against PyTorch 2.11 (`complex.fixture.json`): values and gradients, on every device, in one program and one call at a time. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { LibraryFunction } from '../graph/library.ts';
import type { Operator } from '../graph/operator.ts';
import { callLibrary } from '../graph/prim.ts';
import torch from '../index.ts';
import { type ScalarOp, scalarOps } from '../kernel/scalar.ts';
import { record } from '../tensor/record.ts';
import { flags } from '../util/flags.ts';
import { elementwise } from './elementwise.ts';
import type { Tensor } from './methods.ts';

interface Recorded {
  readonly dtype: 'complex64' | 'complex128' | 'float32' | 'float64' | 'int64' | 'bool';
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}
interface Case {
  readonly name: string;
  readonly inputs: readonly Recorded[];
  readonly output?: Recorded;
  readonly grads?: readonly (Recorded | null)[];
  readonly error?: string;
}
const cases = JSON.parse(readFileSync(new URL('./complex.fixture.json', import.meta.url), 'utf8')) as readonly Case[];

const i = { re: 0, im: 1 };
/** A scalar operation as an operator of its own: the formula alone, whatever the operator of its name does besides. */
const formula = (name: ScalarOp): ((...x: Tensor[]) => Tensor) => {
  const call = elementwise({ name, kind: name === 'abs' ? 'COMPLEX_TO_FLOAT' : 'INT_TO_FLOAT', body: ([x]) => x.scalar(name) });
  return (...x) => call(x) as Tensor;
};
/** What the cases whose name is not an operator's compute. */
const bodies: Record<string, (...x: Tensor[]) => Tensor> = {
  real: (a) => torch.real(a).clone(),
  imag: (a) => torch.imag(a).clone(),
  addScalar: (a) => a.add({ re: 1, im: 2 }),
  mulScalar: (a) => a.mul({ re: 0.5, im: -2 }),
  divInt: (a) => a.div(2),
  addInt: (a, b) => a.add(b),
  powComplex: (a) => a.pow({ re: 1, im: 0.5 }),
  bmm: (a, b) => a.matmul(b),
  sum1: (a) => a.sum(1),
  mean: (a) => a.mean(0),
  prod1: (a) => a.prod(1),
  cat: (a, b) => torch.cat([a, b], 0),
  catMade: (a, b) => torch.cat([a.exp(), b], 0),
  indexSelect: (a) => a.index_select(1, torch.tensor([4n, 0n, 0n])),
  transposed: (a) => a.t().mul(2).contiguous().add(1),
  viewAsReal: (a) => torch.view_as_real(a.exp()).sum(0),
  viewAsRealInput: (a) => torch.view_as_real(a).mul(2),
  viewAsComplex: (a) => torch.view_as_complex(a.reshape(5, 2)).exp(),
  viewAsComplexMade: (a) => torch.view_as_complex(a.mul(3).reshape(5, 2)).square(),
  realOfMade: (a) => a.mul(a).real.mul(2),
  imagOfMade: (a) => a.mul(a).imag.narrow(0, 2, 4).exp(),
  complex: (a, b) => torch.complex(a, b),
  polar: (a, b) => torch.polar(a, b),
  roundTrip: (a) => torch.complex(a.imag, a.real.exp()),
  chain: (a) => formula('log1p')(a.exp()).abs().sum(),
  maximum: (a, b) => elementwise({ name: 'maximum', kind: 'DEFAULT', body: ([x, y]) => x.maximum(y) })([a, b]) as Tensor,
  softplusSum: (a, b) => a.mul(b).tanh().mul(a.conj()).add(b.abs()).sum(),
  toReal: (a) => a.abs().to(torch.complex128).mul(i),
  castUp: (a) => a.to(torch.complex128).mul(2),
  fromReal: (a) => a.to(torch.complex64).exp(),
  inplaceReal: (a) => {
    const b = a.mul(1);
    b.real.mul_(2);
    b.imag.add_(1);
    return b.mul(b);
  },
  inplaceSlice: (a) => {
    const b = a.mul(1);
    b.narrow(0, 2, 4).mul_(i);
    return b.exp();
  },
  inplaceRealSlice: (a) => {
    const b = a.mul(1);
    b.narrow(0, 3, 4).real.zero_();
    b.narrow(0, 1, 2).imag = b.narrow(0, 4, 2).real;
    return b.mul(2);
  },
  inplaceMemory: (a) => {
    const b = a.clone();
    b.mul_(2);
    b.narrow(0, 0, 3).copy_(a.narrow(0, 3, 3));
    return b;
  },
  broadcast: (a, b) =>
    a
      .reshape(5, 2)
      .mul(b.narrow(0, 0, 2))
      .add(b.narrow(0, 0, 5).reshape(5, 1)),
  realPart0d: (a) => a.sum().real.mul(3),
  lt: (a) => a.lt(a),
};
function bodyOf(name: string): (...x: Tensor[]) => Tensor {
  if (name.startsWith('pow:')) return (a) => a.pow(Number(name.slice(4)));
  if (name in scalarOps && scalarOps[name as ScalarOp].arity === 1 && name !== 'neg' && name !== 'abs') return formula(name as ScalarOp);
  return bodies[name] ?? ((x, ...rest) => (x as unknown as Record<string, (...args: Tensor[]) => Tensor>)[name](...rest));
}

function tensorOf(r: Recorded, requires_grad: boolean): Tensor {
  const numbers = r.data.map(Number);
  const continuous = r.dtype !== 'int64' && r.dtype !== 'bool';
  const pairs = r.dtype.startsWith('complex');
  const data = pairs ? numbers.filter((_, k) => k % 2 === 0).map((re, k) => ({ re, im: numbers[2 * k + 1] })) : numbers;
  return torch
    .tensor(data, { dtype: torch[r.dtype] })
    .reshape(r.shape)
    .detach()
    .requires_grad_(requires_grad && continuous);
}
function numbersOf(t: Tensor): number[] {
  return Array.from(t.detach().numpy() as ArrayLike<number | bigint>, Number);
}
function seedFor(y: Tensor): Tensor {
  const count = y.numel();
  const re = Array.from({ length: count }, (_, k) => Math.cos(k));
  const data = y.is_complex() ? re.map((x, k) => ({ re: x, im: Math.sin(2 * k) })) : re;
  return torch.tensor(data, { dtype: y.dtype }).reshape(y.shape);
}

function close(got: Tensor, want: Recorded, what: string, exact: boolean): void {
  expect(`${what} ${got.dtype.name} [${got.shape}]`).toBe(`${what} ${want.dtype} [${want.shape}]`);
  const tolerance = exact ? 1e-12 : 1e-5;
  const numbers = numbersOf(got);
  const parts = want.dtype.startsWith('complex') ? 2 : 1;
  want.data.forEach((text, k) => {
    const w = text === 'nan' ? Number.NaN : Number(text === 'inf' ? Infinity : text === '-inf' ? -Infinity : text);
    const pair = Math.floor(k / parts) * parts;
    // A part is as accurate as the whole number.
    const size = Math.max(...want.data.slice(pair, pair + parts).map((x) => (Number.isFinite(Number(x)) ? Math.abs(Number(x)) : 0)));
    const fits = Object.is(numbers[k], w) || numbers[k] === w || Math.abs(numbers[k] - w) <= tolerance * (1 + size);
    if (!fits) throw new Error(`${what}: element ${k} is ${numbers[k]}, PyTorch has ${w}`);
  });
}

afterEach(() => {
  flags.flush = 'lazy';
  torch.set_default_device('cpu');
});

function check(c: Case): void {
  const call = bodyOf(c.name);
  const inputs = c.inputs.map((r) =>
    tensorOf(
      r,
      (c.grads ?? []).some((g) => g !== null),
    ),
  );
  if (c.error !== undefined) {
    expect(() => call(...inputs)).toThrow(c.error);
    return;
  }
  const y = call(...inputs);
  const exact = c.inputs[0].dtype === 'complex128';
  close(y, c.output!, c.name, exact);
  if (!c.grads!.some((g) => g !== null)) return;
  y.backward(seedFor(y));
  const leaves = inputs.filter((x) => x.requires_grad);
  c.grads!.forEach((g, k) => {
    if (g !== null) close(leaves[k].grad!, g, `gradient ${k} of ${c.name}`, exact);
  });
}

describe.each(['cpu', 'wasm', 'reference'] as const)('on %s', (device) => {
  test.each(['lazy', 'eager'] as const)('values and gradients are those of PyTorch, %s', (flush) => {
    torch.set_default_device(device);
    flags.flush = flush;
    const wrong: string[] = [];
    for (const c of cases) {
      try {
        check(c);
      } catch (error) {
        wrong.push(`${c.name} (${c.inputs[0].dtype}): ${(error as Error).message.split('\n').slice(0, 3).join(' | ')}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

/** The conjugate and the lengths of a matrix, as a library function: it sees the logical types, numbers interleaved. */
const conjugates: LibraryFunction<null> = {
  name: 'test_conjugates',
  run: ([x], [y, lengths]) => {
    for (let k = 0; k < lengths.data.length; k++) {
      const [re, im] = [Number(x.data[2 * k]), Number(x.data[2 * k + 1])];
      y.data[2 * k] = re;
      y.data[2 * k + 1] = -im;
      lengths.data[k] = Math.hypot(re, im);
    }
  },
};
const libraryOperator: Operator = {
  name: 'test_conjugates',
  body: ([x]) => {
    const results = callLibrary(conjugates, [x], [x, { shape: x.shape, dtype: x.dtype.real }], null);
    return [results[0], results[1]];
  },
};

describe.each(['cpu', 'wasm', 'reference'] as const)('library functions on %s', (device) => {
  test.each(['made', 'transposed', 'in memory'] as const)('see complex arrays that are %s', (how) => {
    torch.set_default_device(device);
    const given = torch.tensor([
      [
        { re: 3, im: 4 },
        { re: 1, im: -2 },
      ],
      [
        { re: 0, im: 1 },
        { re: -5, im: 12 },
      ],
    ]);
    const x = how === 'made' ? given.mul(2) : how === 'transposed' ? given.t() : given;
    const [y, lengths] = record(libraryOperator, [x]) as Tensor[];
    expect(y.add(x).imag.abs().sum().item()).toBe(0);
    const sizes =
      how === 'made'
        ? [10, 2 * Math.hypot(1, 2), 2, 26]
        : how === 'transposed'
          ? [5, 1, Math.hypot(1, 2), 13]
          : [5, Math.hypot(1, 2), 1, 13];
    expect((lengths.flatten().tolist() as number[]).map((v, k) => Math.abs(v - sizes[k]) < 1e-5)).toEqual([true, true, true, true]);
  });
});

test('one program serves many lengths', () => {
  const sums = (n: number): number[] => {
    const re = torch.arange(n, { dtype: torch.float32 });
    const z = torch.complex(re, re.mul(-0.5));
    const y = torch.cat([z.mul(z), z.exp().narrow(0, 1, n - 1)], 0);
    y.real.narrow(0, 0, 2).zero_();
    return [...(torch.view_as_real(y).sum(0).tolist() as number[]), z.conj().abs().sum().item()];
  };
  const lazily = [3, 5, 6, 7, 9].map(sums);
  flags.flush = 'eager';
  expect([3, 5, 6, 7, 9].map(sums)).toEqual(lazily);
});

test('a leaf sees writes through its parts, and its gradient comes back through both', () => {
  const z = torch.tensor([
    { re: 1, im: 2 },
    { re: -3, im: 0.5 },
  ]);
  z.real = torch.tensor([7, 8]);
  z.imag.add_(1);
  expect(z.tolist()).toEqual([
    { re: 7, im: 3 },
    { re: 8, im: 1.5 },
  ]);
  const pairs = torch.view_as_real(z);
  pairs.mul_(2);
  expect(z.tolist()).toEqual([
    { re: 14, im: 6 },
    { re: 16, im: 3 },
  ]);
  z.fill_({ re: 1, im: -1 });
  expect(pairs.tolist()).toEqual([
    [1, -1],
    [1, -1],
  ]);
  const w = torch.tensor([{ re: 1, im: 2 }], { requires_grad: true });
  w.real.mul(3).add(w.imag.mul(5)).sum().backward();
  expect(w.grad!.tolist()).toEqual([{ re: 3, im: 5 }]);
});

test('a gradient of a gradient follows the conventions too', () => {
  const z = torch.tensor([{ re: 1, im: 2 }], { dtype: torch.complex128, requires_grad: true });
  const loss = z.mul(z).mul(z).abs().sum();
  const [g] = torch.autograd.grad(loss, z, null, { create_graph: true }) as Tensor[];
  // |z|^3: the gradient is 3 |z| z, and of |3 |z| z| = 3 |z|^2 it is 6 z.
  g.abs().sum().backward();
  const [{ re, im }] = z.grad!.tolist() as unknown as { re: number; im: number }[];
  expect(re).toBeCloseTo(6, 10);
  expect(im).toBeCloseTo(12, 10);
});

test('numbers, kinds and texts', () => {
  expect(torch.tensor([{ re: 1, im: 2 }]).dtype).toBe(torch.complex64);
  expect(torch.full([2], { re: 1, im: 2 }).tolist()).toEqual([
    { re: 1, im: 2 },
    { re: 1, im: 2 },
  ]);
  expect(torch.full([1], 3, { dtype: torch.complex128 }).tolist()).toEqual([{ re: 3, im: 0 }]);
  expect(torch.ones(2, { dtype: torch.int64 }).mul(i).dtype).toBe(torch.complex64);
  expect(torch.ones(2, { dtype: torch.float64 }).add(i).dtype).toBe(torch.complex128);
  expect(torch.zeros(2, { dtype: torch.complex64 }).add(torch.ones(2, { dtype: torch.float64 })).dtype).toBe(torch.complex128);
  const z = torch.tensor([{ re: 1, im: 2 }, 2, { re: 0, im: 0 }]);
  expect(z.to(torch.bool).tolist()).toEqual([true, true, false]);
  expect(z.to(torch.int64).tolist()).toEqual([1, 2, 0]);
  expect(String(z)).toBe('tensor([1.+2.j, 2.+0.j, 0.+0.j])');
  expect(z.narrow(0, 0, 0).mul(2).sum().tolist()).toEqual({ re: 0, im: 0 });
  expect(() => torch.imag(torch.ones(1))).toThrow('imag is not implemented for tensors with non-complex dtypes.');
  expect(() => torch.view_as_real(torch.ones(1))).toThrow('view_as_real is only supported for complex tensors');
  expect(() => torch.view_as_complex(torch.ones(2, 3))).toThrow('Tensor must have a last dimension of size 2');
  expect(() => torch.view_as_complex(torch.ones(2, 2).t())).toThrow('Tensor must have a last dimension with stride 1');
  expect(() => torch.full([2], i, { dtype: torch.float32 })).toThrow('value cannot be converted to type float without overflow');
  expect(() => torch.ones(2).mul_(i)).toThrow("result type ComplexFloat can't be cast to the desired output type Float");
  expect(() => z.amax()).toThrow(`"max_values_cpu" not implemented for 'ComplexFloat'`);
  const leaf = torch.ones(2, { dtype: torch.complex64, requires_grad: true });
  expect(() => leaf.sum().backward()).toThrow('grad can be implicitly created only for real scalar outputs but got torch.complex64');
});
