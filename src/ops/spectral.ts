/** Spectral operators of the torch namespace: https://docs.pytorch.org/docs/stable/torch.html#spectral-ops */

export const spectral = {};
