/**
 * Programs: inputs made of a hash, steps by name, results judged by picks and a sum against a float64 run (`err` is PyTorch's own error).
 * A result may be three times less accurate than PyTorch's, no more.
 */
import { type AnyTensor, core, isTensor, need, needMethod } from './api.ts';
import { type AtenSchemas, Decoder, invoke, leavesOf, upload } from './arguments.ts';
import type { Encoded, ExpectedTensor, ProgramInput, ProgramRecord } from './data.ts';
import { countProducts, productsOf } from './engine-access.ts';
import { encode, formatOf, type HostTensor, numbers, numelOf } from './host.ts';
import { download } from './operators.ts';

/** The records' hash, in unsigned 32-bit arithmetic. */
function hash(i: number, seed: number): number {
  let h = (Math.imul(i, 0x9e3779b1) + Math.imul(seed, 0x85ebca77)) | 0;
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  h ^= h >>> 12;
  h = Math.imul(h, 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

export function makeInput(input: ProgramInput): HostTensor {
  const values = new Float64Array(numelOf(input.shape));
  const { scale = 1, lo = 0, hi = 1 } = input;
  for (let i = 0; i < values.length; i++) {
    const h = hash(i, input.seed);
    if (input.kind === 'real') values[i] = (((h >>> 8) / 2 ** 24) * 2 - 1) * scale;
    else values[i] = input.kind === 'int' ? lo + (h % (hi - lo)) : h & 1;
  }
  return encode(input.dtype, input.shape, values);
}

const epsilons: Readonly<Record<string, number>> = { float64: 2 ** -52, float32: 2 ** -23, float16: 2 ** -10, bfloat16: 2 ** -7 };

/** Null where picks and sum are within their bounds. */
export function judgeTensor(actual: HostTensor, expected: ExpectedTensor): string | null {
  if (actual.dtype !== expected.dtype) return `dtype ${actual.dtype} instead of ${expected.dtype}`;
  if (actual.shape.join() !== expected.shape.join()) return `shape [${actual.shape.join(', ')}] instead of [${expected.shape.join(', ')}]`;
  const values = numbers(actual);
  const integer = formatOf(actual.dtype).kind !== 'float';
  const eps = epsilons[actual.dtype] ?? 0;
  const err = expected.err ?? 0;
  let largest = 0;
  for (const [, v] of expected.picks) largest = Math.max(largest, Math.abs(Number(v)));
  for (const [i, recorded] of expected.picks) {
    const e = Number(recorded);
    const limit = integer ? 0 : 3 * err + 2 * eps * Math.abs(e) + 64 * 2 ** -52 * largest;
    const error = Math.abs(values[i] - e);
    if (values[i] === e || (Number.isNaN(values[i]) && Number.isNaN(e)) || error <= limit) continue;
    return `at ${i}: ${values[i]} instead of ${e}, off by ${error.toExponential(2)}, allowed ${limit.toExponential(2)}`;
  }
  const sum = Number(expected.sum);
  const total = exactSum(values);
  const mass = expected.abs_sum ?? 0;
  const limit = integer ? 0 : 12 * err * Math.sqrt(values.length) + 4 * eps * mass + 64 * 2 ** -52 * mass;
  if (total === sum || Math.abs(total - sum) <= limit) return null;
  return `sum ${total} instead of ${sum}, allowed ${limit.toExponential(2)}`;
}

/** Neumaier's sum: a plain loop over a million numbers would miss the bound by itself. */
function exactSum(values: Float64Array): number {
  let sum = 0;
  let lost = 0;
  for (const v of values) {
    const next = sum + v;
    lost += Math.abs(sum) >= Math.abs(v) ? sum - next + v : v - next + sum;
    sum = next;
  }
  return Number.isFinite(sum) ? sum + lost : sum;
}

/** Runs one program; null where every output and gradient agrees and its products ran in product kernels. */
export async function runProgram(record: ProgramRecord, device: string, schemas: AtenSchemas): Promise<string | null> {
  const { result, products } = await countProducts(device, () => judgeProgram(record, device, schemas));
  if (result !== null) return result;
  const asked = productsOf(record);
  return products >= asked ? null : `${asked} products asked for, ${products} product kernels ran`;
}

async function judgeProgram(record: ProgramRecord, device: string, schemas: AtenSchemas): Promise<string | null> {
  const values = new Map<string, unknown>();
  const wanted: [string, AnyTensor][] = [];
  for (const [name, input] of Object.entries(record.inputs)) {
    const t = upload(makeInput(input), device);
    if (input.rg) {
      t.requires_grad_();
      wanted.push([name, t]);
    }
    values.set(name, t);
  }
  const decoder = new Decoder({
    device,
    tensor: () => {
      throw new Error('internal: a program has no stored tensors');
    },
  });
  for (const [out, fn, args, kwargs] of record.steps) bindResult(values, out, runStep(fn, args, kwargs, values, decoder, schemas));
  const outputs = record.outputs.map((name) => values.get(name));
  values.clear();
  const floating: AnyTensor[] = [];
  const seeds: AnyTensor[] = [];
  outputs.forEach((t, j) => {
    if (!isTensor(t) || formatOf(t.dtype.name).kind !== 'float' || !t.requires_grad) return;
    floating.push(t);
    const seed = makeInput({ kind: 'real', shape: t.shape, dtype: 'float32', scale: 1, seed: 77 + j });
    seeds.push(upload(seed.dtype === t.dtype.name ? seed : encode(t.dtype.name, t.shape, numbers(seed)), device));
  });
  const grads =
    Object.keys(record.grads).length === 0 || floating.length === 0
      ? wanted.map(() => null)
      : core.autograd.grad(
          floating,
          wanted.map(([, t]) => t),
          seeds,
          { allow_unused: true },
        );
  for (let j = 0; j < outputs.length; j++) {
    const t = outputs[j];
    if (!isTensor(t)) return `output ${record.outputs[j]} is not a tensor`;
    const mismatch = judgeTensor(await download(t), record.expect[j]);
    if (mismatch !== null) return `output ${record.outputs[j]}: ${mismatch}`;
  }
  for (let i = 0; i < wanted.length; i++) {
    const [name] = wanted[i];
    const expected = record.grads[name];
    if (expected === undefined) continue;
    const found = grads[i];
    const mismatch = await judgeProgramGradient(found, expected);
    if (mismatch !== null) return `gradient of ${name}: ${mismatch}`;
  }
  return null;
}

/** No gradient is None or all zeros, on either side. */
async function judgeProgramGradient(found: AnyTensor | null, expected: ExpectedTensor | null): Promise<string | null> {
  if (expected === null) {
    if (found === null || numbers(await download(found)).every((x) => x === 0)) return null;
    return 'a gradient where PyTorch has none';
  }
  if (found === null) return 'None instead of a tensor';
  return judgeTensor(await download(found), expected);
}

function runStep(
  fn: string,
  args: readonly Encoded[],
  kwargs: Readonly<Record<string, Encoded>>,
  values: ReadonlyMap<string, unknown>,
  decoder: Decoder,
  schemas: AtenSchemas,
): unknown {
  const resolve = (x: Encoded): unknown => {
    if (typeof x === 'string' && x.startsWith('$')) return values.get(x.slice(1));
    if (Array.isArray(x)) return x.map((y) => resolve(y as Encoded));
    return decoder.value(x);
  };
  const parts = (x: Encoded): unknown[] => {
    const list: readonly Encoded[] = Array.isArray(x) ? x : typeof x === 'object' && x !== null && 'tuple' in x ? x.tuple : [x];
    return list.map((p) => (typeof p === 'string' && p.startsWith('$') ? values.get(p.slice(1)) : decoder.indexParts({ tuple: [p] })[0]));
  };
  if (fn === 'getitem') return needMethod('at').call(resolve(args[0]), ...parts(args[1]));
  if (fn === 'setitem') {
    const value = resolve(args[2]);
    return needMethod('set').call(resolve(args[0]), parts(args[1]), unboxed(value));
  }
  const options = Object.fromEntries(Object.entries(kwargs).map(([k, v]) => [k, resolve(v)]));
  const given = args.map(resolve);
  if (fn.startsWith('Tensor.')) {
    const name = fn.slice('Tensor.'.length);
    return invoke({ f: needMethod(name), name, self: given[0], args: given.slice(1), kwargs: options }, schemas);
  }
  return invoke({ f: need(fn), name: fn.slice(fn.lastIndexOf('.') + 1), args: given, kwargs: options }, schemas);
}
const unboxed = (x: unknown): unknown =>
  typeof x === 'object' && x !== null && 'value' in x && !isTensor(x) ? (x as { value: unknown }).value : x;

function bindResult(values: Map<string, unknown>, out: string | readonly string[], result: unknown): void {
  if (typeof out === 'string') {
    if (out !== '') values.set(out, result);
    return;
  }
  const leaves = leavesOf(result);
  out.forEach((name, i) => {
    if (name !== '') values.set(name, leaves[i]);
  });
}
