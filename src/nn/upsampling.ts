/** Upsampling layers: https://docs.pytorch.org/docs/stable/nn.html#vision-layers */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';
import { repr, reprFloat, type Size } from './sizes.ts';

export type UpsampleMode = 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'bicubic' | 'trilinear' | 'area';

interface UpsamplingArguments {
  readonly size?: Size | null;
  readonly scale_factor?: Size | null;
}
interface UpsampleArguments extends UpsamplingArguments {
  readonly mode?: UpsampleMode;
  readonly align_corners?: boolean | null;
  readonly recompute_scale_factor?: boolean | null;
}
const upsamplingOrder = ['size', 'scale_factor'] as const;
const upsampleOrder = [...upsamplingOrder, 'mode', 'align_corners', 'recompute_scale_factor'] as const;
type UpsamplingCall = ConstructorArguments<UpsamplingArguments, typeof upsamplingOrder>;
type UpsampleCall = ConstructorArguments<UpsampleArguments, typeof upsampleOrder>;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html */
export class Upsample extends Module {
  readonly size: Size | null;
  readonly scale_factor: Size | null;
  readonly mode: UpsampleMode;
  readonly align_corners: boolean | null;
  readonly recompute_scale_factor: boolean | null;
  constructor(...args: UpsampleCall) {
    super();
    const defaults = { size: null, scale_factor: null, mode: 'nearest', align_corners: null, recompute_scale_factor: null } as const;
    const a = bindConstructor<UpsampleArguments>('Upsample', upsampleOrder, defaults, args);
    this.size = a.size;
    this.scale_factor = a.scale_factor === 0 ? null : a.scale_factor;
    this.mode = a.mode;
    this.align_corners = a.align_corners;
    this.recompute_scale_factor = a.recompute_scale_factor;
  }
  override forward(input: Tensor): Tensor {
    const { size, scale_factor, mode, align_corners, recompute_scale_factor } = this;
    return functional.interpolate(input, size, scale_factor, mode, align_corners, recompute_scale_factor) as Tensor;
  }
  override extra_repr(): string {
    const what = this.scale_factor !== null ? `scale_factor=${reprFloat(this.scale_factor)}` : `size=${repr(this.size)}`;
    return `${what}, mode=${repr(this.mode)}`;
  }
}
const upsampling = (module: string, args: UpsamplingCall): UpsamplingArguments =>
  bindConstructor<UpsamplingArguments>(module, upsamplingOrder, { size: null, scale_factor: null }, args);

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingNearest2d.html */
export class UpsamplingNearest2d extends Upsample {
  constructor(...args: UpsamplingCall) {
    super({ ...upsampling('UpsamplingNearest2d', args), mode: 'nearest' });
  }
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.UpsamplingBilinear2d.html */
export class UpsamplingBilinear2d extends Upsample {
  constructor(...args: UpsamplingCall) {
    super({ ...upsampling('UpsamplingBilinear2d', args), mode: 'bilinear', align_corners: true });
  }
}
