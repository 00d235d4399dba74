/**
 * Autocast's result dtypes, operator by operator, against PyTorch's own answers: `src/amp/autocast.fixture.json`, which `scripts/record-autocast.py`
 * wrote from the records' calls. `cuda` is judged without a card: a device of that name that computes nothing.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { autocastOf, setAutocast } from '../src/autograd/autocast-mode.ts';
import { ReferenceBackend } from '../src/backend/reference/device.ts';
import { bfloat16, float16 } from '../src/dtype/dtype.ts';
import { engineOf, registerDevice } from '../src/tensor/devices.ts';
import { core, isTensor } from './api.ts';
import { AtenSchemas, leavesOf, upload } from './arguments.ts';
import { loadRecords } from './data.ts';
import { encode, numbers } from './host.ts';
import { execute, prepare } from './operators.ts';

const folder = fileURLToPath(new URL('../../shared/conformance/', import.meta.url));
const present = existsSync(`${folder}ops.json.gz`);
if (!present) console.warn(`${folder} is not there: autocast is not compared operator by operator`);

type Answers = readonly [cpu: string | null, cpuLower: string | null, cuda: string | null, cudaLower: string | null];
const fixture = JSON.parse(readFileSync(new URL('../src/amp/autocast.fixture.json', import.meta.url), 'utf8')) as Record<
  string,
  Record<string, Answers>
>;
const codes: Readonly<Record<string, string>> = {
  ...{ float32: 'f', float64: 'd', float16: 'h', bfloat16: 'b', complex64: 'c', complex128: 'z', bool: '?' },
  ...{ int64: 'l', int32: 'i', int16: 's', int8: 'a', uint8: 'u' },
};

/** Calls whose dtypes differ for a reason of their own, by operator. */
const excused: Readonly<Record<string, string>> = {
  _softmax_backward_data: 'its input_dtype is an argument that is kept here',
  __rdiv__: "Python's 1 / x is x.reciprocal()",
  native_batch_norm: "a card's statistics of half tensors are float32 in PyTorch, with or without autocast",
  _native_batch_norm_legit: 'the same',
  'linalg.pinv': 'on fake tensors its last product is not a call, so the record of cuda is not what a card does',
  'linalg.pinv.hermitian': 'the same',
  pinverse: 'the same',
};
/** Decompositions of low precision do not exist here; the records of fake tensors, and of empty ones, know nothing of that. */
const notImplemented = /not implemented for|Low precision dtypes|Unsupported dtype|doesn't handle types other/;

/** Dtypes are known without computing anything: what has been recorded is dropped. */
function forgetPending(device: string): void {
  const { backend } = engineOf(device);
  registerDevice(device, () => backend);
}

const runs = [
  { kind: 'cpu', lower: bfloat16, cast: false },
  { kind: 'cpu', lower: bfloat16, cast: true },
  { kind: 'cuda', lower: float16, cast: false },
  { kind: 'cuda', lower: float16, cast: true },
] as const;

describe.skipIf(!present)('result dtypes under autocast', () => {
  const records = present ? loadRecords(folder) : null;
  registerDevice('cuda', () => new ReferenceBackend());
  const schemas = new AtenSchemas((records?.api['aten_schemas'] as string[] | undefined) ?? []);

  test.each(runs.map((run, k) => ({ ...run, k })))(
    'are those of PyTorch on $kind, inputs of the lower precision: $cast',
    async ({ kind, lower, cast, k }) => {
      const wrong: string[] = [];
      let compared = 0;
      const state = autocastOf(kind)!;
      core.set_default_device(kind);
      for (const [op, answers] of Object.entries(fixture)) {
        for (const [index, row] of Object.entries(answers)) {
          const expected = row[k];
          if (expected === null || (excused[op] !== undefined && (kind === 'cuda' || !op.includes('pinv')))) continue;
          const record = records!.operators.samples[Number(index)];
          let found: string;
          try {
            const { plan } = prepare(
              record,
              { device: kind, archive: records!.operators, schemas, exactRandom: true },
              {
                upload: (host, device) =>
                  upload(cast && host.dtype === 'float32' ? encode(lower.name, host.shape, numbers(host)) : host, device),
              },
            );
            Object.assign(state, { dtype: lower });
            setAutocast(state, true);
            const result = execute(plan, schemas);
            found = leavesOf(result instanceof Promise ? await result : result)
              .flatMap((x) => (isTensor(x) ? [codes[x.dtype.name]] : []))
              .join('');
          } catch (error) {
            found = /unsafe to autocast/.test(String(error)) ? 'banned' : `${error}`.split('\n')[0];
          } finally {
            setAutocast(state, false);
            forgetPending(kind);
          }
          if (notImplemented.test(found) && !expected.includes('f')) continue;
          compared++;
          if (found !== expected) wrong.push(`${op} #${index}: ${found} instead of ${expected}`);
        }
      }
      core.set_default_device('cpu');
      expect(wrong).toEqual([]);
      expect(compared).toBeGreaterThan(1800);
    },
    120_000,
  );
});
