/** 10,000 mutated files of models: each is read, or refused with an error that says which file and what is wrong. (100,000 in test/long/fuzz.test.ts.) */
import { expect, test } from 'vitest';
import { modelFuzzers } from './fuzz-models.ts';

test.each(Object.entries(modelFuzzers))('mutated %s', (_, [fuzz, share]) => {
  const count = Math.round(10_000 * share);
  const { read, refused } = fuzz(count, 1);
  expect(read + refused).toBe(count);
  expect(read).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(count / 10);
});
