/** torch.fft: https://docs.pytorch.org/docs/stable/fft.html */

export const fftOps = {};
