/** Normalization: https://docs.pytorch.org/docs/stable/nn.functional.html#normalization-functions */
import type { DType } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, dimPrim, type Prim } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';

interface NormConstants {
  readonly rank: number;
  readonly weight: boolean;
  readonly bias: boolean;
  readonly compute: DType;
}
/** Normalized over the last `rank` dims: mean and reciprocal deviation are hidden outputs that the gradient reads. */
const layerNormOperator: Operator<NormConstants> = {
  name: 'native_layer_norm',
  paramTypes: ({ compute }) => [compute],
  body: (inputs, { constants: c, params: [eps] }) => {
    const x = inputs[0].cast(c.compute);
    const { normalized } = normalize(x, c.rank, eps);
    const scaled = c.weight ? normalized.mul(inputs[1].cast(c.compute)) : normalized;
    const shifted = c.bias ? scaled.add(inputs[c.weight ? 2 : 1].cast(c.compute)) : scaled;
    return [shifted.cast(inputs[0].dtype)];
  },
};
function normalize(x: Prim, rank: number, eps: Prim): { normalized: Prim } {
  const axes = [...x.shape.keys()].slice(x.ndim - rank);
  const count = dimPrim(
    axes.reduce<Dim>((n, a) => dimsOf.mul(n, x.shape[a]), 1),
    x.dtype,
  );
  const mean = x.sum(axes, true).div(count);
  const centered = x.sub(mean);
  const variance = centered.mul(centered).sum(axes, true).div(count);
  const rstd = constant(1, x.dtype).div(variance.add(eps).sqrt());
  return { normalized: centered.mul(rstd) };
}

function layerNormOf(x: Tensor, shape: readonly number[], weight: Tensor | null, bias: Tensor | null, eps: number): Tensor {
  const tail = x.view_.shape.slice(x.ndim - shape.length);
  if (shape.length === 0)
    throw new Error(
      'Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []',
    );
  if (x.ndim < shape.length || tail.join() !== shape.join())
    throw new Error(
      `Given normalized_shape=${shapeList(shape)}, expected input with shape [*, ${shape.join(', ')}], but got input of size${shapeList(x.view_.shape)}`,
    );
  for (const [name, t] of [
    ['weight', weight],
    ['bias', bias],
  ] as const)
    if (t !== null && t.view_.shape.join() !== shape.join())
      throw new Error(
        `Expected ${name} to be of same shape as normalized_shape, but got ${name} of shape ${shapeList(t.view_.shape)} and normalized_shape = ${shapeList(shape)}`,
      );
  const compute = computationDtype(x.dtype);
  const constants = constantsOf(
    `layer_norm:${shape.length}:${weight !== null}:${bias !== null}:${compute.name}`,
    (): NormConstants => ({
      rank: shape.length,
      weight: weight !== null,
      bias: bias !== null,
      compute,
    }),
  );
  const inputs = [x, ...(weight === null ? [] : [weight]), ...(bias === null ? [] : [bias])];
  return record(layerNormOperator as never, inputs, { constants, params: [eps] })[0];
}

export const normalizations = {
  layer_norm: declare(
    {
      doc: 'Normalization over the last dims. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html',
      as: 'function',
    },
    overload(
      'layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> Tensor',
      (x, shape, weight, bias, eps) => layerNormOf(x, shape, weight, bias, eps),
    ),
  ),
};
