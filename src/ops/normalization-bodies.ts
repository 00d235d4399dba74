/**
 * Normalization over primitives: x minus mean, times reciprocal deviation, over a group of dims, then scaled and shifted.
 *
 * Layer, batch and group normalization are one operator that differs in how it arranges its input: over which axes it takes statistics, and
 * along which axes weight and bias lie. Statistics are made once a trace, so that the gradient finds the forward's instead of making its own.
 */
import type { DType } from '../dtype/dtype.ts';
import type { BodyContext, Operator } from '../graph/operator.ts';
import { constant, dimPrim, type Prim } from '../graph/prim.ts';
import { vjp } from '../graph/vjp.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';

export type NormKind =
  /** Over the last `size` dims. */
  | 'layer'
  /** Over all dims but the channels (dim 1). */
  | 'batch'
  /** Over `size` groups of channels and all positions, for each sample. */
  | 'group';

export interface NormConstants {
  readonly kind: NormKind;
  readonly size: number;
  readonly weight: boolean;
  readonly bias: boolean;
  readonly compute: DType;
  /** Return mean, reciprocal deviation and biased variance too, in the computation dtype. */
  readonly statistics: boolean;
}

interface Statistics {
  readonly mean: Prim;
  readonly variance: Prim;
  readonly rstd: Prim;
}

/** The input with its statistics' axes apart. */
function arrange(x: Prim, c: NormConstants): { view: Prim; axes: number[] } {
  switch (c.kind) {
    case 'layer':
      return { view: x, axes: [...x.shape.keys()].slice(x.ndim - c.size) };
    case 'batch':
      return { view: x, axes: [...x.shape.keys()].filter((i) => i !== 1) };
    case 'group': {
      const perGroup = dimsOf.productOf([dimsOf.toNumber(x.shape[1], 'the number of channels') / c.size, ...x.shape.slice(2)]);
      return { view: x.reshape([x.shape[0], c.size, perGroup]), axes: [2] };
    }
    default:
      return c.kind satisfies never;
  }
}
const countOf = (view: Prim, axes: readonly number[]): Prim => dimPrim(dimsOf.productOf(axes.map((a) => view.shape[a])), view.dtype);

/** Weight or bias so that it broadcasts to x. */
function affine(p: Prim, x: Prim, c: NormConstants): Prim {
  const cast = p.cast(c.compute);
  return c.kind === 'layer' ? cast : cast.reshape(x.shape.map((d, i): Dim => (i === 1 ? d : 1)));
}
/** The gradient of what `affine` made, in the shape of weight or bias. */
function affineGradient(g: Prim, c: NormConstants): Prim {
  const axes = [...g.shape.keys()].filter((i) => (c.kind === 'layer' ? i < g.ndim - c.size : i !== 1));
  return g.sum(axes);
}

const made = new WeakMap<Prim, Statistics>();
function statisticsOf(input: Prim, eps: Prim, c: NormConstants): Statistics {
  let found = made.get(input);
  if (found === undefined) {
    const { view, axes } = arrange(input.cast(c.compute), c);
    const count = countOf(view, axes);
    const mean = view.sum(axes, true).div(count);
    const centered = view.sub(mean);
    const variance = centered.mul(centered).sum(axes, true).div(count);
    const rstd = constant(1, c.compute).div(variance.add(eps).sqrt());
    found = { mean, variance, rstd };
    made.set(input, found);
  }
  return found;
}

export const normOperator = (name: string): Operator<NormConstants> => ({
  name,
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [eps] }) => {
    const x = inputs[0].cast(c.compute);
    const { mean, variance, rstd } = statisticsOf(inputs[0], eps, c);
    let out = arrange(x, c).view.sub(mean).mul(rstd).reshape(x.shape);
    if (c.weight) out = out.mul(affine(inputs[1], x, c));
    if (c.bias) out = out.add(affine(inputs[c.weight ? 2 : 1], x, c));
    const result = out.cast(inputs[0].dtype);
    return c.statistics ? [result, mean, rstd, variance] : [result];
  },
  gradient: (seeds, inputs, outputs, context) => {
    const main = outputGradient(seeds[0], inputs, context);
    // Statistics have gradients where a backward that read them is differentiated.
    const pairs = outputs.flatMap((out, k) => (k > 0 && seeds[k] !== null ? [[out, seeds[k]] as const] : []));
    if (pairs.length === 0) return main;
    const more = vjp(pairs, inputs, inputs);
    return main.map((own, i) => (own && more[i] ? own.add(more[i]) : (own ?? more[i])));
  },
});

