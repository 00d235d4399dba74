/**
 * Autocast at a call: the arguments, bound to the schema, are cast as the operator's policy says; then the operator runs with autocast off.
 *
 * Casts are recorded calls, so gradients flow back through them to the float32 tensors. That of a leaf float32 tensor that requires grad is kept until the outermost
 * region ends: a weight is cast once, however often it is used. Unlike PyTorch's, a kept cast counts only while its tensor has not been written.
 */
import { autocastMode, autocastOf, type DeviceAutocast, kindOf, withoutAutocast } from '../autograd/autocast-mode.ts';
import { modes } from '../autograd/modes.ts';
import { type DType, float32, float64 } from '../dtype/dtype.ts';
import { keep, writeTarget } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type CastPolicy, castRule } from './autocast-lists.ts';
import { castTo } from './conversion.ts';
import type { Overload } from './declare.ts';

/** The kind of device that decides about a call: a card's if there is one among its tensors. */
interface Governor {
  readonly kind: string;
  readonly state: DeviceAutocast;
}
function governorOf(args: readonly unknown[]): Governor | null {
  let found: Governor | null = null;
  const look = (x: unknown): void => {
    if (Array.isArray(x)) x.forEach(look);
    else if (isPlain(x)) Object.values(x).forEach(look);
    else if (x instanceof Tensor) {
      const state = autocastOf(x.device);
      if (state?.enabled && (found === null || found.kind === 'cpu')) found = { kind: kindOf(x.device), state };
    }
  };
  args.forEach(look);
  return found;
}

const isPlain = (x: unknown): x is object => typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype;
const isEligible = (x: unknown, kind: string): x is Tensor =>
  x instanceof Tensor && x.dtype.is_floating_point && x.dtype !== float64 && kindOf(x.device) === kind;

/** A function that is no operator of the table, under the policy that the lists have for `path`. Arguments may be plain objects of tensors. */
export function autocastCall<A extends readonly unknown[], R>(path: string, args: A, run: (...args: A) => R): R {
  if (!autocastMode.active) return run(...args);
  const governor = governorOf(args);
  const rule = governor === null ? null : castRule(governor.kind, path);
  if (governor === null || rule === null || typeof rule === 'function') return run(...args);
  const cast = castArguments(rule, governor, [], args) as A;
  return withoutAutocast(() => run(...cast));
}

/** An operand of a product that PyTorch makes by a listed operator, and this package inside another one. */
export function lowered(x: Tensor): Tensor {
  if (!autocastMode.active) return x;
  const governor = governorOf([x]);
  return governor === null ? x : (castAll(x, governor.state.dtype, governor.kind, governor.state) as Tensor);
}
/** `x` in the dtype of `like`, which differs under autocast only: there some of an operator's operands are lowered. */
export const matching = (x: Tensor, like: Tensor): Tensor => (autocastMode.active && x.dtype !== like.dtype ? castTo(x, like.dtype) : x);

/** The call of an overload while autocast is on. In-place calls are not cast, as in PyTorch: their result has a dtype already. */
export function callUnderAutocast(path: string, { call, parsed }: Overload, bound: readonly unknown[]): unknown {
  const run = call as (...args: readonly unknown[]) => unknown;
  const governor = writeTarget() === null ? governorOf(bound) : null;
  const rule = governor === null ? null : castRule(governor.kind, path);
  if (governor === null || rule === null) return run(...bound);
  const named = (): Record<string, unknown> => Object.fromEntries(parsed.params.map((p, i) => [p.name, bound[i]]));
  const policy = typeof rule === 'function' ? rule(named()) : rule;
  if (policy === null) return run(...bound);
  const args = castArguments(policy, governor, parsed.params, bound);
  return withoutAutocast(() => run(...args));
}

function castArguments(
  policy: CastPolicy,
  { kind, state }: Governor,
  params: readonly { readonly name: string }[],
  bound: readonly unknown[],
): readonly unknown[] {
  const all = (dtype: DType): readonly unknown[] => bound.map((x) => castAll(x, dtype, kind, state));
  switch (policy) {
    case 'lower':
      return all(state.dtype);
    case 'fp32':
      return all(float32);
    case 'promote':
      return all(widest(bound, kind, state.dtype));
    case 'fp32_dtype': {
      if (!isEligible(bound[0], kind)) return bound;
      const at = params.findIndex((p) => p.name === 'dtype');
      if (at < 0) return [castTo(bound[0], float32), ...bound.slice(1)];
      return bound.map((x, i) => (i === at && x === null ? float32 : x));
    }
    case 'banned':
      throw new Error(
        'torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\n' +
          'Many models use a sigmoid layer right before the binary cross entropy layer.\n' +
          'In this case, combine the two layers using torch.nn.functional.binary_cross_entropy_with_logits\n' +
          'or torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_logits and BCEWithLogits are\n' +
          'safe to autocast.',
      );
    case 'opaque':
      return bound;
    default:
      return policy satisfies never;
  }
}

/** float32 if any input is, else the lower precision; float64 does not count. */
function widest(args: readonly unknown[], kind: string, lower: DType): DType {
  let dtype = lower;
  for (const x of args.flat(2)) {
    if (!isEligible(x, kind)) continue;
    if (x.dtype === float32) dtype = float32;
    else if (dtype !== float32 && x.dtype !== lower) throw new Error('Unexpected floating ScalarType in at::autocast::prioritize');
  }
  return dtype;
}

function castAll(x: unknown, dtype: DType, kind: string, state: DeviceAutocast): unknown {
  if (Array.isArray(x)) return x.map((y) => castAll(y, dtype, kind, state));
  if (isPlain(x)) return Object.fromEntries(Object.entries(x).map(([k, y]) => [k, castAll(y, dtype, kind, state)]));
  if (!isEligible(x, kind) || x.dtype === dtype) return x;
  return dtype === state.dtype && x.dtype === float32 && x.is_leaf && x.requires_grad && autocastMode.cacheEnabled
    ? keptCast(x, dtype)
    : castTo(x, dtype);
}

function keptCast(x: Tensor, dtype: DType): Tensor {
  const known = autocastMode.casts.get(x);
  const recorded = modes.grad && !modes.inference;
  if (known !== undefined && known.made.dtype === dtype && known.count === x.version.count && known.recorded === recorded)
    return known.made;
  // Made inside one module's call, used inside others.
  const made = keep(castTo(x, dtype));
  if (autocastMode.depth > 0) autocastMode.casts.set(x, { made, count: x.version.count, recorded });
  return made;
}
