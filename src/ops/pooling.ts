/** Pooling: https://docs.pytorch.org/docs/stable/nn.functional.html#pooling-functions */

export const pooling = {};
