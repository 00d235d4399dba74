/**
 * `custom_fwd` and `custom_bwd`: a custom Function under autocast. https://docs.pytorch.org/docs/stable/notes/amp_examples.html#functions-with-custom-autograd-functions
 *
 *     class Product extends torch.autograd.Function {
 *       static forward = torch.amp.custom_fwd({ device_type: 'cuda' }, (ctx, a, b) => ...);
 *       static backward = torch.amp.custom_bwd({ device_type: 'cuda' }, (ctx, g) => ...);
 *     }
 */
import { kindOf } from '../autograd/autocast-mode.ts';
import type { DType } from '../dtype/dtype.ts';
import { float64 } from '../dtype/dtype.ts';
import { castTo } from '../ops/conversion.ts';
import { Tensor } from '../tensor/tensor.ts';
import { autocast, deprecated, get_autocast_dtype, is_autocast_enabled } from './autocast.ts';

export interface CustomForwardOptions {
  readonly device_type: string;
  /** In a region, floating inputs are cast to it and `forward` runs with autocast off; without it `forward` runs under the region's autocast. */
  readonly cast_inputs?: DType | null;
}
interface Context {
  [key: string]: unknown;
}
/** What the context keeps, under PyTorch's names. */
const dtypeKey = '_dtype';
const usedKey = '_fwd_used_autocast';

function checkDevice(device_type: unknown): void {
  if (typeof device_type !== 'string')
    throw new TypeError(`Expected \`device_type\` of type \`str\`, got: \`<class '${typeof device_type}'>\``);
}

/** Tensors, and those in arrays and plain objects. */
function castAll(x: unknown, device_type: string, dtype: DType): unknown {
  if (x instanceof Tensor)
    return x.dtype.is_floating_point && x.dtype !== float64 && kindOf(x.device) === device_type ? castTo(x, dtype) : x;
  if (Array.isArray(x)) return x.map((y) => castAll(y, device_type, dtype));
  if (typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype)
    return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, castAll(v, device_type, dtype)]));
  return x;
}

/** Wraps the `forward` of a custom Function. https://docs.pytorch.org/docs/stable/amp.html#torch.amp.custom_fwd */
export function custom_fwd<C, A extends readonly unknown[], R>(
  { device_type, cast_inputs = null }: CustomForwardOptions,
  forward: (ctx: C, ...args: A) => R,
): (ctx: C, ...args: A) => R {
  checkDevice(device_type);
  return (ctx, ...args) => {
    const kept = ctx as Context;
    kept[dtypeKey] = get_autocast_dtype(device_type);
    const enabled = is_autocast_enabled(device_type);
    kept[usedKey] = cast_inputs === null && enabled;
    if (cast_inputs === null || !enabled) return forward(ctx, ...args);
    return autocast(device_type, { enabled: false }, () => forward(ctx, ...(castAll(args, device_type, cast_inputs) as unknown as A)));
  };
}
/** Wraps its `backward`: it runs under the autocast of `forward`. https://docs.pytorch.org/docs/stable/amp.html#torch.amp.custom_bwd */
export function custom_bwd<C, A extends readonly unknown[], R>(
  { device_type }: { readonly device_type: string },
  backward: (ctx: C, ...args: A) => R,
): (ctx: C, ...args: A) => R {
  checkDevice(device_type);
  return (ctx, ...args) => {
    const kept = ctx as Context;
    return autocast(device_type, { enabled: kept[usedKey] === true, dtype: kept[dtypeKey] as DType }, () => backward(ctx, ...args));
  };
}

/** The old names, of `cuda`. */
export function cuda_custom_fwd<C, A extends readonly unknown[], R>(
  forward: (ctx: C, ...args: A) => R,
  { cast_inputs = null }: { readonly cast_inputs?: DType | null } = {},
): (ctx: C, ...args: A) => R {
  deprecated("`torch.cuda.amp.custom_fwd(args...)` is deprecated. Please use `torch.amp.custom_fwd(args..., device_type='cuda')` instead.");
  return custom_fwd({ device_type: 'cuda', cast_inputs }, forward);
}
export function cuda_custom_bwd<C, A extends readonly unknown[], R>(backward: (ctx: C, ...args: A) => R): (ctx: C, ...args: A) => R {
  deprecated("`torch.cuda.amp.custom_bwd(args...)` is deprecated. Please use `torch.amp.custom_bwd(args..., device_type='cuda')` instead.");
  return custom_bwd({ device_type: 'cuda' }, backward);
}
