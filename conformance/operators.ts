/**
 * Operator records: the call, its results and its gradients against what PyTorch returned.
 *
 * Forward and backward are recorded first and read afterwards, so that a record is one program of the engine, as in a user's loop.
 */
import { type AnyTensor, core, isTensor } from './api.ts';
import { type AtenSchemas, type DecodeOptions, Decoder, invoke, leavesOf, parseFloatText, upload } from './arguments.ts';
import type { Archive, Encoded, OperatorRecord } from './data.ts';
import { isReference, referencesOf } from './data.ts';
import { formatOf, type HostTensor, numbers } from './host.ts';
import { agreesRounded, compare, compareForm, compareScalar, sameDistribution } from './judge.ts';
import { alignGradients, propertyOf } from './properties.ts';
import { type Arguments, findCall, nameOf, type Plan } from './special-calls.ts';
import { toleranceOf } from './tolerances.ts';

export interface Context {
  readonly device: string;
  readonly archive: Archive<OperatorRecord>;
  readonly schemas: AtenSchemas;
  /** Do random operators draw from PyTorch's CPU generator? */
  readonly exactRandom: boolean;
}

/** Memory of which nothing is promised. */
export const uninitialized: ReadonlySet<string> = new Set([
  'empty',
  'empty_like',
  'empty_strided',
  'empty_permuted',
  'new_empty',
  'new_empty_strided',
  'resize_',
  'resize_as_',
]);

/** Operators that draw. Judged exactly where the generator is the CPU's, otherwise by shape, dtype and distribution. */
export const random: ReadonlySet<string> = new Set([
  'bernoulli',
  'cauchy',
  'exponential',
  'geometric',
  'log_normal',
  'uniform',
  'multinomial',
  'normal',
  'randn',
  'randn_like',
  'rand_like',
  'randint',
  'randint_like',
  'nn.functional.dropout',
  'nn.functional.dropout2d',
  'nn.functional.dropout3d',
  'nn.functional.alpha_dropout',
  'nn.functional.feature_alpha_dropout',
  'nn.functional.fractional_max_pool2d',
  'nn.functional.fractional_max_pool3d',
  'nn.functional.rrelu',
  'nn.functional.scaled_dot_product_attention',
  'nn.functional.multi_head_attention_forward',
  'svd_lowrank',
  'pca_lowrank',
]);

/** A tensor's elements on the host, without blocking. */
export async function download(t: AnyTensor): Promise<HostTensor> {
  const array = await t.detach().numpy_async();
  return { dtype: t.dtype.name, shape: t.shape, bytes: new Uint8Array(array.buffer, array.byteOffset, array.byteLength) };
}

/** Decodes a record and finds its call. */
export function prepare(
  record: OperatorRecord,
  context: Context,
  options: Partial<DecodeOptions> = {},
): { arguments: Arguments; plan: Plan } {
  const decoder = new Decoder({ device: context.device, tensor: context.archive.tensor, ...options });
  const indexing = nameOf(record.op).base === '__getitem__';
  const a: Arguments = {
    record,
    decoder,
    input: decoder.value(record.input),
    args: indexing ? [] : decoder.list(record.args),
    kwargs: decoder.keywords(record.kwargs),
  };
  return { arguments: a, plan: findCall(a, context.schemas) };
}
export const execute = (plan: Plan, schemas: AtenSchemas): unknown => (plan.kind === 'body' ? plan.run() : invoke(plan.call, schemas));

/** Results on the host: tensors read, scalars as they are. A promise (an `_async` twin, `item_async`) is waited for. */
export async function collect(result: unknown): Promise<unknown[]> {
  const settled = result instanceof Promise ? await result : result;
  const out: unknown[] = [];
  for (const leaf of leavesOf(settled)) out.push(isTensor(leaf) ? await download(leaf) : leaf);
  return out;
}

/** Runs one record. Null when everything agrees, else the first thing that does not. */
export async function runOperator(record: OperatorRecord, context: Context, options: Partial<DecodeOptions> = {}): Promise<string | null> {
  core.manual_seed(42);
  const { arguments: a, plan } = prepare(record, context, options);
  const result = record.op === 'item' ? await itemOf(a) : execute(plan, context.schemas);
  const leaves = leavesOf(result instanceof Promise ? await result : result);
  // Not awaited yet: results and gradients are one program. An error of backward waits until the results are judged.
  const gradients = backward(record, leaves, a.decoder.leaves, context).then(
    (found) => ({ found }),
    (error: unknown) => ({ error }),
  );
  const actual = await collect(leaves);
  const outcome = await gradients;
  const mismatch = await judgeResult(record, actual, context);
  if (mismatch !== null) return mismatch;
  if ('error' in outcome) throw new Error(`backward: ${messageOf(outcome.error)}`);
  return judgeGradients(record, outcome.found, context);
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0];

