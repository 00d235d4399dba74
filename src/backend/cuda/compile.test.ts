import { expect, test } from 'vitest';
import { requireCompiler } from './nvrtc.ts';
import { cuda } from './dialect.ts';
test('prelude', () => {
  const c = requireCompiler();
  console.log(c.path, c.version);
  const t = performance.now();
  const bytes = c.compile(cuda.prelude + cuda.head('k', 'rb', 're', 128) + cuda.tail, 'k', 'sm_90');
  console.log(bytes.length, performance.now() - t);
  expect(bytes.length).toBeGreaterThan(100);
});
