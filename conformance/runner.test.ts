import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type AnyTensor, need, Tensor } from './api.ts';
import { upload } from './arguments.ts';
import { type Archive, loadRecords, type OperatorRecord, type ProgramRecord, parseExactly, type Records, referencesOf } from './data.ts';
import { countProducts } from './engine-access.ts';
import { uploadStrided } from './forms.ts';
import { encode, type HostTensor, numbers, roundTo } from './host.ts';
import { agreesRounded, compare, sameDistribution } from './judge.ts';
import { notRun } from './not-run.ts';
import { download } from './operators.ts';
import { type Report, runConformance } from './run.ts';
import { tolerances } from './tolerances.ts';

const folder = fileURLToPath(new URL('../../shared/conformance/', import.meta.url));
const present = existsSync(`${folder}ops.json.gz`);

/** The few records that the tests run. */
function someRecords(): Records {
  const all = loadRecords(folder);
  const wanted = new Set(['add', 'mul', 'sum', 'softmax']);
  return {
    ...all,
    operators: { ...all.operators, samples: all.operators.samples.filter((s) => wanted.has(s.op)) },
    network: { ...all.network, samples: all.network.samples.filter((s) => 'module' in s && s.module === 'nn.modules.linear.Linear') },
    programs: all.programs.filter((p) => p.id.startsWith('matmul 3x7x7')),
  };
}
const failures = (report: Report): string[] =>
  [...report.operators, ...report.modules, ...report.programs].filter((o) => o.reason !== null).map((o) => `${o.name} #${o.index}`);

/** An archive in which some tensors are others. */
const withTensors = (archive: Archive<OperatorRecord>, spoiled: ReadonlyMap<number, HostTensor>): Archive<OperatorRecord> => ({
  samples: archive.samples,
  tensor: (i) => spoiled.get(i) ?? archive.tensor(i),
});
const outOf = (record: OperatorRecord): number => referencesOf(record.out)[0].t;

/** One float32 element moved by a hundredth of itself. */
function moved(t: HostTensor): HostTensor {
  const values = numbers(t);
  values[0] += 0.01 * Math.max(1, Math.abs(values[0]));
  return encode(t.dtype, t.shape, values);
}

