/** Vision: https://docs.pytorch.org/docs/stable/nn.functional.html#vision-functions */
import type { Operator } from '../graph/operator.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { atenFolding, folding } from './folding.ts';
import { affineGridOf, gridSamplerOf, samplingModes, samplingPaddings } from './grid-sampling.ts';
import { type Resampling, resampleTo } from './interpolation.ts';
import { use } from './use.ts';
import { tuple } from './window-arguments.ts';

// ---- pixels and channels

interface ShuffleConstants {
  readonly factor: number;
}
/** [*, C r^2, H, W] -> [*, C, H r, W r]. */
const pixelShuffle: Operator<ShuffleConstants> = {
  name: 'pixel_shuffle',
  body: ([x], { constants: { factor: r } }) => {
    const n = x.ndim - 3;
    const lead = x.shape.slice(0, n);
    const [c, h, w] = x.shape.slice(n);
    const channels = dimsOf.quotient(c, r * r);
    const order = [...lead.keys(), n, n + 3, n + 1, n + 4, n + 2];
    return [
      x
        .reshape([...lead, channels, r, r, h, w])
        .permute(order)
        .reshape([...lead, channels, dimsOf.mul(h, r), dimsOf.mul(w, r)]),
    ];
  },
};
const pixelUnshuffle: Operator<ShuffleConstants> = {
  name: 'pixel_unshuffle',
  body: ([x], { constants: { factor: r } }) => {
    const n = x.ndim - 3;
    const lead = x.shape.slice(0, n);
    const [c, h, w] = x.shape.slice(n);
    const [rows, columns] = [dimsOf.quotient(h, r), dimsOf.quotient(w, r)];
    const order = [...lead.keys(), n, n + 2, n + 4, n + 1, n + 3];
    return [
      x
        .reshape([...lead, c, rows, r, columns, r])
        .permute(order)
        .reshape([...lead, dimsOf.mul(c, r * r), rows, columns]),
    ];
  },
};
const channelShuffle: Operator<ShuffleConstants> = {
  name: 'channel_shuffle',
  body: ([x], { constants: { factor: groups } }) => {
    const [batch, channels, ...rest] = x.shape;
    const order = [0, 2, 1, ...rest.map((_, i) => 3 + i)];
    return [
      x
        .reshape([batch, groups, dimsOf.quotient(channels, groups), ...rest])
        .permute(order)
        .reshape(x.shape),
    ];
  },
};
const shuffle = (operator: Operator<ShuffleConstants>, x: Tensor, factor: number): Tensor =>
  record(operator as never, [x], { constants: constantsOf(`shuffle:${factor}`, () => ({ factor })) })[0];

function checkImage(name: string, x: Tensor, factor: number, what: string): void {
  if (x.ndim < 3) throw new Error(`${name} expects input to have at least 3 dimensions, but got input with ${x.ndim} dimension(s)`);
  if (factor <= 0) throw new Error(`${name} expects a positive ${what}, but got ${factor}`);
}

function channelShuffleOf(x: Tensor, groups: number): Tensor {
  if (x.ndim <= 2) throw new Error(`channel_shuffle expects input with > 2 dims, but got input with sizes ${shapeList(x.view_.shape)}`);
  if (groups <= 0) throw new Error(`Number of groups to divide channels in must be positive. Value of groups:${groups}`);
  const channels = x.view_.shape[1];
  if (channels % groups !== 0)
    throw new Error(`Number of channels must be divisible by groups. Got ${channels} channels and ${groups} groups.`);
  return shuffle(channelShuffle, x, groups);
}

// ---- interpolation

interface InterpolationArguments {
  readonly size: readonly number[] | null;
  readonly factor: readonly number[] | null;
  readonly mode: string;
  readonly align: boolean | null;
  readonly recompute: boolean | null;
  readonly antialias: boolean;
}

