/** 100,000 mutated files of models, in all: safetensors, config.json, tokenizer.json, files of torch.save, whole folders. (GGUF and llama2.c: hostile-files.test.ts.) */
import { expect, test } from 'vitest';
import { modelFuzzers } from '../fuzz-models.ts';

test.each(Object.entries(modelFuzzers))('mutated %s', (name, [fuzz, share]) => {
  const count = Math.round(100_000 * share);
  const before = process.cpuUsage();
  const { read, refused } = fuzz(count, 2);
  const { user, system } = process.cpuUsage(before);
  console.log(`${name}: ${read} read, ${refused} refused, ${((user + system) / 1e6).toFixed(1)} s of a core`);
  expect(read + refused).toBe(count);
  expect(refused).toBeGreaterThan(count / 10);
});