describe('the runner on ../shared/conformance', () => {
  if (!present) {
    test('has no records on this machine', (context) => {
      console.log(`skipped: ${folder}ops.json.gz is absent`);
      context.skip('shared/conformance is absent');
    });
    return;
  }
  test('a spoiled value, dtype, shape or gradient fails its record, and no other', { timeout: 120_000 }, async () => {
    const records = someRecords();
    const before = await runConformance(records, { device: 'cpu', forms: 'none' });
    const good = new Set(before.operators.filter((o) => o.reason === null).map((o) => o.index));
    expect(good.size).toBeGreaterThanOrEqual(before.operators.length - 3);
    const { operators } = records;
    const find = (op: string): { record: OperatorRecord; index: number } => {
      const index = operators.samples.findIndex(
        (s, i) =>
          s.op === op && s.dtype === 'float32' && s.grads !== undefined && good.has(i) && operators.tensor(outOf(s)).bytes.length > 4,
      );
      expect(index).toBeGreaterThanOrEqual(0);
      return { record: operators.samples[index], index };
    };
    const [add, mul, sum, softmax] = ['add', 'mul', 'sum', 'softmax'].map(find);
    const spoiled = new Map<number, HostTensor>();
    const spoil = (index: number, change: (t: HostTensor) => HostTensor): void => {
      spoiled.set(index, change(operators.tensor(index)));
    };
    spoil(outOf(add.record), moved);
    spoil(outOf(mul.record), (t) => encode('float64', t.shape, numbers(t)));
    spoil(outOf(sum.record), (t) => ({ ...t, shape: [...t.shape, 1] }));
    spoil(softmax.record.grads![0]!.t, moved);
    const after = await runConformance({ ...records, operators: withTensors(operators, spoiled) }, { device: 'cpu', forms: 'none' });
    const expected = [...failures(before), ...[add, mul, sum, softmax].map((x) => `${x.record.op} #${x.index}`)];
    expect(failures(after).sort()).toEqual(expected.sort());
    const reasons = new Map(after.operators.map((o) => [o.index, o.reason]));
    expect(reasons.get(add.index)).toMatch(/^1 of \d+ differ/);
    expect(reasons.get(mul.index)).toBe('dtype float32 instead of float64');
    expect(reasons.get(sum.index)).toMatch(/^shape /);
    expect(reasons.get(softmax.index)).toMatch(/^gradient 0: 1 of \d+ differ/);
  });

  test('a spoiled program fails by its picks, its sum and its gradient', { timeout: 60_000 }, async () => {
    const [program] = someRecords().programs;
    const variants: ProgramRecord[] = [
      program,
      {
        ...program,
        id: 'pick',
        expect: program.expect.map((e) => ({ ...e, picks: e.picks.map(([i, v], k) => [i, k === 0 ? Number(v) + 1e-4 : v] as const) })),
      },
      { ...program, id: 'sum', expect: program.expect.map((e) => ({ ...e, sum: Number(e.sum) + 1e-3 })) },
      {
        ...program,
        id: 'gradient',
        grads: { ...program.grads, a: { ...program.grads['a']!, sum: Number(program.grads['a']!.sum) + 1e-3 } },
      },
      { ...program, id: 'dtype', expect: program.expect.map((e) => ({ ...e, dtype: 'float64' })) },
    ];
    const none = { samples: [], tensor: (): HostTensor => encode('bool', [0], []) };
    const report = await runConformance({ operators: none, network: none, programs: variants, api: {} }, { device: 'cpu', forms: 'none' });
    expect(report.programs.map((o) => o.reason === null)).toEqual([true, false, false, false, false]);
    expect(report.lines).toEqual([
      'operators cpu: 0 of 0 records, 0 of 0 operators complete',
      'modules cpu: 0 of 0 records',
      'programs cpu: 1 of 5',
    ]);
  });

  test('a spoiled module fails by its result, a parameter gradient and an input gradient', { timeout: 60_000 }, async () => {
    const records = someRecords();
    const { network } = records;
    const run = async (spoiled: ReadonlyMap<number, HostTensor>): Promise<string[]> =>
      failures(
        await runConformance(
          {
            ...records,
            operators: { ...records.operators, samples: [] },
            programs: [],
            network: { samples: network.samples, tensor: (i) => spoiled.get(i) ?? network.tensor(i) },
          },
          { device: 'cpu', forms: 'none' },
        ),
      );
    expect(await run(new Map())).toEqual([]);
    const [record] = network.samples as unknown as {
      out: { t: number };
      param_grads: Record<string, { t: number }>;
      input_grads: { t: number }[];
    }[];
    for (const index of [record.out.t, record.param_grads['weight'].t, record.input_grads[0].t])
      expect(await run(new Map([[index, moved(network.tensor(index))]]))).toEqual(['nn.modules.linear.Linear #0']);
  });
});

describe('the other forms of a call', () => {
  const run = (records: Records): Promise<Report> =>
    runConformance(
      { ...records, network: { ...records.network, samples: [] }, programs: [] },
      { device: 'cpu', forms: 'sample', only: /^mul$/ },
    );
  const methods = Tensor.prototype as unknown as Record<string, unknown>;

  test('a wrong method, in-place twin or strided view fails the records that use it', { timeout: 60_000 }, async (context) => {
    if (!present) context.skip('shared/conformance is absent');
    const records = someRecords();
    const before = await run(records);
    expect(failures(before)).toEqual([]);
    expect(before.forms.failed).toBe(0);
    expect(before.forms.checked).toBeGreaterThan(20);
    for (const [name, form] of [
      ['mul', 'method'],
      ['mul_', 'in-place'],
    ] as const) {
      const original = methods[name];
      methods[name] = methods[name.replace('mul', 'sub')];
      try {
        const after = await run(records);
        expect(after.operators.some((o) => o.reason?.startsWith(`${form}: `))).toBe(true);
      } finally {
        methods[name] = original;
      }
    }
  });

  test('a strided upload has the same elements at other strides', async () => {
    for (const shape of [[], [5], [3, 4], [2, 3, 4], [0, 3]]) {
      const t = encode(
        'float32',
        shape,
        Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1),
      );
      const strided = uploadStrided(t, 'cpu');
      expect(compare(await download(strided), t)).toBeNull();
      if (t.bytes.length > 4 && shape.length > 0) expect((strided as unknown as { is_contiguous(): boolean }).is_contiguous()).toBe(false);
    }
  });
});

describe('which kernels ran', () => {
  test('a product is counted each time its program runs, other work is not', async () => {
    const x = upload(encode('float32', [8, 8], new Float64Array(64).fill(1)), 'cpu');
    const count = async (name: string): Promise<number> =>
      (await countProducts('cpu', () => download((need(name) as (...args: unknown[]) => AnyTensor)(x, x)))).products;
    expect(await count('matmul')).toBe(1);
    expect(await count('matmul')).toBe(1);
    expect(await count('mul')).toBe(0);
  });
});

