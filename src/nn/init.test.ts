/** Initial values are PyTorch's from the same seed (recorded from torch 2.11, seed 7). */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';

const recorded = JSON.parse(readFileSync(new URL('./init.fixture.json', import.meta.url), 'utf8')) as Record<string, number[]>;
const { init } = nn;
const cases: Record<string, [number[], (t: Tensor) => Tensor]> = {
  kaiming_normal: [[4, 3, 2], (t) => init.kaiming_normal_(t, { a: 0.2, mode: 'fan_out', nonlinearity: 'leaky_relu' })],
  kaiming_uniform_relu: [[4, 3], (t) => init.kaiming_uniform_(t, { nonlinearity: 'relu' })],
  trunc_normal: [[30], (t) => init.trunc_normal_(t, 0.5, 2, -1, 1.5)],
  orthogonal: [[4, 6], (t) => init.orthogonal_(t, 2)],
  orthogonal_tall: [[6, 2, 2], (t) => init.orthogonal_(t)],
  eye: [[3, 4], init.eye_],
  dirac: [[4, 3, 3], (t) => init.dirac_(t)],
  dirac_groups: [[4, 2, 3, 3], (t) => init.dirac_(t, 2)],
  sparse: [[5, 4], (t) => init.sparse_(t, 0.4, 0.5)],
  xavier_normal: [[4, 3], (t) => init.xavier_normal_(t, 1.5)],
};

test.each(Object.keys(cases))('%s_', (name) => {
  const [shape, fill] = cases[name];
  torch.manual_seed(7);
  const t = torch.empty(shape);
  expect(fill(t)).toBe(t);
  const got = t.flatten().tolist() as number[];
  expect(got.length).toBe(recorded[name].length);
  got.forEach((x, i) => {
    expect(x).toBeCloseTo(recorded[name][i], 5);
  });
});

test("errors have PyTorch's text", () => {
  expect(() => init.eye_(torch.ones(2))).toThrow('Only tensors with 2 dimensions are supported');
  expect(() => init.kaiming_normal_(torch.ones(2))).toThrow(
    'Fan in and fan out can not be computed for tensor with fewer than 2 dimensions',
  );
});
