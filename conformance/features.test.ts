import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { featuresText, readReports } from './features.ts';
import { neverReason } from './never.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const api = new URL('../../shared/conformance/torch-api.json', import.meta.url);

describe('FEATURES.md', () => {
  if (!existsSync(api)) {
    test("has no list of PyTorch's names to be made of", (context) => {
      console.log(`skipped: ${api.pathname} is absent`);
      context.skip('shared/conformance is absent');
    });
    return;
  }
  test('says what the exported names and the checked-in reports say: else run npm run features', () => {
    const names = JSON.parse(readFileSync(api, 'utf8')) as Record<string, unknown>;
    const [written, wanted] = [readFileSync(`${root}FEATURES.md`, 'utf8'), featuresText(names, readReports(root))].map((t) =>
      t.split('\n'),
    );
    expect(written.filter((line) => !wanted.includes(line)).map((line) => line.slice(0, 80))).toEqual([]);
    expect(written.length).toBe(wanted.length);
  });
});

describe('the table of what will never be there', () => {
  test('names operators, not everything', () => {
    expect(neverReason('torch', 'cudnn_convolution')).toMatch(/vendor/);
    expect(neverReason('torch', 'quantize_per_tensor')).toMatch(/quantized/);
    for (const name of ['add', 'matmul', 'compile_me', 'linspace', 'quantile']) expect(neverReason('torch', name)).toBeNull();
  });
});
