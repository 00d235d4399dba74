/**
 * The other forms of a call: the method, the in-place twin `name_`, `out=`, and the same call on non-contiguous inputs.
 *
 * Each is compared with the record's own answer. An in-place form whose result has another shape, or a dtype that the input cannot hold, has to
 * fail. A form that PyTorch has and the library has not is counted by name, not failed: the run prints how many.
 */
import { type AnyTensor, core, dtypeNamed, isTensor, lookup, methodOf } from './api.ts';
import { invoke, leavesOf, upload } from './arguments.ts';
import { type OperatorRecord, referencesOf } from './data.ts';
import { formatOf, type HostTensor, numelOf } from './host.ts';
import { compareValues } from './judge.ts';
import {
  type Context,
  collect,
  download,
  expectedLeaves,
  isHost,
  judgeResult,
  messageOf,
  prepare,
  random,
  runOperator,
  uninitialized,
} from './operators.ts';
import { propertyOf } from './properties.ts';
import { nameOf } from './special-calls.ts';

export type FormsMode = 'none' | 'sample' | 'all';
export type Form = 'method' | 'in-place' | 'out=' | 'strided';

export interface FormCounts {
  checked: number;
  failed: number;
  /** Operators that have a form in PyTorch and not here. */
  readonly missing: Record<string, string[]>;
  /** Records of each operator and dtype that were checked, for the sample. */
  readonly seen: Map<string, number>;
}
export const newFormCounts = (): FormCounts => ({ checked: 0, failed: 0, missing: {}, seen: new Map() });

const sampleSize = 3;

/** Operators whose results say something about strides or memory: other strides, other results. */
const dependOnStrides = new Set([
  'as_strided',
  'as_strided_copy',
  'as_strided_scatter',
  'view',
  'view_copy',
  'view_as',
  'view_as_complex',
  'resize_',
  'resize_as_',
  'new_empty_strided',
  'empty_strided',
]);

/** In-place forms that change the shape of their tensor on purpose. */
const reshaping = new Set(['squeeze', 'unsqueeze', 't', 'transpose', 'swapaxes', 'swapdims', 'as_strided', 'resize', 'resize_as']);

/** In-place forms that refuse a result of another dtype even where it could be stored. */
const exactDtype = new Set(['float_power']);

/** Checks the forms of a record that has passed. */
export async function checkForms(
  record: OperatorRecord,
  context: Context,
  mode: FormsMode,
  counts: FormCounts,
  api: Readonly<Record<string, unknown>>,
): Promise<string | null> {
  if (mode === 'none') return null;
  const key = `${record.op} ${record.dtype}`;
  const seen = counts.seen.get(key) ?? 0;
  if (mode === 'sample' && seen >= sampleSize) return null;
  counts.seen.set(key, seen + 1);
  const { path } = nameOf(record.op);
  if (uninitialized.has(path)) return null;
  const checks: [Form, () => Promise<string | null | undefined>][] = [
    ['method', () => asMethod(record, context)],
    ['in-place', () => inPlace(record, context, counts, api)],
    ['out=', () => withOut(record, context, counts)],
    ['strided', () => strided(record, context)],
  ];
  for (const [form, check] of checks) {
    let mismatch: string | null | undefined;
    try {
      mismatch = await check();
    } catch (error) {
      mismatch = messageOf(error);
    }
    // Undefined: this record has no such form.
    if (mismatch === undefined) continue;
    counts.checked++;
    if (mismatch === null) continue;
    counts.failed++;
    return `${form}: ${mismatch}`;
  }
  return null;
}

function note(counts: FormCounts, form: string, name: string): void {
  counts.missing[form] ??= [];
  if (!counts.missing[form].includes(name)) counts.missing[form].push(name);
}

/** `input.name(...)` where the record was called as a function. */
async function asMethod(record: OperatorRecord, context: Context): Promise<string | null | undefined> {
  const { base, namespace } = nameOf(record.op);
  const method = methodOf(base);
  if (method === undefined || namespace !== '') return undefined;
  core.manual_seed(42);
  const { arguments: a, plan } = prepare(record, context, { gradients: false });
  if (plan.kind !== 'call' || !plan.inputFirst || !isTensor(a.input)) return undefined;
  const result = invoke({ ...plan.call, f: method, name: base, self: a.input, args: a.args }, context.schemas);
  return judgeResult(record, await collect(leavesOf(result)), context);
}

const kinds = ['bool', 'int', 'float', 'complex'];
/** `torch.can_cast`: may a result of this dtype be written into that one? */
const canCast = (from: string, to: string): boolean => kinds.indexOf(formatOf(from).kind) <= kinds.indexOf(formatOf(to).kind);

