/**
 * torch.ops.magpie: products and look-ups with weights that stay in ggml's blocks (the quantized formats of GGUF files).
 *
 * A weight is a uint8 tensor [rows, bytes of a row]; the format is named at the call. A product's right operand is decoded on the way into the
 * product, in registers or in panels, on every device: a float copy of the weight is made by `ggml_dequantize` alone. Weights are ggml's float32
 * numbers, products and sums float32; the result has the dtype of the input. x gets a gradient (against the same weights), the bytes none.
 */
import { type DType, float32, uint8 } from '../dtype/dtype.ts';
import { type BlockFormatName, blockDot, blockFormats, decodeRows, isBlockFormat } from '../graph/ggml.ts';
import type { Operator } from '../graph/operator.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { lookupRows } from './embedding-bodies.ts';
import { requireInside } from './host-index.ts';
import { use } from './use.ts';

interface BlockConstants {
  readonly format: BlockFormatName;
  /** A constant of the program: the layers of a model differ in it, and their batch alone should be a symbol. */
  readonly rowBytes: number;
  readonly dtype: DType;
}

const linearOperator: Operator<BlockConstants> = {
  name: 'ggml_linear',
  body: ([x, bytes, bias], { constants: { format, rowBytes } }) => {
    const lead = x.shape.slice(0, -1);
    const rows = dimsOf.productOf(lead);
    const weight = bytes.reshape([bytes.shape[0], rowBytes]);
    const product = blockDot(x.cast(float32).reshape([rows, x.shape[x.ndim - 1]]), weight, { format, transposed: false });
    const out = product.reshape([...lead, bytes.shape[0]]);
    return [(bias === undefined ? out : out.add(bias.cast(float32))).cast(x.dtype)];
  },
};

const embeddingOperator: Operator<BlockConstants> = {
  name: 'ggml_embedding',
  body: ([indices, bytes], { constants: { format, rowBytes, dtype } }) => [
    decodeRows(format, lookupRows(bytes.reshape([bytes.shape[0], rowBytes]), indices)).cast(dtype),
  ],
};

const dequantizeOperator: Operator<BlockConstants> = {
  name: 'ggml_dequantize',
  body: ([bytes], { constants: { format, dtype } }) => [decodeRows(format, bytes).cast(dtype)],
};

function formatOf(name: string, type: string): BlockFormatName {
  if (isBlockFormat(type)) return type;
  throw new Error(
    `${name}: '${type}' is no format of blocks that a product can read; expected one of ${Object.keys(blockFormats).join(', ')}`,
  );
}

/** The weight, rows of whole blocks one after the other, and how many numbers a row has. */
function checkWeight(name: string, weight: Tensor, format: BlockFormatName): number {
  const { weights, bytes } = blockFormats[format];
  const { shape } = weight.view_;
  if (weight.dtype !== uint8 || shape.length !== 2)
    throw new Error(
      `${name}: the weight must be a uint8 tensor [rows, bytes of a row], but is ${weight.dtype} of shape [${shape.join(', ')}]`,
    );
  if (shape[1] % bytes !== 0)
    throw new Error(`${name}: a row of ${shape[1]} bytes is no whole number of ${format} blocks (${weights} weights in ${bytes} bytes)`);
  return (shape[1] / bytes) * weights;
}

const constants = (format: BlockFormatName, weight: Tensor, dtype: DType) => {
  const rowBytes = weight.view_.shape[1];
  return constantsOf(`ggml:${format}:${rowBytes}:${dtype}`, (): BlockConstants => ({ format, rowBytes, dtype }));
};

export function ggmlLinear(x: Tensor, weight: Tensor, bias: Tensor | null, type: string): Tensor {
  const format = formatOf('ggml_linear', type);
  const k = checkWeight('ggml_linear', weight, format);
  const [n] = weight.view_.shape;
  const inner = x.view_.shape.at(-1);
  if (!x.dtype.is_floating_point) throw new Error(`ggml_linear: the input must be of a floating point dtype, but is ${x.dtype}`);
  if (inner !== k) {
    const rows = x.view_.shape.slice(0, -1).reduce((p, d) => p * d, 1);
    throw new Error(`mat1 and mat2 shapes cannot be multiplied (${rows}x${inner ?? 1} and ${k}x${n})`);
  }
  const inputs = bias === null ? [x, weight] : [x, weight, bias];
  return record(linearOperator as never, inputs, { constants: constants(format, weight, x.dtype) })[0];
}

export function ggmlEmbedding(indices: Tensor, weight: Tensor, type: string, dtype: DType): Tensor {
  const format = formatOf('ggml_embedding', type);
  checkWeight('ggml_embedding', weight, format);
  if (indices.dtype.name !== 'int64' && indices.dtype.name !== 'int32')
    throw new Error(`ggml_embedding: indices must be int64 or int32, but are ${indices.dtype}`);
  requireInside(indices, 0, weight.view_.shape[0], () => new RangeError('index out of range in self'));
  return record(embeddingOperator as never, [indices, weight], { constants: constants(format, weight, dtype) })[0];
}

export function ggmlDequantize(weight: Tensor, type: string, dtype: DType): Tensor {
  const format = formatOf('ggml_dequantize', type);
  checkWeight('ggml_dequantize', weight, format);
  return record(dequantizeOperator as never, [use('contiguous', weight)], { constants: constants(format, weight, dtype) })[0];
}

export const magpieOps = {
  ggml_linear: declare(
    { doc: 'x @ W^T + bias with W in ggml blocks, decoded inside of the product.', as: 'function' },
    overload('ggml_linear(Tensor input, Tensor weight, Tensor? bias, str type) -> Tensor', (x, weight, bias, type) =>
      ggmlLinear(x, weight, bias, type),
    ),
  ),
  ggml_embedding: declare(
    { doc: 'Rows of a table in ggml blocks; only these are decoded.', as: 'function' },
    overload('ggml_embedding(Tensor input, Tensor weight, str type, *, ScalarType? dtype=None) -> Tensor', (indices, weight, type, dtype) =>
      ggmlEmbedding(indices, weight, type, dtype ?? float32),
    ),
  ),
  ggml_dequantize: declare(
    { doc: 'The weights of ggml blocks as a plain tensor.', as: 'function' },
    overload('ggml_dequantize(Tensor weight, str type, *, ScalarType? dtype=None) -> Tensor', (weight, type, dtype) =>
      ggmlDequantize(weight, type, dtype ?? float32),
    ),
  ),
};
