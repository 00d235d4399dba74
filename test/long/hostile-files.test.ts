/** 100,000 mutated GGUF files and as many of llama2.c's: each is read or refused with the reader's own error, in well under a minute of a core. */
import { expect, test } from 'vitest';
import { fuzzGguf } from '../fuzz-gguf.ts';
import { fuzzLlama2cHeader } from '../fuzz-llama2c.ts';

test.each([
  ['GGUF', fuzzGguf],
  ['llama2.c', fuzzLlama2cHeader],
])('100,000 mutations of %s', (name, fuzz) => {
  const before = process.cpuUsage();
  const { read, refused } = fuzz(100_000, 2);
  const { user, system } = process.cpuUsage(before);
  console.log(`${name}: ${read} read, ${refused} refused, ${((user + system) / 1e6).toFixed(1)} s of a core`);
  expect(read + refused).toBe(100_000);
  expect(refused).toBeGreaterThan(30_000);
  expect((user + system) / 1e6).toBeLessThan(120);
});