async function inPlace(
  record: OperatorRecord,
  context: Context,
  counts: FormCounts,
  api: Readonly<Record<string, unknown>>,
): Promise<string | null | undefined> {
  const { base, namespace } = nameOf(record.op);
  if (namespace !== '' || random.has(base) || base.endsWith('_')) return undefined;
  const name = `${base}_`;
  const method = methodOf(name);
  if (method === undefined) {
    if (((api['Tensor'] as string[] | undefined) ?? []).includes(name)) note(counts, 'in-place', name);
    return undefined;
  }
  const { arguments: a, plan } = prepare(record, context, { gradients: false });
  if (plan.kind !== 'call' || !plan.inputFirst || !isTensor(a.input)) return undefined;
  const [expected, ...more] = expectedLeaves(record.out, context.archive);
  if (!isHost(expected) || more.length > 0) return undefined;
  const input = a.input.clone();
  const shape = a.input.shape.join();
  const dtype = a.input.dtype.name;
  const fits = shape === expected.shape.join() && (exactDtype.has(base) ? expected.dtype === dtype : canCast(expected.dtype, dtype));
  // PyTorch refuses abs_ and its like for complex numbers although a real number could be stored.
  if (formatOf(dtype).kind === 'complex' && formatOf(expected.dtype).kind !== 'complex') return undefined;
  const call = (): unknown => invoke({ f: method, name, self: input, args: a.args, kwargs: a.kwargs }, context.schemas);
  if (!fits && !reshaping.has(base)) {
    try {
      await collect([call()]);
    } catch {
      return null;
    }
    return `${name} wrote ${expected.dtype} [${expected.shape.join(', ')}] into ${dtype} [${shape}]`;
  }
  const returned = call();
  if (!isTensor(returned)) return `${name} returned no tensor`;
  const [x, y] = [await download(input), await download(returned)];
  if (x.bytes.length !== y.bytes.length || !x.bytes.every((byte, i) => byte === y.bytes[i]))
    return `${name} returned another tensor than it wrote`;
  if (x.dtype === expected.dtype) return judgeResult(record, [x], context);
  return compareValues(x, await cast(expected, x.dtype, context), 1);
}

/** A recorded result in another dtype, by the library's own conversion (judged by its own records). */
async function cast(t: HostTensor, dtype: string, context: Context): Promise<HostTensor> {
  return download(methodOf('to')!.call(upload(t, context.device), dtypeNamed(dtype)) as AnyTensor);
}

async function withOut(record: OperatorRecord, context: Context, counts: FormCounts): Promise<string | null | undefined> {
  const { base, namespace, path } = nameOf(record.op);
  if (namespace === 'nn.functional' || !context.schemas.hasOut(namespace === '' ? base : `${namespace}_${base}`)) return undefined;
  // `uniform.out` and its like are of aten only: no public function takes the keyword.
  if (random.has(path) || propertyOf(path) !== undefined || lookup(path) === undefined) return undefined;
  const { plan } = prepare(record, context, { gradients: false });
  if (plan.kind !== 'call' || plan.call.self !== undefined) return undefined;
  const expected = expectedLeaves(record.out, context.archive);
  if (!expected.every(isHost) || 'out' in plan.call.kwargs) return undefined;
  const targets = expected.map((e) => upload(zerosLike(e), context.device));
  const { device: _device, requires_grad: _grad, ...kwargs } = plan.call.kwargs;
  const out = targets.length === 1 && !isSequence(record.out) ? targets[0] : targets;
  let result: unknown;
  try {
    result = invoke({ ...plan.call, kwargs: { ...kwargs, out } }, context.schemas);
  } catch (error) {
    if (!/unexpected keyword argument 'out'/.test(messageOf(error))) throw error;
    note(counts, 'out=', path);
    return undefined;
  }
  const returned = leavesOf(result);
  if (returned.length !== targets.length) return `returned ${returned.length} tensors`;
  return judgeResult(record, await collect(targets), context);
}
const isSequence = (x: unknown): boolean => typeof x === 'object' && x !== null && ('tuple' in x || Array.isArray(x));
const zerosLike = (t: HostTensor): HostTensor => ({ ...t, bytes: new Uint8Array(t.bytes.length) });

/** The same record, gradients too, on inputs that are transposed or strided views. */
async function strided(record: OperatorRecord, context: Context): Promise<string | null | undefined> {
  const { base, path } = nameOf(record.op);
  if (dependOnStrides.has(base) || random.has(path)) return undefined;
  if ([record.input, ...record.args, ...Object.values(record.kwargs)].flatMap(referencesOf).length === 0) return undefined;
  return runOperator(record, context, { upload: uploadStrided });
}

/** A tensor with the same elements at other strides: two last dims exchanged in memory, or every second element of a vector. */
export function uploadStrided(t: HostTensor, device: string): AnyTensor {
  const { shape } = t;
  const n = numelOf(shape);
  const size = n === 0 ? 0 : t.bytes.length / n;
  if (n === 0) return upload(t, device);
  if (shape.length >= 2) {
    const [rows, cols] = shape.slice(-2);
    const bytes = new Uint8Array(t.bytes.length);
    for (let m = 0; m < n; m += rows * cols)
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < cols; j++)
          bytes.set(t.bytes.subarray((m + i * cols + j) * size, (m + i * cols + j + 1) * size), (m + j * rows + i) * size);
    return upload({ dtype: t.dtype, shape: [...shape.slice(0, -2), cols, rows], bytes }, device).transpose(-2, -1);
  }
  const bytes = new Uint8Array(2 * t.bytes.length);
  for (let i = 0; i < n; i++) bytes.set(t.bytes.subarray(i * size, (i + 1) * size), 2 * i * size);
  const wide = upload({ dtype: t.dtype, shape: [...shape, 2], bytes }, device) as AnyTensor & {
    select(dim: number, index: number): AnyTensor;
  };
  return wide.select(-1, 0);
}
