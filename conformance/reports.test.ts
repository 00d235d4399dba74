/** The checked-in reports: what `cpu` passes, `cuda` passes, but for the records that `not-on-cuda.ts` lists. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { notOnCuda } from './not-on-cuda.ts';
import type { CompactReport } from './report.ts';

const reportOf = (device: string): CompactReport =>
  JSON.parse(readFileSync(new URL(`reports/${device}.json`, import.meta.url), 'utf8')) as CompactReport;

test('cuda passes what cpu passes, less the records that are listed with their reasons', () => {
  const [cpu, cuda] = [reportOf('cpu'), reportOf('cuda')];
  expect(cuda.device).toBe('cuda');
  const passed = (text: string | undefined): number => Number((text ?? '0/0').split('/')[0]);
  const behind: Record<string, number> = {};
  for (const part of ['operators', 'modules', 'programs'] as const)
    for (const [name, text] of Object.entries(cpu[part])) {
      const missing = passed(text) - passed(cuda[part][name]);
      if (missing > 0) behind[name] = missing;
    }
  expect(behind).toEqual(Object.fromEntries(notOnCuda.map(({ name, records }) => [name, records])));
  expect(notOnCuda.reduce((sum, { records }) => sum + records, 0)).toBeLessThanOrEqual(40);
  for (const { reason } of notOnCuda) expect(reason.length).toBeGreaterThan(10);
});
