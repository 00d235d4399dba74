import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';
import { type Lesson, lesson } from '../util/lesson.ts';

const defaults = { ...flags };
afterEach(() => {
  Object.assign(flags, defaults);
  torch.set_default_dtype(torch.float32);
});
const nodeOf = (t: Tensor) => t.storage.value.node!;

test('a call like an earlier one records the same signature with the numbers of its own', () => {
  const [a, b] = [torch.rand(3, 4), torch.rand(3, 4)];
  const [first, second, third] = [a.add(b), b.add(a), a.add(b, { alpha: 3 })];
  expect(nodeOf(second).signature).toBe(nodeOf(first).signature);
  expect(nodeOf(second).srcs!.map((v) => v === b.storage.value)).toEqual([true, false]);
  expect(second.sub(first).abs().max().item()).toBe(0);
  expect(third.sub(a).sub(b.mul(3)).abs().max().item()).toBeLessThan(1e-6);
});

test('a number is part of what is recalled, its sign of zero too', () => {
  const x = torch.tensor([1, -1]);
  expect([2, 3, 2, 0, -0, 0].map((n) => x.mul(n).tolist())).toEqual([
    [2, -2],
    [3, -3],
    [2, -2],
    [0, -0],
    [-0, 0],
    [0, -0],
  ]);
});

test('settings that a call depends on are looked at: default dtype, grad mode, requires_grad', () => {
  const x = torch.arange(4);
  const dtypes = [torch.float32, torch.float64, torch.float32].map((dtype) => {
    torch.set_default_dtype(dtype);
    return [x.div(2).dtype.name, x.div(2).dtype.name];
  });
  expect(dtypes).toEqual([
    ['float32', 'float32'],
    ['float64', 'float64'],
    ['float32', 'float32'],
  ]);
  const w = torch.ones(3).requires_grad_();
  const plain = torch.ones(3);
  const call = (t: Tensor): boolean => t.mul(2).requires_grad;
  expect([call(w), call(plain), torch.no_grad(() => call(w)), call(w), torch.inference_mode(() => call(w)), call(plain)]).toEqual([
    ...[true, false, false, true, false, false],
  ]);
});

test('what looks at data looks each time: indices, integer divisors', () => {
  const table = torch.rand(4, 2);
  const rows = (...indices: number[]): Tensor => nn.functional.embedding(torch.tensor(indices, { dtype: torch.int64 }), table);
  expect(rows(1, 2).shape).toEqual([2, 2]);
  expect(rows(0, 3).shape).toEqual([2, 2]);
  expect(() => rows(1, 4)).toThrow('index out of range in self');
  const seven = torch.tensor([7, 8], { dtype: torch.int64 });
  const by = (...values: number[]): unknown => seven.floor_divide(torch.tensor(values, { dtype: torch.int64 })).tolist();
  expect([by(2, 3), by(1, 4)]).toEqual([
    [3, 2],
    [7, 2],
  ]);
  expect(() => by(1, 0)).toThrow('ZeroDivisionError');
});

test('draws are draws each time', () => {
  torch.manual_seed(3);
  const x = torch.ones(50);
  const drawn = [1, 2, 3].map(() => String(nn.functional.dropout(x, 0.5).tolist()));
  expect(new Set(drawn).size).toBe(3);
  torch.manual_seed(3);
  expect([1, 2, 3].map(() => String(nn.functional.dropout(x, 0.5).tolist()))).toEqual(drawn);
});

test('a number drawn during a call spoils the lesson, wherever it goes', () => {
  const noted: Lesson = { steps: [], spoiled: false };
  lesson.open = noted;
  try {
    torch.default_generator.engine.next64();
  } finally {
    lesson.open = null;
  }
  expect(noted.spoiled).toBe(true);
});

