/**
 * Operators whose results get more than assert_close's default tolerance: at most forty lines, at most twenty times, each with the reason.
 * Names are those of the records, without the variant; `modules` entries are the class's or optimizer's name. Tested for both limits.
 */
export interface Tolerance {
  readonly factor: number;
  readonly reason: string;
}

const sum = 'float32 sums of products that cancel: the order of the additions decides the last digits';
const power = 'float32 powers of large numbers: an ulp of log or exp is magnified by the exponent';
const closer =
  "float32 factorizations: PyTorch's own result or gradient is that far from float64, ours nearer at the elements that were compared";
const sampling = 'gradient of float32 coordinates: differences of products of neighbours, scaled by the image size';

export const tolerances: Readonly<Record<string, Tolerance>> = {
  matmul: { factor: 4, reason: sum },
  __rmatmul__: { factor: 4, reason: sum },
  addbmm: { factor: 2, reason: `${sum}; without fused multiply-add (wasm)` },
  baddbmm: { factor: 2, reason: `${sum}; PyTorch's own error there is as large` },
  'linalg.multi_dot': { factor: 2, reason: sum },
  cov: { factor: 4, reason: `gradient of the weights is zero by cancellation; ${sum}` },
  'nn.functional.conv2d': { factor: 4, reason: sum },
  'nn.functional.conv3d': { factor: 4, reason: sum },
  'nn.functional.conv_transpose3d': { factor: 4, reason: sum },
  'nn.ConvTranspose3d': { factor: 4, reason: sum },
  'nn.functional.scaled_dot_product_attention': { factor: 2, reason: sum },
  pow: { factor: 4, reason: power },
  ldexp: { factor: 2, reason: power },
  __rpow__: { factor: 4, reason: power },
  native_layer_norm: { factor: 2, reason: "gradient of a single weight is zero by cancellation; PyTorch's is 2e-5, ours 0 on wasm" },
  stft: { factor: 2, reason: "gradient of the window cancels; PyTorch's is three times as far from float64 as ours" },
  'special.hermite_polynomial_he': {
    factor: 11,
    reason: 'a recurrence that cancels; PyTorch exceeds its own records as much on another processor',
  },
  matrix_exp: { factor: 2, reason: closer },
  triangular_solve: { factor: 2, reason: closer },
  'linalg.cond': { factor: 2, reason: closer },
  'linalg.householder_product': { factor: 5, reason: closer },
  'linalg.lstsq': { factor: 9, reason: closer },
  'linalg.svd': { factor: 2, reason: closer },
  'nn.functional.grid_sample': { factor: 8, reason: sampling },
  grid_sampler_2d: { factor: 8, reason: sampling },
  'nn.CTCLoss': { factor: 4, reason: 'gradient: a difference of float32 sums of exponentials over fifty steps' },
  'nn.Transformer': { factor: 4, reason: `gradients through four layers; ${sum}` },
  'nn.MultiheadAttention': { factor: 2, reason: sum },
  'optim.LBFGS': { factor: 8, reason: 'a line search amplifies rounding: PyTorch itself differs by 5e-5 between processors' },
};

export const toleranceOf = (name: string): number => tolerances[name]?.factor ?? 1;
