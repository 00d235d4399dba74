/** A hundred thousand broken tokenizers of each kind: none crashes, hangs, or is refused without its name. */
import { expect, test } from 'vitest';
import { fuzzTokenizers } from '../../src/models/test-support.ts';

test('a hundred thousand of each kind', () => {
  let works = 0;
  for (let part = 0; part < 100; part++) works += fuzzTokenizers(1000, 1000 + part);
  expect(works).toBeGreaterThan(20_000);
});
