/** Bitwise operators: https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops */

export const bitwise = {};
