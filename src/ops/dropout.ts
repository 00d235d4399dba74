/**
 * Dropout: https://docs.pytorch.org/docs/stable/nn.functional.html#dropout-functions
 *
 * Masks come from the CPU generator's stream at the call, whatever the device, so the same seed drops what PyTorch drops. Large ones on a card
 * do not: drawing millions of numbers on the host and copying them up would take far longer than the rest of a step. There one number of the
 * stream is the key of a counter-based generator that is part of the program (`counterMask`); PyTorch too has numbers of their own on a card.
 */
import { makeArray, viewBytes } from '../dtype/codec.ts';
import { bool, type DType, getDefaultDtype, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { iota, type Prim } from '../graph/prim.ts';
import { bernoulli } from '../random/cpu-streams.ts';
import { defaultGenerator } from '../random/generator.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsBy, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { drawn, sink } from '../tensor/tracing.ts';
import { writeInto } from '../tensor/write.ts';
import { castTo } from './conversion.ts';
import { fromBytes } from './creation.ts';
import { declare, overload } from './declare.ts';
import { maybeInplace } from './inplace.ts';
import { scalar } from './scalar-argument.ts';
import { use } from './use.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;
const float = (value: number): ReturnType<typeof scalar> => scalar(value, getDefaultDtype());

/** Elements from which a card draws its own numbers. */
const leastOnCard = 2 ** 16;
const maskConstants = constantsBy('counterMask', (dtype: DType) => dtype);
/**
 * Squares (B. Widynski, arXiv:2004.06278): four rounds of a middle square of the element's position times the key, 32 bits a position. A key is
 * any odd number here, drawn from the generator: a number of the call, or where the call is prepared once for many (`torch.compile`) an input.
 */
const maskOperator: Operator<DType> = {
  name: 'dropout_mask',
  paramTypes: () => [int64, int64],
  body: ([drawnKey], { constants: dtype, dims, params: [threshold, numberKey] }) => {
    const key = drawnKey === undefined ? numberKey : drawnKey.reshape([]);
    const spin = (x: Prim): Prim => x.scalar('ushr', 32).scalar('or', x.scalar('shl', 32));
    const y = iota([dimsOf.productOf(dims)], 0)
      .add(1)
      .mul(key);
    const z = y.add(key);
    const first = spin(y.mul(y).add(y));
    const second = spin(first.mul(first).add(z));
    const third = spin(second.mul(second).add(y));
    const word = third.mul(third).add(z).scalar('ushr', 32);
    return [word.lt(threshold).cast(dtype).reshape(dims)];
  },
};
const nextKey = (): bigint => BigInt.asIntN(64, defaultGenerator.engine.next64() | 1n);

function counterMask(shape: readonly number[], dtype: DType, keep: number, device: string): Tensor {
  const threshold = BigInt(Math.round(keep * 2 ** 32));
  const options = { constants: maskConstants(dtype), dims: shape, device };
  if (sink === null) return record(maskOperator as never, [], { ...options, params: [threshold, nextKey()] })[0];
  const key = drawn(() => fromBytes(viewBytes(BigInt64Array.of(nextKey())), [1], int64, device));
  return record(maskOperator as never, [key], { ...options, params: [threshold, 0n] })[0];
}

/** Ones with probability `keep`, else zeros. */
export function drawMask(shape: readonly number[], dtype: DType, keep: number, device: string): Tensor {
  if (device.startsWith('cuda') && shape.reduce((n, d) => n * d, 1) >= leastOnCard) return counterMask(shape, dtype, keep, device);
  return drawn(() => {
    const array = makeArray(
      dtype,
      shape.reduce((n, d) => n * d, 1),
    );
    bernoulli(defaultGenerator, dtype, array, keep);
    return fromBytes(viewBytes(array), shape, dtype, device);
  });
}

export function checkProbability(p: number): void {
  if (!(p >= 0 && p <= 1)) throw new Error(`dropout probability has to be between 0 and 1, but got ${p}`);
}

interface Kind {
  /** One draw a channel instead of one an element. */
  readonly feature?: boolean;
  /** Dropped elements get a value that keeps mean and variance of a self-normalizing network. */
  readonly alpha?: boolean;
}
const seluLimit = 1.7580993408473766;

/** PyTorch's `_dropout_impl`, with its rounding in the dtype of the input at every step. */
export function dropoutOf(x: Tensor, p: number, train: boolean, { feature = false, alpha = false }: Kind = {}): Tensor {
  checkProbability(p);
  if (p === 0 || !train || x.view_.numel === 0) return x;
  if (p === 1) return use('mul', x, use('zeros', [], { dtype: x.dtype, device: x.device }));
  if (feature && x.ndim < 2) throw new Error('Feature dropout requires at least 2 dimensions in the input');
  if (!x.dtype.is_floating_point && !x.dtype.is_complex)
    throw new Error(`result type Float can't be cast to the desired output type ${scalarTypeName(x.dtype)}`);
  const shape = feature ? x.view_.shape.map((d, i) => (i < 2 ? d : 1)) : x.view_.shape;
  const mask = castTo(drawMask(shape, x.dtype.real, 1 - p, x.device), x.dtype);
  if (!alpha) return use('mul', x, use('div', mask, float(1 - p)));
  const a = 1 / Math.sqrt((seluLimit * seluLimit * p + 1) * (1 - p));
  const shift = use('add', use('mul', use('add', mask, -1), float(seluLimit * a)), float(seluLimit * a * p));
  return use('add', use('mul', x, use('mul', mask, float(a))), shift);
}

function nativeDropout(x: Tensor, p: number, train: boolean | null): [Tensor, Tensor] {
  if (x.view_.numel === 0) return [x, use('empty_like', x)];
  if (train === false) return [use('clone', x), drawMask(x.view_.shape, bool, 1, x.device)];
  checkProbability(p);
  const mask = drawMask(x.view_.shape, bool, 1 - p, x.device);
  return [use('mul', use('mul', x, mask), float(p === 1 ? 0 : 1 / (1 - p))), mask];
}

/** Whole channels: with one dim fewer than a batch has, one is put in front. */
function channelDropout(name: 'dropout1d' | 'dropout2d' | 'dropout3d', x: Tensor, p: number, training: boolean, inplace: boolean): Tensor {
  checkProbability(p);
  const { ndim } = x;
  if (name === 'dropout1d' && ndim !== 2 && ndim !== 3)
    throw new Error(
      `dropout1d: Expected 2D or 3D input, but received a ${ndim}D input. Note that dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs).`,
    );
  const unbatched = (name === 'dropout1d' && ndim === 2) || (name === 'dropout3d' && ndim === 4);
  return maybeInplace(x, inplace, () => {
    const batch = unbatched ? use('unsqueeze', x, 0) : x;
    const out = dropoutOf(batch, p, training, { feature: true });
    return unbatched ? use('squeeze', out, 0) : out;
  });
}

/** Of `torch`. */
export const torchDropouts = {
  dropout: declare(
    { doc: `Zeroes elements at random. ${page('dropout')}`, as: 'function' },
    overload('dropout(Tensor input, float p, bool train) -> Tensor', (x, p, train) => dropoutOf(x, p, train)),
  ),
  dropout_: declare(
    { doc: 'dropout in place.', as: 'function' },
    overload('dropout_(Tensor self, float p, bool train) -> Tensor', (x, p, train) => writeInto(x, () => dropoutOf(x, p, train))),
  ),
  alpha_dropout: declare(
    { doc: `Dropout for self-normalizing networks. ${page('alpha_dropout')}`, as: 'function' },
    overload('alpha_dropout(Tensor input, float p, bool train) -> Tensor', (x, p, train) => dropoutOf(x, p, train, { alpha: true })),
  ),
  alpha_dropout_: declare(
    { doc: 'alpha_dropout in place.', as: 'function' },
    overload('alpha_dropout_(Tensor self, float p, bool train) -> Tensor', (x, p, train) =>
      writeInto(x, () => dropoutOf(x, p, train, { alpha: true })),
    ),
  ),
  feature_dropout: declare(
    { doc: 'Zeroes whole channels at random.', as: 'function' },
    overload('feature_dropout(Tensor input, float p, bool train) -> Tensor', (x, p, train) => dropoutOf(x, p, train, { feature: true })),
  ),
  feature_dropout_: declare(
    { doc: 'feature_dropout in place.', as: 'function' },
    overload('feature_dropout_(Tensor self, float p, bool train) -> Tensor', (x, p, train) =>
      writeInto(x, () => dropoutOf(x, p, train, { feature: true })),
    ),
  ),
  feature_alpha_dropout: declare(
    { doc: `Alpha dropout of whole channels. ${page('feature_alpha_dropout')}`, as: 'function' },
    overload('feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor', (x, p, train) =>
      dropoutOf(x, p, train, { feature: true, alpha: true }),
    ),
  ),
  feature_alpha_dropout_: declare(
    { doc: 'feature_alpha_dropout in place.', as: 'function' },
    overload('feature_alpha_dropout_(Tensor self, float p, bool train) -> Tensor', (x, p, train) =>
      writeInto(x, () => dropoutOf(x, p, train, { feature: true, alpha: true })),
    ),
  ),
  native_dropout: declare(
    { doc: 'Dropout and its mask.', as: 'function' },
    overload('native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)', (x, p, train) => nativeDropout(x, p, train)),
  ),
};

/** Of `torch.ops.aten`. */
export const atenDropouts = {
  native_dropout_backward: declare(
    { doc: 'grad_output * mask * scale: the gradient of native_dropout.', as: 'function' },
    overload('native_dropout_backward(Tensor grad_output, Tensor mask, float scale) -> Tensor', (g, mask, scale) =>
      use('mul', use('mul', g, mask), float(scale)),
    ),
  ),
};

/** Of `nn.functional`. */
export const dropouts = {
  dropout: declare(
    { doc: `Zeroes elements at random. ${page('dropout')}`, as: 'function' },
    overload('dropout(Tensor input, float p=0.5, bool training=True, bool inplace=False) -> Tensor', (x, p, training, inplace) =>
      maybeInplace(x, inplace, () => dropoutOf(x, p, training)),
    ),
  ),
  dropout1d: declare(
    { doc: `Zeroes whole channels of [N, C, L] at random. ${page('dropout1d')}`, as: 'function' },
    overload('dropout1d(Tensor input, float p=0.5, bool training=True, bool inplace=False) -> Tensor', (x, p, training, inplace) =>
      channelDropout('dropout1d', x, p, training, inplace),
    ),
  ),
  dropout2d: declare(
    { doc: `Zeroes whole channels of [N, C, H, W] at random. ${page('dropout2d')}`, as: 'function' },
    overload('dropout2d(Tensor input, float p=0.5, bool training=True, bool inplace=False) -> Tensor', (x, p, training, inplace) =>
      channelDropout('dropout2d', x, p, training, inplace),
    ),
  ),
  dropout3d: declare(
    { doc: `Zeroes whole channels of [N, C, D, H, W] at random. ${page('dropout3d')}`, as: 'function' },
    overload('dropout3d(Tensor input, float p=0.5, bool training=True, bool inplace=False) -> Tensor', (x, p, training, inplace) =>
      channelDropout('dropout3d', x, p, training, inplace),
    ),
  ),
  alpha_dropout: declare(
    { doc: `Dropout for self-normalizing networks. ${page('alpha_dropout')}`, as: 'function' },
    overload('alpha_dropout(Tensor input, float p=0.5, bool training=False, bool inplace=False) -> Tensor', (x, p, training, inplace) =>
      maybeInplace(x, inplace, () => dropoutOf(x, p, training, { alpha: true })),
    ),
  ),
  feature_alpha_dropout: declare(
    { doc: `Alpha dropout of whole channels. ${page('feature_alpha_dropout')}`, as: 'function' },
    overload(
      'feature_alpha_dropout(Tensor input, float p=0.5, bool training=False, bool inplace=False) -> Tensor',
      (x, p, training, inplace) => maybeInplace(x, inplace, () => dropoutOf(x, p, training, { feature: true, alpha: true })),
    ),
  ),
};
