/**
 * Resampling: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html
 *
 * A mode is a rule that gives, for a result position of one dim, the source positions that count there (its taps) and their weights; positions
 * and weights are arithmetic on the result's index, as in PyTorch's kernels. The image is looked up at all taps of all dims at once and summed with
 * the products of the weights (antialiased modes, whose taps may be many, do one dim after the other). Gradients are the look-up's: added back
 * where each tap came from.
 */
import { type DType, float32, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, dimPrim, iota, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { axesFrom } from './windows.ts';

export type Resampling = 'nearest' | 'nearest-exact' | 'linear' | 'cubic' | 'linear-aa' | 'cubic-aa';

interface ResamplingConstants {
  readonly mode: Resampling;
  readonly align: boolean;
  /** Taps of each dim. */
  readonly taps: readonly number[];
  /** Result elements per source element where that is a small whole number, else 0. */
  readonly factors: readonly number[];
  readonly compute: DType;
}

/** Source positions (clamped) and weights, of shape [taps, out] of one dim; a weight of null is one. */
interface Taps {
  readonly at: Prim;
  readonly weight: Prim | null;
}

const clamp = (x: Prim, low: number, high: Prim): Prim => x.maximum(low).minimum(high);

/** The position in the source of each result position (fractional), PyTorch's `area_pixel_compute_source_index`. */
function sourcePosition(i: Prim, scale: Prim, align: boolean, cubic: boolean): Prim {
  if (align) return i.mul(scale);
  const at = i.add(0.5).mul(scale).sub(0.5);
  return cubic ? at : at.lt(0).where(0, at);
}

/** Keys' cubic convolution weights of the four neighbours of a point, chosen by tap. */
export function cubicWeight(t: Prim, tap: Prim, a: number): Prim {
  const near = (x: Prim): Prim =>
    x
      .mul(a + 2)
      .sub(a + 3)
      .mul(x)
      .mul(x)
      .add(1);
  const far = (x: Prim): Prim =>
    x
      .mul(a)
      .sub(5 * a)
      .mul(x)
      .add(8 * a)
      .mul(x)
      .sub(4 * a);
  const rest = t.neg().add(1);
  return tap.eq(0).where(far(t.add(1)), tap.eq(1).where(near(t), tap.eq(2).where(near(rest), far(rest.add(1)))));
}

function tapsOf(size: Dim, out: Dim, scale: Prim, c: ResamplingConstants, taps: number): Taps {
  const shape = [taps, out];
  const tap = iota(shape, 0);
  const i = iota(shape, 1);
  const last = dimPrim(dimsOf.sub(size, 1), int64);
  const type = c.compute;
  switch (c.mode) {
    case 'nearest':
      return { at: i.cast(float32).mul(scale.cast(float32)).scalar('floor').cast(int64).minimum(last), weight: null };
    case 'nearest-exact':
      return { at: i.cast(float32).add(0.5).mul(scale.cast(float32)).scalar('floor').cast(int64).minimum(last), weight: null };
    case 'linear': {
      if (dimsOf.equal(size, out)) return { at: i, weight: tap.eq(0).where(constant(1, type), constant(0, type)) };
      const position = sourcePosition(i.cast(type), scale, c.align, false);
      const first = position.cast(int64).minimum(last);
      const right = clamp(position.sub(first.cast(type)), 0, constant(1, type));
      return { at: first.add(tap).minimum(last), weight: tap.eq(0).where(right.neg().add(1), right) };
    }
    case 'cubic': {
      const position = sourcePosition(i.cast(type), scale, c.align, true);
      const first = position.scalar('floor').cast(int64).minimum(last);
      const t = clamp(position.sub(first.cast(type)), 0, constant(1, type));
      return { at: clamp(first.sub(1).add(tap), 0, last), weight: cubicWeight(t, tap, -0.75) };
    }
    case 'linear-aa':
    case 'cubic-aa': {
      const reach = c.mode === 'linear-aa' ? 1 : 2;
      const shrinks = scale.ge(1);
      const support = shrinks.where(scale.mul(reach), constant(reach, type));
      const inverse = shrinks.where(constant(1, type).div(scale), constant(1, type));
      const center = i.cast(type).add(0.5).mul(scale);
      const low = center.sub(support).add(0.5).cast(int64).maximum(0);
      const high = center.add(support).add(0.5).cast(int64).minimum(dimPrim(size, int64));
      const at = low.add(tap);
      const x = at.cast(type).sub(center).add(0.5).mul(inverse).scalar('abs');
      const curve = c.mode === 'linear-aa' ? triangle(x) : cubicFilter(x);
      const weight = at.lt(high).where(curve, 0);
      const total = weight.sum([0], true);
      return { at: at.minimum(last), weight: total.eq(0).where(weight, weight.div(total)) };
    }
    default:
      throw new Error(`internal: ${c.mode satisfies never}`);
  }
}
const triangle = (x: Prim): Prim => x.lt(1).where(x.neg().add(1), 0);
/** Keys' cubic with a = -0.5, as antialiasing uses it. */
const cubicFilter = (x: Prim): Prim =>
  x.lt(1).where(x.mul(1.5).sub(2.5).mul(x).mul(x).add(1), x.lt(2).where(x.sub(5).mul(x).add(8).mul(x).sub(4).mul(-0.5), 0));

/** x [N, C, *size] looked up at the taps of `dims` and summed. */
function gatherTaps(x: Prim, taps: readonly (Taps | null)[], out: readonly Dim[]): Prim {
  const n = taps.length;
  const counts = taps.map((t) => t?.at.shape[0] ?? 1);
  const shape = [...x.shape.slice(0, 2), ...counts, ...out];
  const spreadOut = (p: Prim, i: number): Prim =>
    p.reshape([1, 1, ...counts.map((c, k) => (k === i ? c : 1)), ...out.map((d, k) => (k === i ? d : 1))]).expand(shape);
  const coords = taps.map((t, i) => (t === null ? iota(shape, 2 + n + i) : spreadOut(t.at, i)));
  let values = x.lookup([iota(shape, 0), iota(shape, 1), ...coords]);
  taps.forEach((t, i) => {
    if (t?.weight) values = values.mul(spreadOut(t.weight, i));
  });
  return values.sum(axesFrom(2, n));
}

/** Every element a power of two times along each dim: a view, whose gradient is a sum. */
function repeat(x: Prim, out: readonly Dim[], factors: readonly number[]): Prim | null {
  const spatial = x.shape.slice(2);
  if (factors.some((f) => f !== 1 && f !== 2 && f !== 4 && f !== 8)) return null;
  if (spatial.some((d, i) => !dimsOf.equal(dimsOf.mul(d, factors[i]), out[i]))) return null;
  const lead = x.shape.slice(0, 2);
  return x
    .reshape([...lead, ...spatial.flatMap((d) => [d, 1])])
    .expand([...lead, ...spatial.flatMap((d, i) => [d, factors[i]])])
    .reshape([...lead, ...out]);
}

const resample: Operator<ResamplingConstants> = {
  name: 'upsample',
  paramTypes: (c) => c.taps.map(() => c.compute),
  body: ([x], { constants: c, dims: out, params: scales }) => {
    const spatial = x.shape.slice(2);
    const copies = c.mode === 'nearest' || c.mode === 'nearest-exact';
    const image = copies ? x : x.cast(c.compute);
    const taps = spatial.map((size, i) => tapsOf(size, out[i], scales[i], c, c.taps[i]));
    if (copies) {
      const repeated = c.mode === 'nearest' ? repeat(x, out, c.factors) : null;
      if (repeated !== null) return [repeated];
      const shape = [...x.shape.slice(0, 2), ...out];
      const along = (p: Prim, i: number): Prim => p.reshape([1, 1, ...out.map((d, k) => (k === i ? d : 1))]).expand(shape);
      return [image.lookup([iota(shape, 0), iota(shape, 1), ...taps.map((t, i) => along(t.at, i))])];
    }
    if (c.mode === 'linear' || c.mode === 'cubic') return [gatherTaps(image, taps, out).cast(x.dtype)];
    // The innermost dim first, as PyTorch does it.
    let result = image;
    for (let i = spatial.length - 1; i >= 0; i--)
      result = gatherTaps(
        result,
        taps.map((t, k) => (k === i ? t : null)),
        result.shape.slice(2).map((d, k) => (k === i ? out[i] : d)),
      );
    return [result.cast(x.dtype)];
  },
};

/** Source positions per result position: 1 / factor where a factor is given and used, else the ratio of the sizes. */
function scaleOf(mode: Resampling, size: number, out: number, align: boolean, factor: number | null): number {
  if (align && !mode.startsWith('nearest')) return out > 1 ? (size - 1) / (out - 1) : 0;
  return factor !== null && factor > 0 ? 1 / factor : size / out;
}

const letters = [[], ['L'], ['H', 'W'], ['D', 'H', 'W']];

/** x [N, C, *spatial] resampled to `out`. */
export function resampleTo(
  name: string,
  x: Tensor,
  out: readonly number[],
  mode: Resampling,
  align: boolean,
  given: readonly (number | null)[] | null,
): Tensor {
  const n = x.ndim - 2;
  const spatial = x.view_.shape.slice(2);
  const list = (v: readonly number[]): string => v.map((d, i) => `${n === 1 ? 'W' : letters[n][i]}: ${d}`).join(', ');
  if (out.length !== n) throw new Error(`It is expected output_size equals to ${n}, but got size ${out.length}`);
  if (spatial.some((d) => d <= 0) || out.some((d) => d <= 0))
    throw new Error(`Input and output sizes should be greater than 0, but got input (${list(spatial)}) output (${list(out)})`);
  if (!x.dtype.is_floating_point && x.dtype.name !== 'uint8') throw new Error(`"${name}" not implemented for '${scalarTypeName(x.dtype)}'`);
  const compute = computationDtype(x.dtype.is_floating_point ? x.dtype : float32);
  const scales = spatial.map((d, i) => scaleOf(mode, d, out[i], align, given?.[i] ?? null));
  const taps = scales.map((s) => tapCount(mode, s));
  const factors = scales.map((s) => (mode === 'nearest' && s <= 1 && Number.isInteger(1 / s) && 1 / s <= 8 ? 1 / s : 0));
  const constants = constantsOf(
    `upsample:${mode}:${align}:${taps}:${factors}:${compute.name}`,
    (): ResamplingConstants => ({ mode, align, taps, factors, compute }),
  );
  return record(resample as never, [x], { constants, dims: out, params: scales })[0];
}

function tapCount(mode: Resampling, scale: number): number {
  switch (mode) {
    case 'nearest':
    case 'nearest-exact':
      return 1;
    case 'linear':
      return 2;
    case 'cubic':
      return 4;
    case 'linear-aa':
      return Math.ceil(Math.max(scale, 1)) * 2 + 1;
    case 'cubic-aa':
      return Math.ceil(Math.max(scale, 1) * 2) * 2 + 1;
    default:
      throw new Error(`internal: ${mode satisfies never}`);
  }
}
