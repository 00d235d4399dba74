/**
 * The operators whose result PyTorch saves for backward (`result` in its derivatives.yaml): writing into that result before backward raises.
 * Which of our values a gradient reads is decided by the cut (`graph/operator.ts`) and safe whatever is written; this is about the error only.
 */
export const savesResult: ReadonlySet<string> = new Set([
  'amax',
  'amin',
  'cholesky',
  'cummax',
  'cumprod',
  'exp',
  'exp2',
  'expm1',
  'inverse',
  'linalg_vector_norm',
  'log_softmax',
  'logcumsumexp',
  'logsumexp',
  'norm',
  'pow',
  'prod',
  'reciprocal',
  'relu',
  'rsqrt',
  'sigmoid',
  'softmax',
  'sqrt',
  'std',
  'tan',
  'tanh',
]);
