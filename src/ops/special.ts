/** torch.special: https://docs.pytorch.org/docs/stable/special.html */

export const specialOps = {};
