/**
 * gradcheck and gradgradcheck from each operator's own samples: the records that have gradients, their floating-point inputs in float64,
 * against differences. It asks whether a gradient is the derivative of what the operator computes, wherever the recorded numbers came from.
 */
import { type AnyTensor, core, isTensor, need } from './api.ts';
import { leavesOf } from './arguments.ts';
import { type OperatorRecord, referencesOf } from './data.ts';
import { formatOf, type HostTensor, numbers } from './host.ts';
import { reasonNoDerivative } from './no-derivative.ts';
import { type Context, execute, messageOf, prepare } from './operators.ts';
import { nameOf } from './special-calls.ts';

type Order = 'first' | 'second';
export interface GradientCounts {
  readonly first: { passed: number; total: number };
  readonly second: { passed: number; total: number };
  readonly failures: { readonly name: string; readonly index: number; readonly order: Order; readonly reason: string }[];
  /** Records of each operator that were checked, and those that the limits left out. */
  readonly seen: Map<string, number>;
  leftOut: number;
}
export const newGradientCounts = (): GradientCounts => ({
  first: { passed: 0, total: 0 },
  second: { passed: 0, total: 0 },
  failures: [],
  seen: new Map(),
  leftOut: 0,
});

/** Records of an operator that are checked, and the most elements of an input. */
export const gradientSample = { records: 4, elements: 2000 };

const isLow = (dtype: string): boolean => formatOf(dtype).kind === 'float' && dtype !== 'float64';
function inDouble(t: HostTensor): HostTensor {
  if (!isLow(t.dtype)) return t;
  const values = Float64Array.from(numbers(t));
  return { dtype: 'float64', shape: t.shape, bytes: new Uint8Array(values.buffer) };
}
const check = (name: 'gradcheck' | 'gradgradcheck') =>
  need(`autograd.${name}`) as (
    f: (...inputs: AnyTensor[]) => readonly AnyTensor[],
    inputs: readonly AnyTensor[],
    options: object,
  ) => boolean;

/** The domain on which the gradient is defined: what stands in for an input, as PyTorch's own checks have it. */
const hermitian = new Set(['cholesky', 'linalg.cholesky', 'linalg.cholesky_ex', 'linalg.eigh', 'linalg.eigvalsh', 'linalg.pinv.hermitian']);
const triangular: Readonly<Record<string, number>> = { cholesky_inverse: 0, cholesky_solve: 1 };
function inDomain(record: OperatorRecord, x: AnyTensor, n: number): AnyTensor {
  if (hermitian.has(record.op)) return need('add')(x, need('adjoint')(x)) as AnyTensor;
  if (triangular[record.op] !== n) return x;
  const upper = record.kwargs['upper'] === true || record.args.includes(true);
  return need(upper ? 'triu' : 'tril')(x) as AnyTensor;
}
/** What a mask leaves undefined is NaN or infinite, and not compared. */
const defined = (record: OperatorRecord, x: AnyTensor): AnyTensor =>
  record.op.startsWith('masked.') ? (need('where')(need('isfinite')(x), x, need('zeros_like')(x)) as AnyTensor) : x;

/** Checks one record; what is wrong goes into the counts. */
export async function checkGradients(record: OperatorRecord, index: number, context: Context, counts: GradientCounts): Promise<void> {
  if (record.grads === undefined || !record.grads.some((g) => g !== null)) return;
  const seen = counts.seen.get(record.op) ?? 0;
  const options = {
    tensor: (i: number): HostTensor => inDouble(context.archive.tensor(i)),
    dtype: (name: string): string => (isLow(name) ? 'float64' : name),
  };
  const { decoder } = prepare(record, context, options).arguments;
  const inputs = decoder.leaves;
  const elements = inputs.reduce(
    (most, t) =>
      Math.max(
        most,
        t.shape.reduce((a, b) => a * b, 1),
      ),
    0,
  );
  if (elements === 0 || inputs.some((t) => t.dtype.name !== 'float64' && t.dtype.name !== 'complex128')) return;
  if (seen >= gradientSample.records || elements > gradientSample.elements) {
    counts.leftOut++;
    return;
  }
  counts.seen.set(record.op, seen + 1);
  const names = new Set(record.grads.flatMap((g, i) => (g === null ? [] : [i])));
  const differentiable = referencesOf(record.out).map((r) => r.rg === true);
  const f = (...given: AnyTensor[]): readonly AnyTensor[] => {
    core.manual_seed(42);
    const { plan } = prepare(record, context, { ...options, leaf: (_, n) => inDomain(record, given[n], n) });
    const results = leavesOf(execute(plan, context.schemas));
    return results.filter((x, i): x is AnyTensor => isTensor(x) && differentiable[i]).map((x) => defined(record, x));
  };
  // An input without a recorded gradient is not asked for one.
  inputs.forEach((t, i) => {
    if (!names.has(i)) t.requires_grad = false;
  });
  const { path } = nameOf(record.op);
  for (const order of ['first', 'second'] as const) {
    if ((reasonNoDerivative(record.op, order) ?? reasonNoDerivative(path, order)) !== null) continue;
    counts[order].total++;
    try {
      core.manual_seed(1);
      check(order === 'first' ? 'gradcheck' : 'gradgradcheck')(f, inputs, { fast_mode: true });
      counts[order].passed++;
    } catch (error) {
      counts.failures.push({ name: record.op, index, order, reason: messageOf(error) + fullText(error) });
    }
  }
}
const fullText = (error: unknown): string =>
  error instanceof Error && error.message.includes('\n') ? ` ${error.message.split('\n').slice(1).join(' ')}` : '';
