/**
 * The layers that models are made of: nn's own, except that they can be made without memory.
 *
 * A model that is about to be filled from a file would draw millions of random numbers and allocate every weight twice. Inside `withoutWeights`
 * a weight is a zero expanded to its shape, to be replaced by the file's tensor. Elsewhere weights are normal with the config's deviation, and
 * biases zero, as transformers initializes them.
 */
import { no_grad } from '../autograd/modes.ts';
import { Linear as NNLinear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { Parameter } from '../nn/parameter.ts';
import { Embedding as NNEmbedding } from '../nn/sparse.ts';
import type { Tensor } from '../ops/methods.ts';
import { torchFunctions } from '../ops/methods.ts';

const state = { withoutWeights: false };

/** Runs `make`, whose layers get placeholders for weights. */
export function withoutWeights<T>(make: () => T): T {
  const before = state.withoutWeights;
  state.withoutWeights = true;
  try {
    return make();
  } finally {
    state.withoutWeights = before;
  }
}

/** A parameter: normal with this deviation, or constant. */
export function weightOf(shape: readonly number[], deviation: number): Parameter {
  if (state.withoutWeights) return new Parameter(torchFunctions.zeros([]).expand([...shape]));
  const data = torchFunctions.zeros([...shape]);
  if (deviation > 0) no_grad(() => data.normal_(0, deviation));
  return new Parameter(data);
}

export class Linear extends NNLinear {
  constructor(
    inputs: number,
    outputs: number,
    { bias = true, deviation = 0.02 }: { readonly bias?: boolean; readonly deviation?: number } = {},
  ) {
    super({ in_features: 0, out_features: 0, bias: false });
    Object.assign(this, { in_features: inputs, out_features: outputs });
    this.weight = weightOf([outputs, inputs], deviation);
    this.bias = bias ? weightOf([outputs], 0) : null;
  }
}

export class Embedding extends NNEmbedding {
  constructor(
    rows: number,
    width: number,
    { padding_idx = null, deviation = 0.02 }: { readonly padding_idx?: number | null; readonly deviation?: number } = {},
  ) {
    super(rows, width, { padding_idx, _weight: weightOf([rows, width], deviation) });
  }
}

/** GPT-2's linear layer, whose weight is `[inputs, outputs]`: https://huggingface.co/docs/transformers/internal/modeling_utils#transformers.Conv1D */
export class Conv1D extends Module {
  readonly nf: number;
  readonly nx: number;
  weight: Parameter;
  bias: Parameter;

  constructor(nf: number, nx: number, deviation = 0.02) {
    super();
    this.nf = nf;
    this.nx = nx;
    this.weight = weightOf([nx, nf], deviation);
    this.bias = weightOf([nf], 0);
  }

  override forward(x: Tensor): Tensor {
    return x.matmul(this.weight).add(this.bias);
  }

  override extra_repr(): string {
    return `nf=${this.nf}, nx=${this.nx}`;
  }
}
