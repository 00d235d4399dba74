/** In-place draws: `uniform_`, `normal_`, `exponential_`, ... https://docs.pytorch.org/docs/stable/torch.html#in-place-random-sampling */
import { type DType, finfo, iinfo, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import * as streams from '../random/cpu-streams.ts';
import { defaultGenerator, type Generator } from '../random/generator.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { drawInto, elementsLike, type Fill } from './random-draw.ts';
import { cppTypeName, expandTo } from './shape-base.ts';

const from = (generator: Generator | null): Generator => generator ?? defaultGenerator;

/** A complex number is two reals. */
const partOf = (dtype: DType): DType => (dtype.is_complex ? dtype.real : dtype);
const isContinuous = (dtype: DType): boolean => dtype.is_floating_point || dtype.is_complex;

export function uniformFill(generator: Generator, dtype: DType, low: number, high: number): Fill {
  if (!isContinuous(dtype)) throw new Error(`"check_uniform_bounds" not implemented for '${scalarTypeName(dtype)}'`);
  const { max } = finfo(partOf(dtype));
  if (!(low >= -max && low <= max)) throw new Error(`from is out of bounds for ${cppTypeName(partOf(dtype))}`);
  if (!(high >= -max && high <= max)) throw new Error(`to is out of bounds for ${cppTypeName(partOf(dtype))}`);
  if (low > high) throw new Error(`uniform_ expects to return a [from, to) range, but found from=${low} > to=${high}`);
  if (high - low > max)
    throw new Error(
      `uniform_ expects to-from <= std::numeric_limits<${scalarTypeName(dtype)}>::max(), but found to=${high} and from=${low} which result in to-from to exceed the limit`,
    );
  return (out) => streams.uniform(generator, partOf(dtype), out, low, high);
}

/** Real and imaginary part of a complex normal have half its variance each. */
export function normalFill(generator: Generator, dtype: DType, mean: number, std: number): Fill {
  if (!isContinuous(dtype)) throw new Error(`"normal_kernel_cpu" not implemented for '${scalarTypeName(dtype)}'`);
  if (!(std >= 0)) throw new Error(`normal expects std >= 0.0, but found std ${std}`);
  const deviation = dtype.is_complex ? std / Math.SQRT2 : std;
  return (out, contiguous) => streams.normal(generator, partOf(dtype), out, mean, deviation, contiguous);
}

/** Integers and chances are not for complex numbers. */
function notComplex(x: Tensor, kernel: string): void {
  if (x.dtype.is_complex) throw new Error(`"${kernel}" not implemented for '${scalarTypeName(x.dtype)}'`);
}

/** [low, high) is not empty and within the dtype. */
export function checkInterval(low: number, high: number, dtype: DType): void {
  if (low >= high) throw new Error(`random_ expects 'from' to be less than 'to', but got from=${low} >= to=${high}`);
  if (dtype.is_floating_point) return;
  const { min, max } = dtype.kind === 'bool' ? { min: 0, max: 1 } : iinfo(dtype);
  if (low < min || low > max) throw new Error(`from is out of bounds for ${cppTypeName(dtype)}`);
  if (high - 1 > max) throw new Error(`to - 1 is out of bounds for ${cppTypeName(dtype)}`);
}

export function checkChance(p: number): void {
  if (!(p >= 0 && p <= 1)) throw new Error(`bernoulli_ expects p to be in [0, 1], but got p=${p}`);
}

function randomBetween(x: Tensor, low: number, high: number | null, generator: Generator | null): Tensor {
  const gen = from(generator);
  notComplex(x, 'random_from_to');
  if (high !== null) {
    checkInterval(low, high, x.dtype);
    return drawInto(x, 'random', (out) => streams.randint(gen, x.dtype, out, low, high));
  }
  if (x.dtype === int64 && low <= -(2 ** 63)) return drawInto(x, 'random', (out) => streams.randomFull64(gen, x.dtype, out));
  // Up to the greatest number that the dtype holds with all below it.
  const top = x.dtype.kind === 'bool' ? 1n : x.dtype.kind === 'int' ? BigInt(iinfo(x.dtype).max) : BigInt(2 / finfo(x.dtype).eps);
  return drawInto(x, 'random', (out) => streams.randint(gen, x.dtype, out, low, top + 1n));
}

const continuous = (x: Tensor, name: string, kind: string): void => {
  if (!x.dtype.is_floating_point)
    throw new Error(
      `${name} distribution is a continuous probability distribution. dtype must be a floating point but you specified ${kind}`,
    );
};

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.Tensor.${name}.html`;

export const drawInplace = {
  uniform_: declare(
    { doc: `Uniform numbers of [from, to). ${page('uniform_')}`, as: 'method' },
    overload('uniform_(Tensor self, float from=0, float to=1, *, Generator? generator=None) -> Tensor', (x, low, high, generator) =>
      drawInto(x, 'uniform', uniformFill(from(generator), x.dtype, low, high)),
    ),
  ),
  normal_: declare(
    { doc: `Normal numbers. ${page('normal_')}`, as: 'method' },
    overload('normal_(Tensor self, float mean=0, float std=1, *, Generator? generator=None) -> Tensor', (x, mean, std, generator) =>
      drawInto(x, 'normal', normalFill(from(generator), x.dtype, mean, std)),
    ),
  ),
  exponential_: declare(
    { doc: `Exponential numbers. ${page('exponential_')}`, as: 'method' },
    overload('exponential_(Tensor self, float lambd=1, *, Generator? generator=None) -> Tensor', (x, lambd, generator) => {
      continuous(x, 'Exponential', scalarTypeName(x.dtype));
      if (!(lambd > 0)) throw new Error(`exponential_ expects lambda > 0.0, but found lambda=${lambd}`);
      return drawInto(x, 'exponential', (out) => streams.exponential(from(generator), x.dtype, out, lambd));
    }),
  ),
  cauchy_: declare(
    { doc: `Cauchy numbers. ${page('cauchy_')}`, as: 'method' },
    overload(
      'cauchy_(Tensor self, float median=0, float sigma=1, *, Generator? generator=None) -> Tensor',
      (x, median, sigma, generator) => {
        continuous(x, 'Cauchy', cppTypeName(x.dtype));
        if (!(sigma > 0)) throw new Error(`cauchy_ expects sigma > 0.0, but found sigma=${sigma}`);
        return drawInto(x, 'cauchy', (out) => streams.cauchy(from(generator), x.dtype, out, median, sigma));
      },
    ),
  ),
  log_normal_: declare(
    { doc: `Exponentials of normal numbers. ${page('log_normal_')}`, as: 'method' },
    overload('log_normal_(Tensor self, float mean=1, float std=2, *, Generator? generator=None) -> Tensor', (x, mean, std, generator) => {
      if (!x.dtype.is_floating_point) throw new Error(`"log_normal_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
      if (!(std > 0)) throw new Error(`log_normal_ expects std > 0.0, but found std=${std}`);
      return drawInto(x, 'log_normal', (out) => streams.logNormal(from(generator), x.dtype, out, mean, std));
    }),
  ),
  geometric_: declare(
    { doc: `Numbers of trials up to the first success. ${page('geometric_')}`, as: 'method' },
    overload('geometric_(Tensor self, float p, *, Generator? generator=None) -> Tensor', (x, p, generator) => {
      if (!(p > 0 && p < 1)) throw new Error(`geometric_ expects p to be in (0, 1), but got p=${p}`);
      if (x.dtype.is_complex || x.dtype.kind === 'bool')
        throw new Error(`"geometric_cpu" not implemented for '${scalarTypeName(x.dtype)}'`);
      return drawInto(x, 'geometric', (out) => streams.geometric(from(generator), x.dtype, out, p));
    }),
  ),
  random_: declare(
    { doc: `Integers of [from, to), or of all that the dtype holds. ${page('random_')}`, as: 'method' },
    overload('random_(Tensor self, *, Generator? generator=None) -> Tensor', (x, generator) => {
      notComplex(x, 'random_kernel_cpu');
      return drawInto(x, 'random', (out) => streams.random(from(generator), x.dtype, out));
    }),
    overload('random_.to(Tensor self, int to, *, Generator? generator=None) -> Tensor', (x, to, generator) =>
      randomBetween(x, 0, to, generator),
    ),
    overload('random_.from(Tensor self, int from, int? to, *, Generator? generator=None) -> Tensor', (x, low, high, generator) =>
      randomBetween(x, low, high, generator),
    ),
  ),
  bernoulli_: declare(
    { doc: `0 or 1 with chance p of 1. ${page('bernoulli_')}`, as: 'method' },
    overload('bernoulli_.Tensor(Tensor self, Tensor p, *, Generator? generator=None) -> Tensor', (x, p, generator) => {
      if (!p.dtype.is_floating_point)
        throw new Error(`expected probabilities tensor to have floating type, got ${scalarTypeName(p.dtype)}`);
      const chances = elementsLike(expandTo(p, x.view_.shape), x);
      return drawInto(x, 'bernoulli', (out) => streams.bernoulliTensor(from(generator), x.dtype, out, p.dtype, chances));
    }),
    overload('bernoulli_.float(Tensor self, float p=0.5, *, Generator? generator=None) -> Tensor', (x, p, generator) => {
      checkChance(p);
      notComplex(x, 'bernoulli_scalar_cpu_');
      return drawInto(x, 'bernoulli', (out) => streams.bernoulli(from(generator), x.dtype, out, p));
    }),
  ),
};