describe('judging', () => {
  const host = (dtype: string, ...values: number[]): HostTensor => encode(dtype, [values.length], values);

  test('has the tolerances of assert_close, relative and absolute', () => {
    expect(compare(host('float32', 1), host('float32', 1 + 1.1e-5))).toBeNull();
    expect(compare(host('float32', 1), host('float32', 1 + 1.3e-5))).not.toBeNull();
    expect(compare(host('float64', 1), host('float64', 1 + 1.9e-7))).toBeNull();
    expect(compare(host('float64', 1), host('float64', 1 + 2.2e-7))).not.toBeNull();
    expect(compare(host('float64', 1), host('float64', 1 + 2.2e-7), 2)).toBeNull();
  });

  test('takes NaN for NaN and infinity for itself only', () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    expect(compare(host('float32', nan, inf), host('float32', nan, inf))).toBeNull();
    expect(compare(host('float32', nan), host('float32', 1))).not.toBeNull();
    expect(compare(host('float32', 1e38), host('float32', inf))).not.toBeNull();
    expect(compare(host('float32', -inf), host('float32', inf))).not.toBeNull();
  });

  test('is exact for integers, bool, dtype and shape', () => {
    expect(compare(host('int64', 2 ** 40), host('int64', 2 ** 40 + 1))).not.toBeNull();
    expect(compare(host('bool', 1), host('bool', 0))).not.toBeNull();
    expect(compare(host('int32', 1), host('int64', 1))).toBe('dtype int32 instead of int64');
    expect(compare(encode('int32', [1, 2], [1, 2]), encode('int32', [2], [1, 2]))).toBe('shape [1, 2] instead of [2]');
  });

  test('the low-precision rule accepts one unit in the last place of the rounded truth, not two, and no truth of its own', () => {
    const expected = host('bfloat16', 1.03125);
    expect(agreesRounded(host('bfloat16', 1.0078125), host('float32', 1.001), expected)).toBe(true);
    expect(agreesRounded(host('bfloat16', 1.015625), host('float32', 1.001), expected)).toBe(false);
    expect(agreesRounded(host('bfloat16', 3), host('float32', 3), expected)).toBe(false);
  });

  test('rounds to 16-bit floats as PyTorch does', () => {
    expect(roundTo('bfloat16', 1 + 2 ** -8)).toBe(1);
    expect(roundTo('bfloat16', 1 + 3 * 2 ** -8)).toBe(1 + 2 ** -6);
    expect(roundTo('float16', 65519)).toBe(65504);
    expect(roundTo('float16', 65520)).toBe(Number.POSITIVE_INFINITY);
    expect(numbers(encode('float16', [3], [0.1, -(2 ** -24), 1000]))).toEqual(Float64Array.of(0.0999755859375, -(2 ** -24), 1000));
  });

  test('another generator is judged by distribution: a shift is seen, another seed is not', () => {
    const draw = (shift: number): HostTensor =>
      encode(
        'float32',
        [400],
        Array.from({ length: 400 }, (_, i) => ((i * 7919 + shift * 31) % 400) / 400 + shift),
      );
    expect(sameDistribution(draw(0), draw(0.001))).toBeNull();
    expect(sameDistribution(draw(0.5), draw(0))).toMatch(/^distribution/);
  });

  test('integers above 2^53 stay exact', () => {
    expect(parseExactly('{"a": [1, 9223372036854775807], "f": "12345678901234567890", "x": 0.12345678901234566}')).toEqual({
      a: [1, { big: '9223372036854775807' }],
      f: '12345678901234567890',
      x: 0.12345678901234566,
    });
  });
});

describe('the tables', () => {
  test('at most forty operators have a tolerance of their own, at most twenty times the default, each with a reason', () => {
    const entries = Object.values(tolerances);
    expect(entries.length).toBeLessThanOrEqual(40);
    for (const { factor, reason } of entries) {
      expect(factor).toBeGreaterThan(1);
      expect(factor).toBeLessThanOrEqual(20);
      expect(reason.length).toBeGreaterThan(10);
    }
  });
  test('what is not run says why, once', () => {
    for (const { reason } of notRun) expect(reason.length).toBeGreaterThan(10);
    expect(new Set(notRun.map((n) => `${n.op} ${n.dtypes?.join() ?? ''}`)).size).toBe(notRun.length);
  });
});
