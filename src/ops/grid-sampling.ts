/**
 * Sampling at given places: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html
 *
 * As in `interpolation.ts`, all taps of all dims are one look-up and one sum; here the positions are data. Gradients are derived: those of the image
 * are added back where the taps came from, those of the grid flow through the weights. Where a coordinate is clipped it gets none, as in PyTorch.
 */
import { type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { cat, dimPrim, full, iota, type Prim } from '../graph/prim.ts';
import { vjp } from '../graph/vjp.ts';
import type { Dim } from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { shapeList } from './dims.ts';
import { cubicWeight } from './interpolation.ts';
import { axesFrom } from './windows.ts';

export const samplingModes = ['bilinear', 'nearest', 'bicubic'] as const;
export const samplingPaddings = ['zeros', 'border', 'reflection'] as const;
type SamplingMode = (typeof samplingModes)[number];
type SamplingPadding = (typeof samplingPaddings)[number];

interface SamplingConstants {
  readonly mode: SamplingMode;
  readonly padding: SamplingPadding;
  readonly align: boolean;
  readonly compute: DType;
}

/** [-1, 1] -> pixels. */
const toPixels = (x: Prim, size: Prim, align: boolean): Prim =>
  align ? x.add(1).mul(size.sub(1).mul(0.5)) : x.add(1).mul(size.mul(0.5)).sub(0.5);

const clip = (x: Prim, size: Prim): Prim => x.le(0).where(0, x.ge(size.sub(1)).where(size.sub(1), x));

/** Reflected at the borders until inside: at pixel centres with align_corners, at pixel edges without. */
function reflect(x: Prim, size: Dim, c: SamplingConstants): Prim {
  if (c.align && size === 1) return x.mul(0);
  const length = dimPrim(size, c.compute);
  const low = c.align ? 0 : -0.5;
  const span = c.align ? length.sub(1) : length;
  const shifted = x.sub(low);
  const distance = shifted.lt(0).where(shifted.neg(), shifted);
  const flips = distance.div(span).scalar('floor');
  const extra = distance.sub(flips.mul(span));
  const even = flips.scalar('fmod', 2).eq(0);
  return even.where(extra.add(low), span.sub(extra).add(low));
}

function inside(x: Prim, size: Dim, c: SamplingConstants): Prim {
  switch (c.padding) {
    case 'zeros':
      return x;
    case 'border':
      return clip(x, dimPrim(size, c.compute));
    case 'reflection':
      return clip(reflect(x, size, c), dimPrim(size, c.compute));
    default:
      throw new Error(`internal: ${c.padding satisfies never}`);
  }
}

/** Positions and weights of the taps along one dim for coordinates in pixels; all of one shape. */
function tapsAlong(pixel: Prim, tap: Prim, size: Dim, c: SamplingConstants): { at: Prim; weight: Prim | null } {
  switch (c.mode) {
    case 'nearest':
      return { at: inside(pixel, size, c).scalar('rint').cast(int64), weight: null };
    case 'bilinear': {
      const x = inside(pixel, size, c);
      const first = x.scalar('floor');
      return { at: first.cast(int64).add(tap), weight: tap.eq(0).where(first.add(1).sub(x), x.sub(first)) };
    }
    case 'bicubic': {
      const first = pixel.scalar('floor');
      const at = inside(first.add(tap.cast(c.compute)).sub(1), size, c);
      return { at: at.cast(int64), weight: cubicWeight(pixel.sub(first), tap, -0.75) };
    }
    default:
      throw new Error(`internal: ${c.mode satisfies never}`);
  }
}
const tapCounts: Readonly<Record<SamplingMode, number>> = { nearest: 1, bilinear: 2, bicubic: 4 };

const gridSampler: Operator<SamplingConstants> = {
  name: 'grid_sampler',
  body: ([image, grid], { constants: c }) => {
    const x = image.cast(c.compute);
    const spatial = x.shape.slice(2);
    const n = spatial.length;
    const out = grid.shape.slice(1, 1 + n);
    const [batch, channels] = x.shape;
    const counts = spatial.map(() => tapCounts[c.mode]);
    const shape = [batch, channels, ...counts, ...out];
    const places = grid.cast(c.compute);
    const taps = spatial.map((size, i) => {
      // The last component of the grid is of the first spatial dim.
      const coordinate = places
        .slice(1 + n, n - 1 - i, 1)
        .reshape([batch, 1, ...counts.map(() => 1), ...out])
        .expand(shape);
      return tapsAlong(toPixels(coordinate, dimPrim(size, c.compute), c.align), iota(shape, 2 + i), size, c);
    });
    let values = x.lookup([iota(shape, 0), iota(shape, 1), ...taps.map((t) => t.at)]);
    if (c.padding === 'zeros') {
      const valid = taps.map((t, i) => t.at.ge(0).and(t.at.lt(dimPrim(spatial[i], int64)))).reduce((a, b) => a.and(b));
      values = valid.where(values, 0);
    }
    for (const t of taps) if (t.weight !== null) values = values.mul(t.weight);
    return [values.sum(axesFrom(2, n)).cast(image.dtype)];
  },
  gradient: ([g], [image, grid], [out]) => {
    if (g === null) return [null, null];
    const [forImage, forGrid] = vjp([[out, g]], [image, grid]);
    // Nearest neighbours do not depend on where exactly they were asked for: PyTorch gives zeros.
    return [forImage, forGrid ?? full(grid.shape, 0, grid.dtype)];
  },
};

export function gridSamplerOf(name: string, x: Tensor, grid: Tensor, mode: number, padding: number, align: boolean): Tensor {
  const { shape } = x.view_;
  const sizes = `input with sizes ${shapeList(shape)} and grid with sizes ${shapeList(grid.view_.shape)}`;
  if (x.dtype !== grid.dtype)
    throw new Error(
      `grid_sampler(): expected input and grid to have same dtype, but input has ${scalarTypeName(x.dtype)} and grid has ${scalarTypeName(grid.dtype)}`,
    );
  if (x.ndim !== 4 && x.ndim !== 5)
    throw new Error(`grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got ${sizes}`);
  const n = x.ndim - 2;
  if ((name.endsWith('2d') && n !== 2) || (name.endsWith('3d') && n !== 3) || grid.ndim !== x.ndim)
    throw new Error(
      `grid_sampler(): expected ${name.endsWith('3d') ? 5 : name.endsWith('2d') ? 4 : x.ndim}D input and grid with same number of dimensions, but got ${sizes}`,
    );
  if (grid.view_.shape[0] !== shape[0])
    throw new Error(`grid_sampler(): expected grid and input to have same batch size, but got ${sizes}`);
  if (grid.view_.shape[n + 1] !== n)
    throw new Error(
      `grid_sampler(): expected grid to have size ${n} in last dimension, but got grid with sizes ${shapeList(grid.view_.shape)}`,
    );
  shape.slice(2).forEach((d, i) => {
    if (d <= 0)
      throw new Error(
        `grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes ${shapeList(shape)} with dimension ${i + 2} being empty`,
      );
  });
  if (n === 3 && mode === 2) throw new Error('grid_sampler(): bicubic interpolation only supports 4D input');
  if (!x.dtype.is_floating_point) throw new Error(`"grid_sampler_${n}d_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
  // Coordinates of nearest neighbours are rounded to the dtype at every step, as in PyTorch's kernel: they may become those of another pixel.
  const compute = samplingModes[mode] === 'nearest' ? x.dtype : computationDtype(x.dtype);
  const constants = constantsOf(
    `grid_sampler:${mode}:${padding}:${align}:${compute.name}`,
    (): SamplingConstants => ({ mode: samplingModes[mode], padding: samplingPaddings[padding], align, compute }),
  );
  return record(gridSampler as never, [x, grid], { constants })[0];
}

// ---- affine grids

interface AffineConstants {
  readonly align: boolean;
  readonly compute: DType;
}

/** Coordinates in [-1, 1] of the positions of a dim: at the ends with align_corners, else at pixel centres. */
function linePositions(shape: readonly Dim[], axis: number, size: Dim, c: AffineConstants): Prim {
  if (size === 1) return full(shape, 0, c.compute);
  const i = iota(shape, axis).cast(c.compute).mul(2);
  const length = dimPrim(size, c.compute);
  return c.align ? i.div(length.sub(1)).sub(1) : i.add(1).div(length).sub(1);
}

/** theta [N, n, n + 1] -> [N, *out, n]. */
const affineGrid: Operator<AffineConstants> = {
  name: 'affine_grid_generator',
  body: ([theta], { constants: c, dims: out }) => {
    const n = out.length;
    const t = theta.cast(c.compute);
    const batch = t.shape[0];
    const shape = [batch, ...out];
    const entry = (row: number, column: number): Prim =>
      t
        .slice(1, row, 1)
        .slice(2, column, 1)
        .reshape([batch, ...out.map(() => 1)])
        .expand(shape);
    const rows = out.map((_, row) => {
      let sum = entry(row, n);
      for (let column = 0; column < n; column++) {
        const axis = n - 1 - column;
        sum = sum.add(linePositions(shape, 1 + axis, out[axis], c).mul(entry(row, column)));
      }
      return sum.unsqueeze(1 + n);
    });
    return [cat(rows, 1 + n).cast(theta.dtype)];
  },
};

export function affineGridOf(theta: Tensor, size: readonly number[], align: boolean): Tensor {
  const n = size.length - 2;
  const compute = computationDtype(theta.dtype);
  if (theta.ndim !== 3 || theta.view_.shape[0] !== size[0] || theta.view_.shape[1] !== n || theta.view_.shape[2] !== n + 1)
    throw new Error(
      `Expected a batch of ${n}D affine matrices of shape Nx${n}x${n + 1} for size ${shapeList(size)}. Got ${shapeList(theta.view_.shape)}.`,
    );
  const constants = constantsOf(`affine_grid:${align}:${compute.name}`, (): AffineConstants => ({ align, compute }));
  return record(affineGrid as never, [theta], { constants, dims: size.slice(2) })[0];
}
