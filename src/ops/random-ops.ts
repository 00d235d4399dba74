/** Random sampling: https://docs.pytorch.org/docs/stable/torch.html#random-sampling */

export const randomOps = {};
