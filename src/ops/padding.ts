/**
 * Padding: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html
 *
 * Negative padding crops. Constants are a `pad` and, unless zero, a choice by position; the other modes join strips of the input to its sides, one
 * dim after the other, so that their gradients are sums of slices.
 */
import type { Complex } from '../dtype/codec.ts';
import { bool, type DType } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { cat, complexOf, constant, full, type Prim, rowMajor } from '../graph/prim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { isComplexScalar, isScalar, type ScalarArgument, scalarValue } from './scalar-argument.ts';
import { tuple } from './window-arguments.ts';

type Ends = readonly [left: number, right: number];
type Mode = 'reflect' | 'replicate' | 'circular';

interface PadConstants {
  /** For each dim. */
  readonly ends: readonly Ends[];
  readonly value: number | bigint | Complex;
}

const crop = (x: Prim, axis: number, [left, right]: Ends): Prim =>
  left >= 0 && right >= 0 ? x : x.slice(axis, Math.max(0, -left), dimsOf.add(x.shape[axis], Math.min(0, left) + Math.min(0, right)));

/** A scalar in a dtype as PyTorch fills with it: integers truncate. */
function fillValue(value: number | bigint | Complex, dtype: DType): Prim {
  if (typeof value === 'object') {
    if (!dtype.is_complex) throw new Error(`value cannot be converted to type ${dtype} without overflow`);
    return complexOf(constant(value.re, dtype.real), constant(value.im, dtype.real));
  }
  if (dtype.is_complex) return constant(value, dtype.real).cast(dtype);
  const whole = dtype.kind === 'int' && typeof value === 'number' ? Math.trunc(value) : value;
  return constant(whole, dtype);
}

const constantPad: Operator<PadConstants> = {
  name: 'constant_pad_nd',
  body: ([x], { constants: c }) => {
    const inside = c.ends.reduce((p, ends, axis) => crop(p, axis, ends), x);
    const grown = c.ends.map(([left, right]): Ends => [Math.max(0, left), Math.max(0, right)]);
    const shape = inside.shape.map((d, i) => dimsOf.add(d, grown[i][0] + grown[i][1]));
    const starts = grown.map(([left]) => left);
    const padded = inside.pad(shape, starts);
    if (c.value === 0 || c.value === 0n) return [padded];
    const own = full(inside.shape, true, bool).pad(shape, starts);
    return [own.where(padded, fillValue(c.value, x.dtype).expand(shape))];
  },
};

/** Elements of x along an axis from `start`, backwards. */
function reversed(x: Prim, axis: number, start: dimsOf.Dim, length: number): Prim {
  const strides = rowMajor(x.shape);
  return x.view(
    x.shape.map((d, i) => (i === axis ? length : d)),
    strides.map((s, i) => (i === axis ? dimsOf.mul(s, -1) : s)),
    dimsOf.mul(start, strides[axis]),
  );
}

function padAxis(x: Prim, axis: number, [left, right]: Ends, mode: Mode): Prim {
  const center = crop(x, axis, [left, right]);
  const size = x.shape[axis];
  const strip = (start: dimsOf.Dim, length: number): Prim =>
    x.slice(axis, start, 1).expand(x.shape.map((d, i) => (i === axis ? length : d)));
  const parts: Prim[] = [];
  switch (mode) {
    case 'reflect':
      if (left > 0) parts.push(reversed(x, axis, left, left));
      parts.push(center);
      if (right > 0) parts.push(reversed(x, axis, dimsOf.sub(size, 2), right));
      break;
    case 'replicate':
      if (left > 0) parts.push(strip(0, left));
      parts.push(center);
      if (right > 0) parts.push(strip(dimsOf.sub(size, 1), right));
      break;
    case 'circular': {
      const length = center.shape[axis];
      if (left > 0) parts.push(center.slice(axis, dimsOf.sub(length, left), left));
      parts.push(center);
      if (right > 0) parts.push(center.slice(axis, 0, right));
      break;
    }
    default:
      throw new Error(`internal: ${mode satisfies never}`);
  }
  return cat(parts, axis);
}

interface SideConstants {
  readonly ends: readonly Ends[];
  readonly mode: Mode;
}
const sidePad: Operator<SideConstants> = {
  name: 'pad',
  body: ([x], { constants: c }) => [
    c.ends.reduce((p, ends, axis) => (ends[0] === 0 && ends[1] === 0 ? p : padAxis(p, axis, ends, c.mode)), x),
  ],
};

