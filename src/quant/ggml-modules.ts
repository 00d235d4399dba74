/**
 * Layers whose weights stay in ggml's blocks, as a GGUF file has them: the bytes are the buffer `weight`, uint8 [rows, bytes of a row].
 *
 * A product decodes blocks in registers, a look-up decodes the rows that it finds (`ops/ggml.ts`), so a model takes the file's memory and no more.
 * The bytes are no parameter: they get no gradient, `to(dtype)` leaves them alone, and fine-tuning puts adapters beside them. `dequantize()`
 * is there for who wants plain numbers.
 */
import { type DType, getDefaultDtype, uint8 } from '../dtype/dtype.ts';
import { bindForward } from '../nn/forward.ts';
import { Module } from '../nn/module.ts';
import { emptyParameter, type Parameter } from '../nn/parameter.ts';
import { pythonBool } from '../nn/repr.ts';
import { fromBytes } from '../ops/creation.ts';
import { ggmlDequantize, ggmlEmbedding, ggmlLinear } from '../ops/ggml.ts';
import type { Tensor } from '../ops/methods.ts';
import { type GgmlTypeName, ggmlRowBytes } from './ggml-types.ts';

export interface GGUFLinearOptions {
  /** The format of the blocks. */
  readonly type: GgmlTypeName;
  readonly bias?: boolean;
  readonly device?: string | null;
  /** Of the bias. */
  readonly dtype?: DType | null;
}

export interface GGUFEmbeddingOptions {
  readonly type: GgmlTypeName;
  readonly device?: string | null;
  /** Of the rows that are looked up; default: the default dtype. */
  readonly dtype?: DType | null;
}

function emptyBlocks(rows: number, columns: number, { type, device }: { type: GgmlTypeName; device?: string | null }): Tensor {
  const rowBytes = ggmlRowBytes(type, columns);
  return fromBytes(new Uint8Array(rows * rowBytes), [rows, rowBytes], uint8, device ?? null) as Tensor;
}

/** y = x @ W^T + bias, in the dtype of x. */
export class GGUFLinear extends Module {
  readonly in_features: number;
  readonly out_features: number;
  /** The format of the blocks. */
  readonly ggml_type: GgmlTypeName;
  declare weight: Tensor;
  bias: Parameter | null;
  constructor(in_features: number, out_features: number, options: GGUFLinearOptions) {
    super();
    this.in_features = in_features;
    this.out_features = out_features;
    this.ggml_type = options.type;
    this.register_buffer('weight', emptyBlocks(out_features, in_features, options));
    const { device = null, dtype = null } = options;
    this.bias = options.bias === true ? emptyParameter([out_features], { device, dtype }) : null;
  }
  override forward(input: Tensor | { readonly input: Tensor }): Tensor {
    const x = 'input' in input ? bindForward<{ input: Tensor }>(['input'], {}, [input]).input : input;
    return ggmlLinear(x, this.weight, this.bias, this.ggml_type) as Tensor;
  }
  /** The weights as a float tensor [out_features, in_features]. */
  dequantize(dtype: DType = getDefaultDtype()): Tensor {
    return ggmlDequantize(this.weight, this.ggml_type, dtype) as Tensor;
  }
  override extra_repr(): string {
    const { in_features, out_features, bias, ggml_type } = this;
    return `in_features=${in_features}, out_features=${out_features}, bias=${pythonBool(bias !== null)}, type=${ggml_type}`;
  }
}

/** Rows of a table by their index. */
export class GGUFEmbedding extends Module {
  readonly num_embeddings: number;
  readonly embedding_dim: number;
  readonly ggml_type: GgmlTypeName;
  readonly dtype: DType;
  declare weight: Tensor;
  constructor(num_embeddings: number, embedding_dim: number, options: GGUFEmbeddingOptions) {
    super();
    this.num_embeddings = num_embeddings;
    this.embedding_dim = embedding_dim;
    this.ggml_type = options.type;
    this.dtype = options.dtype ?? getDefaultDtype();
    this.register_buffer('weight', emptyBlocks(num_embeddings, embedding_dim, options));
  }
  override forward(input: Tensor | { readonly input: Tensor }): Tensor {
    const indices = 'input' in input ? bindForward<{ input: Tensor }>(['input'], {}, [input]).input : input;
    return ggmlEmbedding(indices, this.weight, this.ggml_type, this.dtype) as Tensor;
  }
  /** The table as a float tensor [num_embeddings, embedding_dim]. */
  dequantize(dtype: DType = this.dtype): Tensor {
    return ggmlDequantize(this.weight, this.ggml_type, dtype) as Tensor;
  }
  override extra_repr(): string {
    return `${this.num_embeddings}, ${this.embedding_dim}, type=${this.ggml_type}`;
  }
}