/** Each mode, and for how many spatial dims it is. */
const modes: Readonly<Record<string, readonly [Resampling, readonly number[]]>> = {
  nearest: ['nearest', [1, 2, 3]],
  'nearest-exact': ['nearest-exact', [1, 2, 3]],
  linear: ['linear', [1]],
  bilinear: ['linear', [2]],
  trilinear: ['linear', [3]],
  bicubic: ['cubic', [2]],
};
/** PyTorch's kernel for a mode and number of spatial dims. */
const kernelName = (mode: string, n: number): string => `upsample_${mode === 'nearest-exact' ? 'nearest' : mode}${n}d`;

function interpolateOf(x: Tensor, a: InterpolationArguments): Tensor {
  const { mode } = a;
  const n = x.ndim - 2;
  if ((mode === 'nearest' || mode === 'area' || mode === 'nearest-exact') && a.align !== null)
    throw new Error('align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear');
  if (a.size !== null && a.factor !== null) throw new Error('only one of size or scale_factor should be defined');
  if (a.size === null && a.factor === null) throw new Error('either size or scale_factor should be defined');
  const spatial = x.view_.shape.slice(2);
  const spread = (v: readonly number[], message: (given: string) => string): number[] => {
    if (v.length === 1 && n > 1) return Array<number>(n).fill(v[0]);
    if (v.length !== n) throw new Error(message(tuple(v)));
    return [...v];
  };
  const format = 'Please provide input tensor in (N, C, d1, d2, ...,dK) format and';
  const size =
    a.size === null
      ? null
      : spread(
          a.size,
          (given) =>
            `Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of ${shapeList(spatial)} and output size of ${given}. ${format} output size in (o1, o2, ...,oK) format.`,
        );
  let factors =
    a.factor === null
      ? null
      : spread(
          a.factor,
          (given) =>
            `Input and scale_factor must have the same number of spatial dimensions, but got input with spatial dimensions of ${shapeList(spatial)} and scale_factor of shape ${given}. ${format} scale_factor in (s1, s2, ...,sK) format.`,
        );
  if (a.recompute === true && size !== null) throw new Error('recompute_scale_factor is not meaningful with an explicit size.');
  const out = size ?? spatial.map((d, i) => Math.trunc(d * factors![i]));
  if (mode === 'area' || a.recompute === true) factors = null;
  if (a.antialias && !((mode === 'bilinear' || mode === 'bicubic') && n === 2))
    throw new Error('Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input');
  if (mode === 'area' && n >= 1 && n <= 3) return use(`${n === 1 ? '' : 'nn.functional.'}adaptive_avg_pool${n}d`, x, out);
  const known = modes[mode];
  if (known === undefined || n < 1 || n > 3)
    throw new Error(
      `Input Error: Only 3D, 4D and 5D input Tensors supported (got ${x.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | nearest-exact (got ${mode})`,
    );
  const [rule, ranks] = known;
  if (!ranks.includes(n)) throw new Error(`Got ${x.ndim}D input, but ${mode} mode needs ${ranks[0] + 2}D input`);
  const chosen: Resampling = a.antialias ? (rule === 'linear' ? 'linear-aa' : 'cubic-aa') : rule;
  return resampleTo(kernelName(mode, n), x, out, chosen, a.align ?? false, factors);
}

// ---- sampling

function gridSampleOf(x: Tensor, grid: Tensor, mode: string, padding: string, align: boolean | null): Tensor {
  const m = (samplingModes as readonly string[]).indexOf(mode);
  if (m < 0) throw new Error(`nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '${mode}'`);
  const p = (samplingPaddings as readonly string[]).indexOf(padding);
  if (p < 0)
    throw new Error(`nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '${padding}'`);
  return gridSamplerOf('grid_sampler', x, grid, m, p, align ?? false);
}

