import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { loadRecords, type OperatorRecord, referencesOf } from './data.ts';
import { type HostTensor, numbers } from './host.ts';
import { type JudgeArguments, properties, propertyOf } from './properties.ts';
import { nameOf } from './special-calls.ts';

const folder = fileURLToPath(new URL('../../shared/conformance/', import.meta.url));

/** The same tensor with some of its elements changed. */
function changed(t: HostTensor, change: (x: number, i: number) => number): HostTensor {
  const values = numbers(t).map(change);
  const array = t.dtype === 'float32' || t.dtype === 'complex64' ? Float32Array.from(values) : values;
  return { ...t, bytes: new Uint8Array(array.buffer) };
}
/** Columns of a real matrix times signs. */
const flipped = (t: HostTensor, sign: (column: number) => number): HostTensor => changed(t, (x, i) => x * sign(i % t.shape.at(-1)!));

describe('what factorizations are judged by', () => {
  if (!existsSync(`${folder}ops.json.gz`)) {
    test('has no records on this machine', (context) => {
      console.log(`skipped: ${folder}ops.json.gz is absent`);
      context.skip('shared/conformance is absent');
    });
    return;
  }
  const { operators } = loadRecords(folder);
  const cases = operators.samples.filter((s) => propertyOf(nameOf(s.op).path) !== undefined);
  const argumentsOf = (record: OperatorRecord): JudgeArguments => {
    const expected = referencesOf(record.out).map((r) => operators.tensor(r.t));
    const inputs = [record.input, ...record.args, ...Object.values(record.kwargs)].flatMap(referencesOf).map((r) => operators.tensor(r.t));
    return { actual: expected, expected, inputs, record };
  };

  test("PyTorch's own results keep every promise", () => {
    const complaints = cases.flatMap((record) => {
      const complaint = propertyOf(nameOf(record.op).path)!.judge(argumentsOf(record));
      return complaint === null ? [] : [`${record.op} ${record.dtype}: ${complaint}`];
    });
    expect(complaints).toEqual([]);
    expect(cases.length).toBeGreaterThan(100);
  });

  test('a factor that is off by a thousandth breaks one, in every operator', () => {
    for (const path of Object.keys(properties)) {
      const judged = cases.filter((s) => nameOf(s.op).path === path);
      expect(judged.length, path).toBeGreaterThan(0);
      const caught = judged.filter((record) => {
        const a = argumentsOf(record);
        const which = a.actual.findIndex((t) => t.bytes.length > 0 && numbers(t).some((x) => Math.abs(x) > 0.5));
        if (which < 0) return false;
        const spoiled = a.actual.map((t, i) => (i === which ? changed(t, (x) => x * 1.001) : t));
        return propertyOf(path)!.judge({ ...a, actual: spoiled }) !== null;
      });
      expect(caught.length, path).toBeGreaterThan(0);
    }
  });

  test('other signs are as good, and turn the gradients with them', () => {
    const record = cases.find(
      (s) =>
        s.op === 'linalg.eigh' &&
        s.dtype === 'float64' &&
        referencesOf(s.out).length === 2 &&
        operators.tensor(referencesOf(s.out)[1].t).shape.at(-1)! > 2,
    )!;
    const a = argumentsOf(record);
    const sign = (column: number): number => (column === 1 ? -1 : 1);
    const actual = [a.actual[0], flipped(a.actual[1], sign)];
    const { judge, align } = properties['linalg.eigh'];
    expect(judge({ ...a, actual })).toBeNull();
    const gradients = record.grad_out!.map((g) => operators.tensor(g.t));
    const turned = align!(actual, a.expected, gradients);
    expect(numbers(turned[0])).toEqual(numbers(gradients[0]));
    expect(numbers(turned[1])).toEqual(numbers(flipped(gradients[1], sign)));
  });
});