/** (left, right) of each dim; the list begins with the last dim. */
function endsOf(x: Tensor, pad: readonly number[]): Ends[] {
  if (pad.length % 2 !== 0) throw new Error('Padding length must be divisible by 2');
  if (pad.length > 2 * x.ndim)
    throw new Error(
      `Padding length should be less than or equal to two times the input dimension but got padding length ${pad.length} and input of dimension ${x.ndim}`,
    );
  return x.view_.shape.map((_, i): Ends => {
    const at = 2 * (x.ndim - 1 - i);
    return [pad[at] ?? 0, pad[at + 1] ?? 0];
  });
}

export function constantPadOf(x: Tensor, pad: readonly number[], scalar: ScalarArgument): Tensor {
  const ends = endsOf(x, pad);
  x.view_.shape.forEach((d, i) => {
    if (d + Math.min(0, ends[i][0]) + Math.min(0, ends[i][1]) < 0) throw new Error('narrow(): length must be non-negative.');
  });
  const value = isComplexScalar(scalar) ? scalar : scalarValue(scalar);
  const written = typeof value === 'object' ? `${value.re}+${value.im}j` : `${typeof value}:${Object.is(value, -0) ? '-0' : value}`;
  return record(constantPad as never, [x], {
    constants: constantsOf(`constant_pad:${ends.join('|')}:${written}`, () => ({ ends, value })),
  })[0];
}

function sidePadOf(x: Tensor, pad: readonly number[], mode: Mode): Tensor {
  const n = pad.length / 2;
  if (!(n === 1 || n === 2 || n === 3) || (x.ndim !== n + 1 && x.ndim !== n + 2))
    throw new Error(
      `Padding size ${pad.length} is not supported for ${x.ndim}D input tensor.\nSupported combinations for non-constant padding:\n  - 2D or 3D input: padding size = 2 (pads last dimension)\n  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)`,
    );
  const ends = endsOf(x, pad);
  const { shape } = x.view_;
  for (let i = x.ndim - 1; i >= x.ndim - n; i--) {
    const [left, right] = ends[i];
    if (mode === 'reflect' && (left >= shape[i] || right >= shape[i]))
      throw new Error(
        `Argument #${4 + 2 * (x.ndim - 1 - i)}: Padding size should be less than the corresponding input dimension, but got: padding ${tuple([left, right])} at dimension ${i} of input ${shapeList(shape)}`,
      );
    if (mode === 'circular' && (left > shape[i] || right > shape[i]))
      throw new Error('Padding value causes wrapping around more than once.');
    const out = shape[i] + left + right;
    if (shape[i] + Math.min(0, left) + Math.min(0, right) < 0 || out < 0) {
      if (mode === 'circular') throw new Error('Negative padding value is resulting in an empty dimension.');
      throw new Error(
        `Trying to create tensor with negative dimension ${out}: ${shapeList(shape.map((d, k) => d + ends[k][0] + ends[k][1]))}`,
      );
    }
  }
  return record(sidePad as never, [x], {
    constants: constantsOf(`pad:${mode}:${ends.join('|')}`, (): SideConstants => ({ ends, mode })),
  })[0];
}

function padOf(x: Tensor, pad: readonly number[], mode: string, value: ScalarArgument | null): Tensor {
  if (mode === 'constant') return constantPadOf(x, pad, value ?? 0);
  if (pad.length % 2 !== 0) throw new Error('Padding length must be divisible by 2');
  if (value !== null && Number(scalarValue(value)) !== 0) throw new Error(`Padding mode "${mode}" doesn't take in value argument`);
  if (mode !== 'reflect' && mode !== 'replicate' && mode !== 'circular') throw new Error(`Unrecognised padding mode ${mode}`);
  return sidePadOf(x, pad, mode);
}

const doc = 'Padding of the last dims. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html';

export const padding = {
  pad: declare(
    { doc, as: 'function' },
    overload('pad(Tensor input, int[] pad, str mode="constant", Scalar? value=None) -> Tensor', (x, pad, mode, value) =>
      padOf(x, pad, mode, value === null || isScalar(value) ? value : 0),
    ),
  ),
};

/** In `torch` only. */
export const torchPadding = {
  constant_pad_nd: declare(
    { doc, as: 'function' },
    overload('constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor', (x, pad, value) => constantPadOf(x, pad, value)),
  ),
};
