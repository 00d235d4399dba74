/** Convolutions: https://docs.pytorch.org/docs/stable/nn.functional.html#convolution-functions */

export const convolutions = {};
