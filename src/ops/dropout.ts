/** Dropout: https://docs.pytorch.org/docs/stable/nn.functional.html#dropout-functions */

export const dropouts = {};