/** The gradient of the normalized output. */
function outputGradient(
  g: Prim | null,
  inputs: readonly Prim[],
  { constants: c, params: [eps] }: BodyContext<NormConstants>,
): (Prim | null)[] {
  if (g === null) return inputs.map(() => null);
  const x = inputs[0].cast(c.compute);
  const { mean, rstd } = statisticsOf(inputs[0], eps, c);
  const { view, axes } = arrange(x, c);
  const normalized = view.sub(mean).mul(rstd);
  const gc = g.cast(c.compute);
  const wide = (p: Prim): Prim => p.expand(view.shape).reshape(x.shape);
  const weight = c.weight ? affine(inputs[1], x, c) : null;
  const scaled = arrange(weight === null ? gc : gc.mul(weight), c).view;
  const count = countOf(view, axes);
  const level = scaled.sum(axes, true).div(count);
  const slope = scaled.mul(normalized).sum(axes, true).div(count);
  // PyTorch's order: reciprocal deviation times gradient, then weight.
  const direct = weight === null ? gc.mul(wide(rstd)) : gc.mul(wide(rstd)).mul(weight);
  const out: Prim[] = [direct.sub(level.add(normalized.mul(slope)).mul(rstd).reshape(x.shape)).cast(inputs[0].dtype)];
  if (c.weight) {
    // PyTorch's layer normalization has x rstd - (mean rstd) here: one multiply-add.
    const standard = c.kind === 'layer' ? view.scalar('fma', rstd.expand(view.shape), mean.mul(rstd).neg().expand(view.shape)) : normalized;
    out.push(affineGradient(gc.mul(standard.reshape(x.shape)), c).cast(inputs[1].dtype));
  }
  if (c.bias) out.push(affineGradient(gc, c).cast(inputs[c.weight ? 2 : 1].dtype));
  return out;
}

/** Batch normalization with given statistics: inputs x, mean, variance, then weight and bias. */
export const evalNorm: Operator<NormConstants> = {
  name: 'native_batch_norm',
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [eps] }) => {
    const x = inputs[0].cast(c.compute);
    const rstd = constant(1, c.compute).div(affine(inputs[2], x, c).add(eps).sqrt());
    let out = x.sub(affine(inputs[1], x, c)).mul(rstd);
    if (c.weight) out = out.mul(affine(inputs[3], x, c));
    if (c.bias) out = out.add(affine(inputs[c.weight ? 4 : 3], x, c));
    return [out.cast(inputs[0].dtype)];
  },
};

/** x / sqrt(mean(x^2) + eps) over the last `size` dims, times weight. */
export const rmsNorm: Operator<NormConstants> = {
  name: 'rms_norm',
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [eps] }) => {
    const x = inputs[0].cast(c.compute);
    const { axes } = arrange(x, c);
    const square = x.mul(x).sum(axes, true).div(countOf(x, axes));
    const out = x.div(square.add(eps).sqrt());
    return [(c.weight ? out.mul(inputs[1].cast(c.compute)) : out).cast(inputs[0].dtype)];
  },
};

export interface ResponseConstants {
  readonly size: number;
  readonly compute: DType;
  readonly result: DType;
}
/** x / (k + alpha mean of x^2 over a window of channels)^beta. Integers have an integer mean, as their average pooling has. */
export const localResponseNorm: Operator<ResponseConstants> = {
  name: 'local_response_norm',
  paramTypes: ({ compute }) => [compute, compute, compute],
  body: ([input], { constants: { size, compute, result }, params: [alpha, beta, k] }) => {
    const whole = input.dtype.kind === 'int';
    const x = whole ? input : input.cast(compute);
    const channels = x.shape[1];
    const before = Math.floor(size / 2);
    const shape = x.shape.map((d, i) => (i === 1 ? dimsOf.add(d, size - 1) : d));
    const padded = x.mul(x).pad(
      shape,
      x.shape.map((_, i) => (i === 1 ? before : 0)),
    );
    let total = padded.slice(1, 0, channels);
    for (let i = 1; i < size; i++) total = total.add(padded.slice(1, i, channels));
    const mean = whole ? total.scalar('idiv', size).cast(compute) : total.div(size);
    const scale = mean.mul(alpha).add(k).scalar('pow', beta);
    return [x.cast(compute).div(scale).cast(result)];
  },
};
