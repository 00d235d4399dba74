/** PyTorch's switches for products in float32. Read at each run; a recorded graph belongs to one setting. */
export const matmulSettings = {
  /** `torch.backends.cuda.matmul.allow_tf32` */
  allowTf32: false,
};
