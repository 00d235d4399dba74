/**
 * Which operators autocast casts, and how: PyTorch's lists by kind of device (2.11's registrations for AutocastCPU and AutocastCUDA), under
 * aten's names. https://docs.pytorch.org/docs/stable/amp.html#autocast-op-reference
 *
 * An operator without a policy computes in the dtypes that it is given; what it calls may have one. Where this package computes in one piece what
 * PyTorch composes of listed operators, or composes what PyTorch computes in one piece, the second part of a list says so: `lower`, `fp32` as for
 * the listed ones, and `opaque` for "nothing inside is cast". `autocast.fixture.json` has PyTorch's answers for all operators.
 */
import type { Tensor } from '../tensor/tensor.ts';

export type CastPolicy =
  /** Inputs go to the lower precision. */
  | 'lower'
  /** Inputs go to float32. */
  | 'fp32'
  /** The result dtype, where the caller leaves it open, is float32. */
  | 'fp32_dtype'
  /** Inputs go to the widest of their dtypes. */
  | 'promote'
  /** It throws. */
  | 'banned'
  /** Inputs stay, and nothing inside is cast. */
  | 'opaque';

/** A policy, or what the arguments decide. */
export type CastRule = CastPolicy | ((args: Readonly<Record<string, unknown>>) => CastPolicy | null);
type Lists = Partial<Record<CastPolicy, string>>;

const cpuLists = {
  lower: `conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d _convolution bmm mm linalg_vecdot baddbmm addmm
    _addmm_activation addbmm linear matmul mkldnn_rnn_layer prelu scaled_dot_product_attention _native_multi_head_attention`,
  fp32: `avg_pool3d binary_cross_entropy grid_sampler polar prod quantile nanquantile stft cdist trace view_as_complex cholesky
    cholesky_inverse cholesky_solve inverse lu_solve orgqr ormqr pinverse max_pool3d max_unpool2d max_unpool3d adaptive_avg_pool3d
    reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d replication_pad3d mse_loss cosine_embedding_loss nll_loss nll_loss2d
    hinge_embedding_loss poisson_nll_loss smooth_l1_loss cross_entropy_loss l1_loss huber_loss margin_ranking_loss soft_margin_loss
    triplet_margin_loss multi_margin_loss ctc_loss kl_div multilabel_margin_loss binary_cross_entropy_with_logits fft_fft fft_ifft fft_fft2
    fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2 fft_irfft2 fft_rfftn fft_irfftn fft_hfft fft_ihfft linalg_cond linalg_matrix_rank
    linalg_solve linalg_cholesky linalg_svdvals linalg_eigvals linalg_eigvalsh linalg_inv linalg_householder_product linalg_tensorinv
    linalg_tensorsolve fake_quantize_per_tensor_affine geqrf _lu_with_info qr svd triangular_solve fractional_max_pool2d fractional_max_pool3d
    adaptive_max_pool3d multilabel_margin_loss_forward linalg_qr linalg_cholesky_ex linalg_svd linalg_eig linalg_eigh linalg_lstsq linalg_inv_ex
    grid_sampler_2d _grid_sampler_2d_cpu_fallback grid_sampler_3d`,
  promote: 'stack cat index_copy',
} as const satisfies Lists;

const cudaLists = {
  lower: `_convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution cudnn_convolution
    cudnn_convolution_transpose prelu addmm addmv addr matmul einsum mm mv linalg_vecdot linear addbmm baddbmm bmm chain_matmul linalg_multi_dot
    _thnn_fused_lstm_cell _thnn_fused_gru_cell lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell _cudnn_rnn _scaled_dot_product_flash_attention
    scaled_dot_product_attention`,
  fp32: `acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus layer_norm native_layer_norm group_norm
    frobenius_norm nuclear_norm cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss nll_loss2d hinge_embedding_loss kl_div l1_loss
    smooth_l1_loss huber_loss mse_loss margin_ranking_loss multilabel_margin_loss soft_margin_loss triplet_margin_loss multi_margin_loss
    binary_cross_entropy_with_logits dist pdist cdist renorm logsumexp upsample_nearest1d _upsample_nearest_exact1d upsample_nearest2d
    _upsample_nearest_exact2d upsample_nearest3d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d _upsample_bilinear2d_aa
    upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa`,
  fp32_dtype: 'prod softmax log_softmax cumprod cumsum linalg_vector_norm linalg_matrix_norm sum norm',
  promote: 'addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add',
  banned: 'binary_cross_entropy',
} as const satisfies Lists;

// What is composed otherwise here than in PyTorch.