function affineGrid(theta: Tensor, size: readonly number[], align: boolean | null): Tensor {
  if (!theta.dtype.is_floating_point) throw new Error(`Expected theta to have floating point type, but got ${theta.dtype}`);
  if (size.length !== 4 && size.length !== 5)
    throw new Error(`affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size ${tuple(size)}.`);
  if (size.some((d) => d <= 0)) throw new Error(`Expected non-zero, positive output size. Got ${tuple(size)}`);
  return affineGridOf(theta, size, align ?? false);
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

const channelShuffles = declare(
  { doc: `Channels of groups interleaved. ${page('channel_shuffle')}`, as: 'function', functional: true },
  overload('channel_shuffle(Tensor self, SymInt groups) -> Tensor', (x, groups) => channelShuffleOf(x, groups)),
);

/** In `torch` and in `nn.functional`. */
export const torchVision = {
  pixel_shuffle: declare(
    { doc: `Channels moved into pixels: [*, C r^2, H, W] to [*, C, H r, W r]. ${page('pixel_shuffle')}`, as: 'function', functional: true },
    overload('pixel_shuffle(Tensor self, int upscale_factor) -> Tensor', (x, r) => {
      checkImage('pixel_shuffle', x, r, 'upscale_factor');
      const channels = x.view_.shape[x.ndim - 3];
      if (channels % (r * r) !== 0)
        throw new Error(
          `pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)=${channels} is not divisible by ${r * r}`,
        );
      return shuffle(pixelShuffle, x, r);
    }),
  ),
  pixel_unshuffle: declare(
    {
      doc: `Pixels moved into channels: [*, C, H r, W r] to [*, C r^2, H, W]. ${page('pixel_unshuffle')}`,
      as: 'function',
      functional: true,
    },
    overload('pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor', (x, r) => {
      checkImage('pixel_unshuffle', x, r, 'downscale_factor');
      for (const [what, at] of [
        ['height', 2],
        ['width', 1],
      ] as const) {
        const d = x.view_.shape[x.ndim - at];
        if (d % r !== 0)
          throw new Error(
            `pixel_unshuffle expects ${what} to be divisible by downscale_factor, but input.size(-${at})=${d} is not divisible by ${r}`,
          );
      }
      return shuffle(pixelUnshuffle, x, r);
    }),
  ),
  channel_shuffle: channelShuffles,
  native_channel_shuffle: channelShuffles,
};

const sampler = <const N extends string>(name: N) =>
  declare(
    { doc: `grid_sample with modes as numbers. ${page('grid_sample')}`, as: 'function' },
    overload(`${name}(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor`, ((
      x: Tensor,
      grid: Tensor,
      mode: number,
      padding: number,
      align: boolean,
    ) => gridSamplerOf(name, x, grid, mode, padding, align)) as never),
  );
/** In `torch` only. */
export const torchSampling = {
  grid_sampler: sampler('grid_sampler'),
  grid_sampler_2d: sampler('grid_sampler_2d'),
  grid_sampler_3d: sampler('grid_sampler_3d'),
  affine_grid_generator: declare(
    { doc: `Positions of an affine transform's results. ${page('affine_grid')}`, as: 'function' },
    overload('affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor', (theta, size, align) =>
      affineGridOf(theta, size, align),
    ),
  ),
};

export const vision = {
  interpolate: declare(
    { doc: `An image in another size. ${page('interpolate')}`, as: 'function' },
    overload(
      'interpolate(Tensor input, int[1]? size=None, float[1]? scale_factor=None, str mode="nearest", bool? align_corners=None, bool? recompute_scale_factor=None, bool antialias=False) -> Tensor',
      (x, size, factor, mode, align, recompute, antialias) => interpolateOf(x, { size, factor, mode, align, recompute, antialias }),
    ),
  ),
  upsample: declare(
    { doc: `An image in another size; deprecated for interpolate. ${page('upsample')}`, as: 'function' },
    overload(
      'upsample(Tensor input, int[1]? size=None, float[1]? scale_factor=None, str mode="nearest", bool? align_corners=None) -> Tensor',
      (x, size, factor, mode, align) => interpolateOf(x, { size, factor, mode, align, recompute: null, antialias: false }),
    ),
  ),
  upsample_nearest: declare(
    { doc: `Nearest neighbours; deprecated for interpolate. ${page('upsample_nearest')}`, as: 'function' },
    overload('upsample_nearest(Tensor input, int[1]? size=None, float[1]? scale_factor=None) -> Tensor', (x, size, factor) =>
      interpolateOf(x, { size, factor, mode: 'nearest', align: null, recompute: null, antialias: false }),
    ),
  ),
  upsample_bilinear: declare(
    { doc: `Bilinear, corners aligned; deprecated for interpolate. ${page('upsample_bilinear')}`, as: 'function' },
    overload('upsample_bilinear(Tensor input, int[1]? size=None, float[1]? scale_factor=None) -> Tensor', (x, size, factor) =>
      interpolateOf(x, { size, factor, mode: 'bilinear', align: true, recompute: null, antialias: false }),
    ),
  ),
  grid_sample: declare(
    { doc: `An image sampled at given places. ${page('grid_sample')}`, as: 'function' },
    overload(
      'grid_sample(Tensor input, Tensor grid, str mode="bilinear", str padding_mode="zeros", bool? align_corners=None) -> Tensor',
      (x, grid, mode, padding, align) => gridSampleOf(x, grid, mode, padding, align),
    ),
  ),
  affine_grid: declare(
    { doc: `The places of an affine transform's results, for grid_sample. ${page('affine_grid')}`, as: 'function' },
    overload('affine_grid(Tensor theta, int[] size, bool? align_corners=None) -> Tensor', (theta, size, align) =>
      affineGrid(theta, size, align),
    ),
  ),
  ...folding,
};

// ---- torch.ops.aten

const scaleNames = [[], ['scales'], ['scales_h', 'scales_w'], ['scales_d', 'scales_h', 'scales_w']] as const;

/** `upsample_MODE`: its kernel without the checks of interpolate; sizes, or factors of all spatial dims (the overload `vec`). */
function resampler(name: string, n: 1 | 2 | 3, mode: Resampling) {
  const scales = scaleNames[n].map((s) => `float? ${s}=None`).join(', ');
  const aligned = !mode.startsWith('nearest');
  const align = aligned ? 'bool align_corners, ' : '';
  type Rest = (boolean | number | null | readonly number[])[];
  const call = (x: Tensor, size: readonly number[], ...rest: Rest): Tensor =>
    resampleTo(name, x, size, mode, aligned && rest[0] === true, rest.slice(aligned ? 1 : 0) as (number | null)[]);
  const byFactors = (x: Tensor, size: readonly number[] | null, ...rest: Rest): Tensor => {
    const factors = rest[aligned ? 1 : 0] as readonly number[] | null;
    if ((size === null) === (factors === null)) throw new Error('Must specify exactly one of output_size and scale_factors');
    const out = size ?? x.view_.shape.slice(2).map((d, i) => Math.trunc(d * factors![i]));
    return resampleTo(name, x, out, mode, aligned && rest[0] === true, factors);
  };
  return declare(
    { doc: `An image in another size. ${page('interpolate')}` },
    overload(`${name}(Tensor self, SymInt[${n}] output_size, ${align}${scales}) -> Tensor` as string, call as never),
    overload(`${name}.vec(Tensor input, SymInt[]? output_size, ${align}float[]? scale_factors) -> Tensor` as string, byFactors as never),
  );
}

export const atenVision = {
  ...atenFolding,
  upsample_nearest1d: resampler('upsample_nearest1d', 1, 'nearest'),
  upsample_nearest2d: resampler('upsample_nearest2d', 2, 'nearest'),
  upsample_nearest3d: resampler('upsample_nearest3d', 3, 'nearest'),
  _upsample_nearest_exact1d: resampler('_upsample_nearest_exact1d', 1, 'nearest-exact'),
  _upsample_nearest_exact2d: resampler('_upsample_nearest_exact2d', 2, 'nearest-exact'),
  _upsample_nearest_exact3d: resampler('_upsample_nearest_exact3d', 3, 'nearest-exact'),
  upsample_linear1d: resampler('upsample_linear1d', 1, 'linear'),
  upsample_bilinear2d: resampler('upsample_bilinear2d', 2, 'linear'),
  upsample_trilinear3d: resampler('upsample_trilinear3d', 3, 'linear'),
  upsample_bicubic2d: resampler('upsample_bicubic2d', 2, 'cubic'),
  _upsample_bilinear2d_aa: resampler('_upsample_bilinear2d_aa', 2, 'linear-aa'),
  _upsample_bicubic2d_aa: resampler('_upsample_bicubic2d_aa', 2, 'cubic-aa'),
};
