/** Orders and batches are PyTorch's (recorded from torch 2.11 with the seeds below). */
import { describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';

const { DataLoader, Dataset, IterableDataset, RandomSampler, random_split, SubsetRandomSampler, TensorDataset, WeightedRandomSampler } =
  torch.utils.data;

test("a program of loaders and samplers draws PyTorch's orders", () => {
  torch.manual_seed(3);
  const data = new TensorDataset(torch.arange(10), torch.arange(10).mul(2));
  const pass = (): unknown[] => [...new DataLoader(data, { batch_size: 4, shuffle: true })].map(([x]) => x.tolist());
  expect(pass()).toEqual([
    [6, 2, 0, 1],
    [8, 3, 5, 4],
    [7, 9],
  ]);
  expect(pass()).toEqual([
    [3, 4, 0, 9],
    [6, 7, 1, 2],
    [5, 8],
  ]);
  expect(random_split(data, [7, 3]).map((s) => s.indices)).toEqual([
    [1, 2, 4, 9, 3, 0, 8],
    [6, 5, 7],
  ]);
  const halves = random_split(data, [0.5, 0.5], { generator: new torch.Generator().manual_seed(1) });
  expect(halves.map((s) => s.indices)).toEqual([
    [5, 6, 1, 2, 0],
    [8, 9, 3, 7, 4],
  ]);
  expect([...new WeightedRandomSampler([0.1, 0.9, 0.4], 5)]).toEqual([1, 2, 2, 1, 1]);
  expect([...new RandomSampler([0, 1, 2, 3, 4], { replacement: true, num_samples: 40 })].join('')).toBe(
    '1311422023031332104203333040221412124011',
  );
  expect([...new SubsetRandomSampler([4, 5, 6])]).toEqual([6, 5, 4]);
  expect([...new RandomSampler([0, 1, 2, 3, 4], { num_samples: 12 })]).toEqual([4, 0, 3, 1, 2, 3, 0, 1, 4, 2, 3, 2]);
  torch.manual_seed(3);
  const own = new torch.Generator().manual_seed(5);
  const loader = new DataLoader([0, 1, 2, 3, 4, 5, 6], { batch_size: 3, shuffle: true, drop_last: true, generator: own });
  expect([...loader].map((b) => b.tolist())).toEqual([
    [2, 4, 3],
    [5, 0, 6],
  ]);
  // The global generator was not touched.
  expect(torch.tensor([0]).uniform_().item()).toBeCloseTo(0.0043, 4);
});

describe('batches', () => {
  test('are collated by structure', () => {
    class Pairs extends Dataset<{ x: Tensor; name: string; n: number; parts: [number, boolean] }> {
      override get length(): number {
        return 3;
      }
      override get(i: number): { x: Tensor; name: string; n: number; parts: [number, boolean] } {
        return { x: torch.full([2], i), name: `s${i}`, n: i, parts: [i / 2, i > 0] };
      }
    }
    const [a, b] = [...new DataLoader(new Pairs(), { batch_size: 2 })];
    expect(a.x.tolist()).toEqual([
      [0, 0],
      [1, 1],
    ]);
    expect(a.name).toEqual(['s0', 's1']);
    expect(a.n.dtype).toBe(torch.int64);
    expect(a.parts[0].dtype).toBe(torch.float64);
    expect(a.parts[1].tolist()).toEqual([false, true]);
    expect(b.x.shape).toEqual([1, 2]);
  });
  test('of an iterable dataset, and asynchronously', async () => {
    class Numbers extends IterableDataset<number> {
      override *[Symbol.iterator](): Iterator<number> {
        yield* [1, 2, 3];
      }
    }
    expect([...new DataLoader(new Numbers(), { batch_size: 2 })].map((b) => b.tolist())).toEqual([[1, 2], [3]]);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const seen: unknown[] = [];
    for await (const batch of new DataLoader(Array.from({ length: 200 }, (_, i) => i))) {
      seen.push(batch.item());
      const until = performance.now() + 0.2;
      while (performance.now() < until);
    }
    clearInterval(timer);
    expect(seen).toHaveLength(200);
    expect(turns).toBeGreaterThan(3);
  });
  test("errors have PyTorch's text", () => {
    expect(() => new DataLoader([1], { batch_size: 0 })).toThrow('batch_size should be a positive integer value, but got batch_size=0');
    expect(() => new DataLoader([1], { shuffle: true, sampler: [0] })).toThrow('sampler option is mutually exclusive with shuffle');
    expect(() => random_split([1, 2], [1, 2])).toThrow('Sum of input lengths does not equal the length of the input dataset!');
    expect(() => new TensorDataset(torch.ones(2), torch.ones(3))).toThrow('Size mismatch between tensors');
  });
});
