/** torch.masked: https://docs.pytorch.org/docs/stable/masked.html */

export const maskedOps = {};
