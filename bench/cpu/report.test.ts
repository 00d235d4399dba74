import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compare } from '../harness.ts';
import { ratioChart } from './chart.ts';
import { compareOutputs, type SampledOutput } from './check.ts';
import { type CpuReport, failuresOf, formatDocument, formatResult, formatTable } from './report.ts';
import { rows } from './rows.ts';

const output = (values: readonly number[], shape = [values.length]): SampledOutput => ({
  shape,
  data: Buffer.from(Float32Array.from(values).buffer).toString('base64'),
});

describe('outputs of two rivals', () => {
  test('agree within the tolerance, relative to the largest element', () => {
    expect(compareOutputs([output([1, 100])], [output([1, 100])], 0)).toEqual({ ok: true, difference: 0 });
    expect(compareOutputs([output([1.5, 100])], [output([1, 100])], 0.01)).toEqual({ ok: true, difference: 0.005 });
    expect(compareOutputs([output([3, 100])], [output([1, 100])], 0.01).ok).toBe(false);
  });

  test('differ in shape, number, or a NaN on one side', () => {
    expect(compareOutputs([output([1, 2])], [output([1, 2], [2, 1])], 1).note).toBe("output 0 is [2], the rival's is [2,1]");
    expect(compareOutputs([output([1])], [], 1).ok).toBe(false);
    expect(compareOutputs([output([Number.NaN])], [output([1])], 1).ok).toBe(false);
    expect(compareOutputs([output([Number.NaN])], [output([Number.NaN])], 0).ok).toBe(true);
  });
});

async function reportOf(ours: number, ok: boolean): Promise<CpuReport> {
  const options = { title: 'sgemm 2048, 1 thread', unit: 'GFLOP/s', rounds: 2, limit: { name: 'FMA peak', rate: 200 } };
  const comparison = await compare(
    [
      { name: 'torch-magpie', measure: () => ours },
      { name: 'PyTorch', measure: () => 100 },
    ],
    options,
  );
  return {
    date: '2026-11-24T00:00:00.000Z',
    node: 'v20.20.2',
    processor: { model: 'A processor', features: ['AVX2', 'FMA'], isa: 'avx2', cores: 2, loadBefore: 0.1 },
    rivals: { PyTorch: '2.11.0, AVX2' },
    absent: { 'llama.cpp': 'no network' },
    rounds: 2,
    limits: [{ threads: 1, peak: 200e9, peakBf16: 400e9, bf16By: 'vdpbf16ps', read: 10e9, copy: 12e9 }],
    results: [{ id: 'sgemm-2048', threads: 1, comparison, checks: { PyTorch: { ok, difference: 1e-6 } } }],
  };
}

describe('the report', () => {
  test('says times, ratios, the share of the limit and whether the goal is met', async () => {
    const met = formatDocument(await reportOf(95, true), undefined);
    expect(met).toContain(
      '| sgemm 2048 | 1 | 95.0 GFLOP/s ±0 % | PyTorch 100 GFLOP/s ±0 % | 0.95 (0.95 to 0.95) | 48 % of FMA peak | 0.92 of PyTorch: yes | 1e-6 |',
    );
    expect(met).toContain('Left out: llama.cpp: no network');
    expect(met).toContain('AVX2, FMA');
    expect(formatDocument(await reportOf(80, true), undefined)).toContain('0.92 of PyTorch: **no**');
    expect(formatTable(await reportOf(95, true))).toContain(
      'sgemm-2048  1        95.0 GFLOP/s ±0 %  0.95 (0.95-0.95) PyTorch  48 % of FMA peak',
    );
  });

  test('keeps what was written by hand, and nothing else', async () => {
    const report = await reportOf(95, true);
    const before = formatDocument(report, undefined)
      .replace('Nothing is written here yet.', 'The packing costs 3 %.')
      .replace('# Performance on the CPU', '# Old');
    const after = formatDocument(report, before);
    expect(after).toContain('The packing costs 3 %.');
    expect(after).not.toContain('# Old');
    expect(formatDocument(report, after)).toBe(after);
  });

  test('outputs that differ and rows that failed are failures', async () => {
    const report = await reportOf(95, false);
    expect(failuresOf(report)).toEqual(["sgemm-2048, 1 threads: outputs differ from PyTorch's by 1.0e-6, allowed 0.00001"]);
    expect(formatResult(report.results[0]!)).toContain("outputs DIFFER from PyTorch's");
    const failed = { ...report, results: [{ id: 'sort', threads: 2, failure: 'it died' }] };
    expect(failuresOf(failed)).toEqual(['sort, 2 threads: it died']);
  });

  test('the chart has a bar for each ratio', async () => {
    const svg = ratioChart(await reportOf(95, true));
    expect(svg.match(/class="range"/g)).toHaveLength(1);
    expect(svg).toContain('>0.95</text>');
    expect(svg).toContain('sgemm 2048, 1 thread<');
  });
});

test('every row is in both workers under its name', () => {
  const [ours, theirs, node] = ['our-rows.ts', 'torch_worker.py', 'node-rival-worker.ts'].map((name) =>
    readFileSync(new URL(name, import.meta.url), 'utf8'),
  );
  for (const { id, rivals } of rows) {
    expect(ours).toContain(`case '${id}':`);
    if (rivals.includes('PyTorch')) expect(theirs).toContain(`"${id}":`);
  }
  expect(node).toContain("'bert-forward'");
});
