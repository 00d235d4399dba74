/**
 * Fractional max pooling: windows of one size at pseudo-random places. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fractional_max_pool2d.html
 *
 * Window i of a dim starts at trunc((i + u) a) - trunc(u a), a = (in - kernel) / (out - 1), the last at in - kernel; u is one uniform number for
 * each image, channel and dim, from the CPU generator. The arithmetic is done in the input's dtype, rounded at every step, as PyTorch does it.
 */
import { makeArray, viewBytes } from '../dtype/codec.ts';
import { type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { dimPrim, iota, type Prim } from '../graph/prim.ts';
import { uniform } from '../random/cpu-streams.ts';
import { defaultGenerator } from '../random/generator.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { fromBytes } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { type Sizes, spread, unbatched } from './window-arguments.ts';
import { addAtFlat, axesFrom, flatPosition } from './windows.ts';

interface FractionalConstants {
  readonly kernel: readonly number[];
  readonly compute: DType;
}

/** Starts of the windows along a dim: [N, C, out]. */
function starts(u: Prim, inside: Dim, out: Dim, kernel: number): Prim {
  const shape = [...u.shape.slice(0, 2), out];
  const last = dimsOf.sub(inside, kernel);
  const lastPrim = dimPrim(last, int64).expand(shape);
  if (out === 1) return lastPrim;
  const alpha = dimPrim(last, u.dtype).div(dimPrim(dimsOf.sub(out, 1), u.dtype));
  const i = iota(shape, 2);
  const sequence = i.cast(u.dtype).add(u).mul(alpha).cast(int64).sub(u.mul(alpha).cast(int64));
  return i.eq(dimPrim(dimsOf.sub(out, 1), int64)).where(lastPrim, sequence);
}

const fractionalOperator: Operator<FractionalConstants> = {
  name: 'fractional_max_pool',
  body: ([x, samples], { constants: c, dims: out }) => {
    const n = out.length;
    const [batch, channels] = x.shape;
    const spatial = x.shape.slice(2);
    // The samples of two dims are for width and height, of three for depth, height and width.
    const sampleOf = (i: number): Prim => samples.slice(2, n === 2 ? 1 - i : i, 1);
    const first = spatial.map((d, i) => starts(sampleOf(i), d, out[i], c.kernel[i]));
    const shape = [batch, channels, ...c.kernel, ...out];
    const coords = first.map((s, i) =>
      s
        .reshape([batch, channels, ...c.kernel.map(() => 1), ...out.map((d, k) => (k === i ? d : 1))])
        .expand(shape)
        .add(iota(shape, 2 + i)),
    );
    const candidates = x.lookup([iota(shape, 0), iota(shape, 1), ...coords]);
    const axes = axesFrom(2, n);
    const small = [batch, channels, ...out];
    let rest = candidates.reduce('argmax', axes);
    const offsets: Prim[] = [];
    for (let i = n - 1; i >= 0; i--) {
      offsets.unshift(i === 0 ? rest : rest.scalar('irem', c.kernel[i]));
      if (i > 0) rest = rest.scalar('idiv', c.kernel[i]);
    }
    const positions = first.map((s, i) =>
      s
        .reshape([batch, channels, ...out.map((d, k) => (k === i ? d : 1))])
        .expand(small)
        .add(offsets[i]),
    );
    return [candidates.reduce('max', axes), flatPosition(positions, spatial)];
  },
  gradient: ([g], [x], outputs, { constants: c }) => [
    g === null ? null : addAtFlat(g.cast(c.compute), outputs[1], x.shape).cast(x.dtype),
    null,
  ],
};

interface FractionalArguments {
  readonly kernel: Sizes;
  readonly size: Sizes | null;
  readonly ratio: Sizes | null;
  readonly samples: Tensor | null;
}

const sides = [[], [], ['height', 'width'], ['time', 'height', 'width']];

function fractionalOf(n: 2 | 3, x: Tensor, a: FractionalArguments): Tensor[] {
  const name = `fractional_max_pool${n}d`;
  if (a.size === null && a.ratio === null) throw new Error(`${name} requires specifying either an output_size or an output_ratio`);
  const kernel = spread(a.kernel, n, () => new Error(`${name}: kernel_size must either be a single int, or tuple of Ints`));
  if (x.ndim !== n + 1 && x.ndim !== n + 2)
    throw new Error(`${name}(): Expected ${n + 1}D or ${n + 2}D tensor, but got: ${shapeList(x.view_.shape)}`);
  const spatial = x.view_.shape.slice(x.ndim - n);
  const wrong = (): Error => new Error(`${name}: output_size must either be a single int, or tuple of Ints`);
  const ratio = a.ratio === null ? null : spread(a.ratio, n, wrong);
  const out = a.size === null ? spatial.map((d, i) => Math.trunc(d * ratio![i])) : spread(a.size, n, wrong);
  spatial.forEach((d, i) => {
    if (out[i] + kernel[i] - 1 > d)
      throw new Error(`${name}(): pool ${sides[n][i]} ${kernel[i]} too large relative to input ${sides[n][i]} ${d}`);
  });
  if (!x.dtype.is_floating_point) throw new Error(`"${name}_out_frame" not implemented for '${scalarTypeName(x.dtype)}'`);
  const batch = x.ndim === n + 1 ? 1 : x.view_.shape[0];
  const channels = x.view_.shape[x.ndim - n - 1];
  const samples = a.samples ?? drawSamples(x, [batch, channels, n]);
  if (samples.dtype !== x.dtype) throw new Error('Expect _random_samples to have the same dtype as input');
  if (samples.ndim !== 3) throw new Error(`Expect _random_samples to have 3 dimensions, got ${samples.ndim}`);
  if (samples.view_.shape[0] < batch) throw new Error('Expect _random_samples.size(0) no less then input batch size.');
  if (samples.view_.shape[1] !== channels) throw new Error('Expect _random_samples.size(1) equals to input channel size.');
  if (samples.view_.shape[2] !== n) throw new Error(`Expect _random_samples.size(2) equals to ${n}; got ${samples.view_.shape[2]}.`);
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(`${name}:${kernel}:${compute.name}`, (): FractionalConstants => ({ kernel, compute }));
  const call = (batched: Tensor): Tensor[] => record(fractionalOperator as never, [batched, samples], { constants, dims: out });
  return x.ndim === n + 1 ? unbatched(x, call) : call(x);
}

function drawSamples(x: Tensor, shape: readonly number[]): Tensor {
  const numbers = makeArray(
    x.dtype,
    shape.reduce((a, b) => a * b, 1),
  );
  uniform(defaultGenerator, x.dtype, numbers);
  return fromBytes(viewBytes(numbers), shape, x.dtype, x.device);
}

function fractional<const D extends 2 | 3>(n: D) {
  const call = (x: Tensor, kernel: Sizes, size: Sizes | null, ratio: Sizes | null, indices: boolean, samples: Tensor | null): unknown => {
    const out = fractionalOf(n, x, { kernel, size, ratio, samples });
    return indices ? out : out[0];
  };
  const doc = `Largest element of windows at random places. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fractional_max_pool${n}d.html`;
  return declare(
    { doc, as: 'function' },
    overload(
      `fractional_max_pool${n}d(Tensor input, int[${n}] kernel_size, int[${n}]? output_size=None, float[${n}]? output_ratio=None, *, Tensor? _random_samples=None) -> Tensor`,
      ((x: Tensor, kernel: Sizes, size: Sizes | null, ratio: Sizes | null, samples: Tensor | null) =>
        call(x, kernel, size, ratio, false, samples)) as never,
    ),
    overload(
      `fractional_max_pool${n}d.return_indices(Tensor input, int[${n}] kernel_size, int[${n}]? output_size=None, float[${n}]? output_ratio=None, bool return_indices=False, Tensor? _random_samples=None) -> (Tensor, Tensor)`,
      call as never,
    ),
  );
}
function fractionalWithIndices<const D extends 2 | 3>(n: D) {
  return declare(
    {
      doc: `fractional_max_pool${n}d and the flat spatial index of each result. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fractional_max_pool${n}d.html`,
      as: 'function',
    },
    overload(
      `fractional_max_pool${n}d_with_indices(Tensor input, int[${n}] kernel_size, int[${n}]? output_size=None, float[${n}]? output_ratio=None, bool return_indices=False, Tensor? _random_samples=None) -> (Tensor, Tensor)`,
      ((x: Tensor, kernel: Sizes, size: Sizes | null, ratio: Sizes | null, _indices: boolean, samples: Tensor | null) =>
        fractionalOf(n, x, { kernel, size, ratio, samples })) as never,
    ),
  );
}

export const fractionalPooling = {
  fractional_max_pool2d: fractional(2),
  fractional_max_pool3d: fractional(3),
  fractional_max_pool2d_with_indices: fractionalWithIndices(2),
  fractional_max_pool3d_with_indices: fractionalWithIndices(3),
};