test('a window that one memory has room for does not fit another', () => {
  const whole = torch.arange(10).float();
  for (let i = 0; i < 3; i++) expect(whole.narrow(0, 0, 4).as_strided([3], [3]).tolist()).toEqual([0, 3, 6]);
  for (let i = 0; i < 3; i++) expect(() => torch.ones(4).as_strided([3], [3])).toThrow('out of bounds for storage');
});

test('errors are thrown again', () => {
  const [a, b] = [torch.ones(2, 3), torch.ones(4, 5)];
  for (let i = 0; i < 3; i++) expect(() => a.matmul(b)).toThrow('mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)');
});

test('views of views, several results, writes in place and `out` are what they are without recall', () => {
  const run = (recall: string): unknown => {
    flags.recall = recall;
    const x = torch.arange(24).float().view(2, 3, 4);
    const all: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const [p, q] = x.transpose(1, 2).chunk(2, 1) as [Tensor, Tensor];
      const y = p.reshape(-1).add(q.flatten(), { alpha: i });
      y.narrow(0, 2, 3).mul_(2);
      y.add_(1);
      const { values, indices } = x.max(2);
      const out = torch.empty(12);
      torch.sub(y, 1, { out });
      all.push(y.tolist(), values.tolist(), indices.tolist(), out.tolist(), p.is_contiguous(), torch.cat([p, q], 1).tolist());
    }
    return all;
  };
  expect(run('on')).toEqual(run('off'));
});

test('views that one call returns are marked each time', () => {
  const x = torch.ones(4, 2).requires_grad_();
  for (let i = 0; i < 3; i++) {
    const [a] = x.mul(2).unbind(0) as [Tensor];
    expect(() => a.add_(1)).toThrow('Output 0 of UnbindBackward0 is a view and is being modified inplace');
  }
});

test('random chains of calls give the same bits and gradients, recalled or not', () => {
  const step = fc.constantFrom(
    ...(['add', 'mul', 'sub', 'maximum'] as const),
    ...(['relu', 'tanh', 't', 'softmax', 'sum', 'slice', 'scale'] as const),
  );
  const run = (steps: readonly string[], numbers: readonly number[], recall: string): unknown => {
    flags.recall = recall;
    const leaf = torch.arange(9).view(3, 3).div(7).requires_grad_();
    const all: unknown[] = [];
    for (let round = 0; round < 2; round++) {
      let x: Tensor = leaf;
      steps.forEach((s, i) => {
        const n = numbers[i % numbers.length];
        if (s === 'add' || s === 'mul' || s === 'sub' || s === 'maximum') x = x[s](leaf.mul(n));
        else if (s === 'relu' || s === 'tanh') x = x[s]();
        else if (s === 't') x = x.t();
        else if (s === 'softmax') x = x.softmax(n > 1 ? 0 : 1);
        else if (s === 'sum') x = x.sum({ dim: 0, keepdim: true }).expand(3, 3);
        else if (s === 'slice') x = x.narrow(1, 0, 2).matmul(leaf.narrow(0, 1, 2));
        else x = x.mul(n);
      });
      leaf.grad = null;
      x.sum().backward();
      all.push(x.tolist(), (leaf.grad as Tensor | null)?.tolist());
    }
    return all;
  };
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 8 }),
      fc.array(fc.constantFrom(0.5, 1, 2), { minLength: 1, maxLength: 3 }),
      (s, n) => {
        expect(run(s, n, 'on')).toEqual(run(s, n, 'off'));
      },
    ),
    { numRuns: 60 },
  );
});

test('recalled calls do not share their numbers', () => {
  const engine = engineOf('cpu');
  const x = torch.ones(5);
  torch.synchronize();
  const sum = (a: number, b: number): number => x.mul(a).add(x.mul(b)).sum().item();
  expect([sum(2, 2), sum(2, 2), sum(2, 2)]).toEqual([20, 20, 20]);
  const compiled = engine.programs.statistics.compiled;
  expect([sum(2, 3), sum(4, 2)]).toEqual([25, 30]);
  expect(engine.programs.statistics.compiled).toBe(compiled);
});