const itemOf = (a: Arguments): Promise<unknown> => (a.input as { item_async(): Promise<unknown> }).item_async();

/** Gradients for the recorded output gradients; errors are thrown when the promise is awaited. */
async function backward(
  record: OperatorRecord,
  leaves: readonly unknown[],
  inputs: readonly AnyTensor[],
  context: Context,
): Promise<readonly (AnyTensor | null)[]> {
  if (record.grads === undefined) return [];
  const expected = referencesOf(record.out);
  const outputs: AnyTensor[] = [];
  expected.forEach((reference, i) => {
    const leaf = leaves[i];
    if (!isTensor(leaf)) return;
    if (!reference.rg && leaf.requires_grad) throw new Error(`output ${i} requires grad`);
    if (!reference.rg) return;
    if (!leaf.requires_grad) throw new Error(`output ${i} does not require grad`);
    outputs.push(leaf);
  });
  const host = record.grad_out!.map((g) => context.archive.tensor(g.t));
  const theirs = expected.map((r) => context.archive.tensor(r.t));
  const aligned = alignGradients(nameOf(record.op).path, leaves, theirs, host, download);
  const seeds = aligned instanceof Promise ? await aligned : aligned;
  return core.autograd.grad(
    outputs,
    inputs,
    seeds.map((g) => upload(g, context.device)),
    { allow_unused: true },
  );
}

export async function judgeResult(record: OperatorRecord, actual: readonly unknown[], context: Context): Promise<string | null> {
  const expected = expectedLeaves(record.out, context.archive);
  if (actual.length !== expected.length) return `${actual.length} results instead of ${expected.length}`;
  const { path } = nameOf(record.op);
  const property = propertyOf(path);
  if (property !== undefined && expected.every((e) => isHost(e))) {
    const inputs = [record.input, ...record.args, ...Object.values(record.kwargs)]
      .flatMap(referencesOf)
      .map((r) => context.archive.tensor(r.t));
    for (let i = 0; i < expected.length; i++) {
      if (!isHost(actual[i])) return `result ${i} is not a tensor`;
      const form = property.anyShape?.includes(i) ? null : compareForm(actual[i] as HostTensor, expected[i] as HostTensor);
      if (form !== null) return `result ${i}: ${form}`;
    }
    return property.judge({ actual: actual as HostTensor[], expected: expected as HostTensor[], inputs, record });
  }
  for (let i = 0; i < expected.length; i++) {
    const mismatch = judgeLeaf(path, actual[i], expected[i], record, context);
    if (mismatch === null) continue;
    if (
      isHost(actual[i]) &&
      isHost(expected[i]) &&
      (await confirmedInHigherPrecision(record, i, actual[i] as HostTensor, expected[i] as HostTensor, context))
    )
      continue;
    return expected.length === 1 ? mismatch : `result ${i}: ${mismatch}`;
  }
  return null;
}

function judgeLeaf(path: string, actual: unknown, expected: unknown, record: OperatorRecord, context: Context): string | null {
  if (!isHost(expected)) return judgeScalar(actual, expected, record.dtype);
  if (!isHost(actual)) return `${typeof actual} instead of a tensor`;
  if (uninitialized.has(path) && record.op !== 'resize_as_' && record.op !== 'resize_') return compareForm(actual, expected);
  if (path === 'resize_' || path === 'resize_as_') return compareResized(record, actual, expected, context);
  if (random.has(path) && !context.exactRandom) return compareForm(actual, expected) ?? sameDistribution(actual, expected);
  return compare(actual, expected, toleranceOf(path));
}

/** `resize_` keeps the elements that were there; what it adds is not promised. */
function compareResized(record: OperatorRecord, actual: HostTensor, expected: HostTensor, context: Context): string | null {
  const [input] = referencesOf(record.input);
  const kept = Math.min(context.archive.tensor(input.t).bytes.length, expected.bytes.length);
  const cut = (t: HostTensor): HostTensor => ({ ...t, bytes: t.bytes.slice(0, kept) });
  return compareForm(actual, expected) ?? compare(cut(actual), cut(expected));
}