const cpuOwn = {
  lower: 'rnn_tanh_cell rnn_relu_cell rnn.rnn_tanh rnn.rnn_relu rnn.lstm',
  // `lu` is the name of `_lu_with_info` here.
  fp32: 'lu max_unpool1d',
} as const satisfies Lists;
const cudaOwn = {
  lower: 'rnn.rnn_tanh rnn.rnn_relu rnn.lstm rnn.lstm_own rnn.gru',
  // Of powers, norms, logarithms and interpolations, which are listed.
  fp32: `cross_entropy_loss normalize multilabel_soft_margin_loss square pairwise_distance gaussian_nll_loss
    upsample upsample_nearest upsample_bilinear`,
  fp32_dtype: 'linalg_norm',
  // PyTorch adds up the diagonal without calling `sum`.
  opaque: 'trace',
} as const satisfies Lists;

/** Rules that look at arguments. */
const cpuDecided: Readonly<Record<string, CastRule>> = {
  // The paddings that are listed, by their number of dims.
  pad: ({ mode, pad }) => {
    const dims = (pad as readonly number[]).length / 2;
    return (mode === 'reflect' && dims < 3) || mode === 'replicate' ? 'fp32' : null;
  },
  // With indices it is another operator.
  max_pool3d: ({ return_indices }) => (return_indices === true ? null : 'fp32'),
};
const cudaDecided: Readonly<Record<string, CastRule>> = {
  interpolate: ({ mode }) => (mode === 'area' ? null : 'fp32'),
  // Where nothing is summed it is a view, except of a number.
  sum_to_size: ({ self, size }) => {
    const { shape } = self as Tensor;
    return shape.length > 0 && shape.join() === String(size) ? null : 'fp32';
  },
  local_response_norm: ({ input }) => ((input as Tensor).shape.includes(0) ? null : 'fp32'),
};

/** Names here that differ from aten's. */
const atenNames: Readonly<Record<string, string>> = {
  ...{ cross_entropy: 'cross_entropy_loss', grid_sample: 'grid_sampler', arccos: 'acos', arcsin: 'asin', arctan2: 'atan2' },
  ...{ 'special.expm1': 'expm1', 'special.log1p': 'log1p', 'special.logsumexp': 'logsumexp' },
  ...{ 'special.softmax': 'softmax', 'special.log_softmax': 'log_softmax', 'linalg.matmul': 'matmul' },
};

function tableOf(decided: Readonly<Record<string, CastRule>>, ...lists: readonly Lists[]): ReadonlyMap<string, CastRule> {
  const table = new Map<string, CastRule>();
  for (const list of lists)
    for (const [policy, names] of Object.entries(list)) for (const name of names.split(/\s+/)) table.set(name, policy as CastPolicy);
  for (const [name, rule] of Object.entries(decided)) table.set(name, rule);
  return table;
}
const tables: Readonly<Record<'cpu' | 'cuda', ReadonlyMap<string, CastRule>>> = {
  cpu: tableOf(cpuDecided, cpuLists, cpuOwn),
  cuda: tableOf(cudaDecided, cudaLists, cudaOwn),
};
/** PyTorch's lists alone. */
export const listedNames: Readonly<Record<'cpu' | 'cuda', ReadonlyMap<string, CastRule>>> = {
  cpu: tableOf({}, cpuLists),
  cuda: tableOf({}, cudaLists),
};

/** `linalg.inv` -> `linalg_inv`, `nn.functional.mse_loss` -> `mse_loss`: the name in the lists. */
export function listName(path: string): string {
  const dot = path.lastIndexOf('.');
  if (dot < 0) return atenNames[path] ?? path;
  const [space, name] = [path.slice(0, dot), path.slice(dot + 1)];
  if (space === 'nn.functional' || space === 'aten') return atenNames[name] ?? name;
  return atenNames[path] ?? (space === 'linalg' || space === 'fft' ? `${space}_${name}` : path);
}

/** How autocast treats an operator of the table on a kind of device; null: not at all. Devices other than `cuda` go by the cpu's lists. */
export function castRule(kind: string, path: string): CastRule | null {
  const which = kind === 'cuda' ? 'cuda' : 'cpu';
  let rule = byPath[which].get(path);
  if (rule === undefined) {
    rule = tables[which].get(listName(path)) ?? null;
    byPath[which].set(path, rule);
  }
  return rule;
}
/** Rules by the names that have been asked for: a call asks each time. */
const byPath = { cpu: new Map<string, CastRule | null>(), cuda: new Map<string, CastRule | null>() };
