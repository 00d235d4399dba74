/**
 * The layers that hold a GGUF file's weights as they are, made without memory: blocks of bytes, or half-precision numbers.
 *
 * A model from such a file computes in float32 whatever its weights are, so a half-precision weight is widened within the product, as blocks are.
 */
import { float32 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { matmulPrims } from '../ops/matmul.ts';
import type { Tensor } from '../ops/methods.ts';
import { GGUFEmbedding, GGUFLinear } from '../quant/ggml-modules.ts';
import type { GgmlTypeName } from '../quant/ggml-types.ts';
import { record } from '../tensor/record.ts';
import { Embedding, Linear } from './layers.ts';

/** Products of many rows read the weight so often that widening it first, for as long as the product takes, costs less than the reads. */
const manyRows = 8;

const linearOfMany: Operator = {
  name: 'half_linear',
  body: ([x, weight, bias]) => withBias(matmulPrims(x, weight.cast(x.dtype).mT), bias),
};
/** A sum of products over the weight as it is: one kernel that reads each number once, where it is widened. */
const linearOfFew: Operator = {
  name: 'half_linear_rows',
  body: ([x, weight, bias]) => {
    const wide = x.unsqueeze(x.ndim - 1);
    const shape = [...x.shape.slice(0, -1), ...weight.shape];
    const product = wide.expand(shape).mul(weight.cast(x.dtype).expand(shape)).sum([x.ndim]);
    return withBias(product, bias);
  },
};
const withBias = (product: Prim, bias: Prim | undefined): Prim[] => [
  bias === undefined ? product : product.add(bias.expand(product.shape)),
];

/** x @ W^T + bias in the dtype of x, with W in another. */
export class HalfLinear extends Linear {
  override forward(input: Tensor | { readonly input: Tensor }): Tensor {
    const x = 'input' in input ? input.input : input;
    const rows = x.shape.slice(0, -1).reduce((n, d) => n * d, 1);
    const operator = rows < manyRows ? linearOfFew : linearOfMany;
    return record(operator as never, this.bias === null ? [x, this.weight] : [x, this.weight, this.bias])[0] as Tensor;
  }
}

/** Rows of a half-precision table, as float32. */
export class HalfEmbedding extends Embedding {
  override forward(input: Tensor | { readonly input: Tensor }): Tensor {
    return super.forward('input' in input ? input.input : input).to(float32);
  }
}

/** A layer without its bytes, which are put in place later. */
export function blockLinear(inputs: number, outputs: number, type: GgmlTypeName, bias: boolean): GGUFLinear {
  return Object.assign(new GGUFLinear(inputs, 0, { type, bias, dtype: float32 }), { out_features: outputs });
}
export function blockEmbedding(rows: number, width: number, type: GgmlTypeName): GGUFEmbedding {
  return Object.assign(new GGUFEmbedding(0, width, { type, dtype: float32 }), { num_embeddings: rows });
}