export function judgeScalar(actual: unknown, expected: unknown, dtype: string): string | null {
  const text = (x: unknown): string => (typeof x === 'object' && x !== null ? JSON.stringify(x) : String(x));
  if (typeof expected === 'object' && expected !== null && 're' in expected) {
    const e = expected as { re: number; im: number };
    const a = actual as { re: number; im: number } | null;
    if (typeof a !== 'object' || a === null || !('re' in a)) return `${text(actual)} instead of ${text(expected)}`;
    const real = formatOf(dtype).kind === 'complex' ? 'float32' : dtype;
    return compareScalar(a.re, e.re, real) ?? compareScalar(a.im, e.im, real);
  }
  if (expected instanceof PythonNumber) {
    if (typeof actual !== 'number') return `${text(actual)} instead of ${expected.value}`;
    return compareScalar(actual, expected.value, dtype);
  }
  return Object.is(actual, expected) || actual === expected ? null : `${text(actual)} instead of ${text(expected)}`;
}

/** A recorded Python float result. */
class PythonNumber {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export const isHost = (x: unknown): x is HostTensor => typeof x === 'object' && x !== null && 'bytes' in x;

/** Recorded results in order. */
export function expectedLeaves(x: Encoded, archive: Archive<unknown>): unknown[] {
  if (typeof x !== 'object' || x === null) return [x];
  if (Array.isArray(x)) return x.flatMap((y) => expectedLeaves(y as Encoded, archive));
  if (isReference(x)) return [archive.tensor(x.t)];
  if ('tuple' in x) return x.tuple.flatMap((y) => expectedLeaves(y, archive));
  if ('f' in x) return [new PythonNumber(parseFloatText(x.f))];
  if ('c' in x) return [{ re: parseFloatText(x.c[0]), im: parseFloatText(x.c[1]) }];
  throw new Error(`internal: not a result: ${JSON.stringify(x)}`);
}

const low = new Set(['float16', 'bfloat16']);

/** The low-precision rule: the same call with its inputs in float32, then in float64, rounded once. */
async function confirmedInHigherPrecision(
  record: OperatorRecord,
  index: number,
  actual: HostTensor,
  expected: HostTensor,
  context: Context,
): Promise<boolean> {
  if (!low.has(expected.dtype) || compareForm(actual, expected) !== null) return false;
  for (const wide of ['float32', 'float64']) {
    try {
      core.manual_seed(42);
      const { plan } = prepare(record, context, {
        gradients: false,
        dtype: (name) => (low.has(name) ? wide : name),
        tensor: (i) => widened(context.archive.tensor(i), wide),
      });
      const exact = (await collect(execute(plan, context.schemas)))[index];
      if (isHost(exact) && agreesRounded(actual, exact, expected)) return true;
    } catch {
      // The call that failed in higher precision confirms nothing.
    }
  }
  return false;
}

export function widened(t: HostTensor, dtype: string): HostTensor {
  if (!low.has(t.dtype)) return t;
  const values = numbers(t);
  const array = dtype === 'float32' ? Float32Array.from(values) : values;
  return { dtype, shape: t.shape, bytes: new Uint8Array(array.buffer) };
}

async function judgeGradients(record: OperatorRecord, found: readonly (AnyTensor | null)[], context: Context): Promise<string | null> {
  const { grads } = record;
  if (grads === undefined) return null;
  if (found.length !== grads.length) return `${found.length} gradients instead of ${grads.length}`;
  const factor = toleranceOf(nameOf(record.op).path);
  for (let i = 0; i < grads.length; i++) {
    const mismatch = await judgeGradient(found[i], grads[i] === null ? null : context.archive.tensor(grads[i]!.t), factor);
    if (mismatch !== null) return `gradient ${i}: ${mismatch}`;
  }
  return null;
}

/** None and a tensor of zeros are one gradient where PyTorch has None; where it has a tensor, a tensor is asked for. */
export async function judgeGradient(found: AnyTensor | null, expected: HostTensor | null, factor: number): Promise<string | null> {
  if (expected === null) {
    if (found === null) return null;
    return numbers(await download(found)).every((x) => x === 0) ? null : 'a gradient instead of None';
  }
  if (found === null) return 'None instead of a tensor';
  return compare(await download(found), expected, factor);
}
