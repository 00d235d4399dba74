/** Random sampling: https://docs.pytorch.org/docs/stable/torch.html#random-sampling. The methods that draw in place are in `random-inplace.ts`. */
import { decode, type StorageArray } from '../dtype/codec.ts';
import { type DType, getDefaultDtype, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import {
  bernoulli as bernoulliStream,
  bernoulliTensor,
  randint as randintStream,
  randperm as randpermStream,
} from '../random/cpu-streams.ts';
import { binomial as binomialStream, dirichlet, poisson as poissonStream } from '../random/data-dependent.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import { item, toTypedArray } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { withGrad } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { checkLayout } from './layout.ts';
import { drawMultinomial } from './random.ts';
import { draw, drawLike, drawnFrom } from './random-draw.ts';
import { checkChance, checkInterval, drawInplace, normalFill, uniformFill } from './random-inplace.ts';
import { broadcastAll } from './shape.ts';
import { standardGammaGradOf, standardGammaOf } from './standard-gamma.ts';
import { use } from './use.ts';

const rowMajorElements = (x: Tensor): StorageArray => toTypedArray(detached(x));
const from = (generator: Generator | null): Generator => generator ?? defaultGenerator;
const floating = (dtype: DType | null): DType => dtype ?? getDefaultDtype();

function randintOf(
  low: number,
  high: number,
  size: readonly number[],
  dtype: DType | null,
  device: string | null,
  generator: Generator | null,
): Tensor {
  const type = dtype ?? int64;
  checkInterval(low, high, type);
  return draw(size, type, device, (out) => randintStream(from(generator), type, out, low, high));
}
function randintLike(
  x: Tensor,
  low: number,
  high: number,
  dtype: DType | null,
  device: string | null,
  format: string | null,
  generator: Generator | null,
): Tensor {
  const type = dtype ?? x.dtype;
  checkInterval(low, high, type);
  return drawLike(x, type, device ?? x.device, (out) => randintStream(from(generator), type, out, low, high), format);
}

function bernoulliOf(p: Tensor, generator: Generator | null): Tensor {
  if (!p.dtype.is_floating_point) throw new Error(`"bernoulli_tensor_cpu_p_" not implemented for '${scalarTypeName(p.dtype)}'`);
  const chances = rowMajorElements(p);
  for (let i = 0; i < chances.length; i++) {
    const chance = decode(p.dtype, chances, i) as number;
    if (!(chance >= 0 && chance <= 1))
      throw new Error(
        'Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)',
      );
  }
  const drawn = draw(p.view_.shape, p.dtype, p.device, (out) => bernoulliTensor(from(generator), p.dtype, out, p.dtype, chances));
  return drawnFrom([p], drawn, 'bernoulli');
}

function poissonOf(rates: Tensor, generator: Generator | null): Tensor {
  if (!rates.dtype.is_floating_point) throw new Error(`"poisson_cpu" not implemented for '${scalarTypeName(rates.dtype)}'`);
  const given = rowMajorElements(rates);
  for (let i = 0; i < given.length; i++)
    if (!((decode(rates.dtype, given, i) as number) >= 0)) throw new Error('invalid Poisson rate, expected rate to be non-negative');
  const drawn = draw(rates.view_.shape, rates.dtype, rates.device, (out) => poissonStream(from(generator), rates.dtype, out, given));
  return drawnFrom([rates], drawn, 'poisson');
}

function binomialOf(count: Tensor, chance: Tensor, generator: Generator | null): Tensor {
  const { dtype } = count;
  if (!dtype.is_floating_point) throw new Error(`"binomial_cpu" not implemented for '${scalarTypeName(dtype)}'`);
  if (chance.dtype !== dtype) throw new Error(`expected scalar type ${scalarTypeName(dtype)} but found ${scalarTypeName(chance.dtype)}`);
  const [n, p] = broadcastAll([count, chance]);
  const drawn = draw(n.view_.shape, dtype, n.device, (out) =>
    binomialStream(from(generator), dtype, out, rowMajorElements(n), rowMajorElements(p)),
  );
  return drawnFrom([count, chance], drawn, 'binomial');
}

function checkDeviation(std: Tensor): void {
  if (std.dtype.is_complex) throw new Error('normal expects standard deviation to be non-complex');
  const values = rowMajorElements(std);
  for (let i = 0; i < values.length; i++)
    if (!(Number(decode(std.dtype, values, i)) >= 0)) throw new Error('normal expects all elements of std >= 0.0');
}

/** A standard normal times std plus mean, each step rounded. */
function normalOf(mean: Tensor | number, std: Tensor | number, generator: Generator | null): Tensor {
  if (typeof std !== 'number') checkDeviation(std);
  else if (!(std >= 0)) throw new Error(`normal expects std >= 0.0, but found std ${std}`);
  const tensors = [mean, std].filter((t) => typeof t !== 'number');
  const like = tensors.length === 2 ? broadcastAll(tensors)[0] : tensors[0];
  const { dtype } = tensors[0];
  const scale = typeof std === 'number' ? std : 1;
  const z = draw(like.view_.shape, dtype, like.device, normalFill(from(generator), dtype, 0, scale));
  const scaled = typeof std === 'number' ? z : use('mul', z, detached(std));
  const drawn = use('add', scaled, typeof mean === 'number' ? mean : detached(mean));
  return drawnFrom(tensors, drawn, 'normal');
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const randomOps = {
  ...drawInplace,
  rand: declare(
    { doc: `Uniform numbers in [0, 1). ${page('rand')}`, as: 'function' },
    overload(
      'rand(SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (size, generator, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        const type = floating(dtype);
        return withGrad(draw(size, type, device, uniformFill(from(generator), type, 0, 1)), grad);
      },
    ),
  ),
  randn: declare(
    { doc: `Standard normal numbers. ${page('randn')}`, as: 'function' },
    overload(
      'randn(SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (size, generator, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        const type = floating(dtype);
        return withGrad(draw(size, type, device, normalFill(from(generator), type, 0, 1)), grad);
      },
    ),
  ),
  rand_like: declare(
    { doc: `Uniform numbers in [0, 1). Shape, dtype and layout of a tensor. ${page('rand_like')}`, as: 'function' },
    overload(
      'rand_like(Tensor self, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, generator, dtype, layout, device, _pin, format, grad) => {
        checkLayout(layout);
        const type = dtype ?? x.dtype;
        return withGrad(drawLike(x, type, device ?? x.device, uniformFill(from(generator), type, 0, 1), format), grad);
      },
    ),
  ),
  randn_like: declare(
    { doc: `Standard normal numbers. Shape, dtype and layout of a tensor. ${page('randn_like')}`, as: 'function' },
    overload(
      'randn_like(Tensor self, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, generator, dtype, layout, device, _pin, format, grad) => {
        checkLayout(layout);
        const type = dtype ?? x.dtype;
        return withGrad(drawLike(x, type, device ?? x.device, normalFill(from(generator), type, 0, 1), format), grad);
      },
    ),
  ),
  randint: declare(
    { doc: `Integers of [low, high). ${page('randint')}`, as: 'function' },
    overload(
      'randint(SymInt high, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (high, size, generator, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        return withGrad(randintOf(0, high, size, dtype, device, generator), grad);
      },
    ),
    overload(
      'randint.low(SymInt low, SymInt high, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (low, high, size, generator, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        return withGrad(randintOf(low, high, size, dtype, device, generator), grad);
      },
    ),
  ),
  randint_like: declare(
    { doc: `Integers of [low, high). Shape, dtype and layout of a tensor. ${page('randint_like')}`, as: 'function' },
    overload(
      'randint_like(Tensor self, SymInt high, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, high, generator, dtype, layout, device, _pin, format, grad) => {
        checkLayout(layout);
        return withGrad(randintLike(x, 0, high, dtype, device, format, generator), grad);
      },
    ),
    overload(
      'randint_like.low_dtype(Tensor self, SymInt low, SymInt high, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, low, high, generator, dtype, layout, device, _pin, format, grad) => {
        checkLayout(layout);
        return withGrad(randintLike(x, low, high, dtype, device, format, generator), grad);
      },
    ),
    overload(
      'randint_like.Tensor(Tensor self, Tensor high, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None, bool requires_grad=False) -> Tensor',
      (x, high, generator, dtype, layout, device, _pin, format, grad) => {
        checkLayout(layout);
        return withGrad(randintLike(x, 0, Number(item(detached(high))), dtype, device, format, generator), grad);
      },
    ),
  ),
  randperm: declare(
    { doc: `A permutation of 0, ..., n - 1. ${page('randperm')}`, as: 'function' },
    overload(
      'randperm(SymInt n, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (n, generator, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        if (n < 0) throw new Error(`Trying to create tensor with negative dimension ${n}: ${shapeList([n])}`);
        const type = dtype ?? int64;
        return withGrad(
          draw([n], type, device, (out) => randpermStream(from(generator), type, out)),
          grad,
        );
      },
    ),
  ),
  bernoulli: declare(
    { doc: `0 or 1, the elements being the chances of 1. ${page('bernoulli')}` },
    overload('bernoulli(Tensor self, *, Generator? generator=None) -> Tensor', (p, generator) => bernoulliOf(p, generator)),
    overload('bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor', (x, p, generator) => {
      checkChance(p);
      const drawn = draw(x.view_.shape, x.dtype, x.device, (out) => bernoulliStream(from(generator), x.dtype, out, p));
      return drawnFrom([x], drawn, 'bernoulli');
    }),
  ),
  normal: declare(
    { doc: `Normal numbers of these means and deviations. ${page('normal')}`, as: 'function' },
    overload('normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor', (mean, std, generator) =>
      normalOf(mean, std, generator),
    ),
    overload('normal.Tensor_float(Tensor mean, float std=1, *, Generator? generator=None) -> Tensor', (mean, std, generator) =>
      normalOf(mean, std, generator),
    ),
    overload('normal.float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor', (mean, std, generator) =>
      normalOf(mean, std, generator),
    ),
    overload(
      'normal.float_float(float mean, float std, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False) -> Tensor',
      (mean, std, size, generator, dtype, layout, device, _pin, grad) => {
        checkLayout(layout);
        const type = floating(dtype);
        return withGrad(draw(size, type, device, normalFill(from(generator), type, mean, std)), grad);
      },
    ),
  ),
  multinomial: declare(
    { doc: `Indices drawn from rows of weights. ${page('multinomial')}` },
    overload(
      'multinomial(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor',
      (x, samples, replacement, generator) => drawMultinomial(x, samples, replacement, generator === null ? {} : { generator }),
    ),
  ),
  poisson: declare(
    { doc: `Poisson numbers of these rates. ${page('poisson')}`, as: 'function' },
    overload('poisson(Tensor self, Generator? generator=None) -> Tensor', (rates, generator) => poissonOf(rates, generator)),
  ),
  binomial: declare(
    { doc: `Binomial numbers of these counts and chances. ${page('binomial')}`, as: 'function' },
    overload('binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor', (count, chance, generator) =>
      binomialOf(count, chance, generator),
    ),
  ),
  _standard_gamma: declare(
    { doc: 'Gamma numbers of these concentrations and rate 1; differentiable in the concentration.', as: 'function' },
    overload('_standard_gamma(Tensor self, Generator? generator=None) -> Tensor', (x, generator) => standardGammaOf(x, from(generator))),
  ),
  _standard_gamma_grad: declare(
    { doc: 'The derivative of gamma numbers in their concentrations.', as: 'function' },
    overload('_standard_gamma_grad(Tensor self, Tensor output) -> Tensor', (x, drawn) => standardGammaGradOf(x, drawn)),
  ),
  _sample_dirichlet: declare(
    { doc: 'Dirichlet numbers: the last dim sums to 1.', as: 'function' },
    overload('_sample_dirichlet(Tensor self, Generator? generator=None) -> Tensor', (x, generator) =>
      draw(x.view_.shape, x.dtype, x.device, (out) =>
        dirichlet(from(generator), x.dtype, out, rowMajorElements(x), x.view_.shape[x.ndim - 1]),
      ),
    ),
  ),
};
