/** Scores and draws against transformers' logits processors, in their order (`sampling.fixture.py`). */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';
import { makeSampler, type SamplingOptions } from './sampling.ts';

interface Fixture {
  readonly logits: number[][];
  readonly tokens: number[][];
  readonly cases: readonly { readonly options: SamplingOptions; readonly scores: (number | null)[][]; readonly drawn: number[][] }[];
}
const fixture = JSON.parse(readFileSync(new URL('./sampling.fixture.json', import.meta.url), 'utf8')) as Fixture;
const onDevice = (device: string): { logits: Tensor; prompt: { tokens: Tensor; mask: null } } => ({
  logits: torch.tensor(fixture.logits, { device }),
  prompt: { tokens: torch.tensor(fixture.tokens, { dtype: torch.int64, device }), mask: null },
});

describe.each(['cpu', 'wasm'])('on %s', (device) => {
  const { logits, prompt } = onDevice(device);
  test.each(fixture.cases.map((one) => [one.options, one] as const))(
    '%j leaves the tokens and the scores that transformers leaves',
    (_, one) => {
      const scores = makeSampler({ do_sample: true, ...one.options }, prompt)
        .scores(logits)
        .tolist() as number[][];
      scores.forEach((row, i) => {
        row.forEach((score, token) => {
          const expected = one.scores[i][token] ?? Number.NEGATIVE_INFINITY;
          if (Number.isFinite(expected)) expect(Math.abs(score - expected)).toBeLessThan(1e-5);
          else expect([i, token, score]).toEqual([i, token, expected]);
        });
      });
    },
  );
});

describe('on cpu', () => {
  const { logits, prompt } = onDevice('cpu');
  test.each(fixture.cases.map((one) => [one.options, one] as const))(
    '%j draws the tokens that PyTorch draws from the same seed',
    (_, one) => {
      // What was drawn is penalized next time, so penalties are compared at their first draw.
      const rounds = one.options.repetition_penalty === undefined ? 4 : 1;
      const sampler = makeSampler({ do_sample: true, seed: 3, ...one.options }, prompt);
      const drawn = Array.from({ length: rounds }, () => sampler.next(logits).flatten().tolist() as number[]);
      expect(drawn).toEqual(one.drawn.slice(0, rounds));
    },
  );

  test('without drawing only the penalty changes scores', () => {
    const penalty = fixture.cases.find(({ options }) => options.repetition_penalty === 1.3)!;
    const sampler = makeSampler({ do_sample: false, top_k: 1, temperature: 3, repetition_penalty: 1.3 }, prompt);
    expect(
      sampler
        .scores(logits)
        .sub(torch.tensor(penalty.scores as number[][]))
        .abs()
        .max()
        .item(),
    ).toBeLessThan(1e-5);
    expect(sampler.next(logits).tolist()).toEqual(
      torch
        .tensor(penalty.scores as number[][])
        .argmax(-1, { keepdim: true })
        .tolist(),
    );
  });
});
