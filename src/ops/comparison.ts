/** Comparison operators: https://docs.pytorch.org/docs/stable/torch.html#comparison-ops */

export const comparison = {};
