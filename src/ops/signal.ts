/** torch.signal.windows: https://docs.pytorch.org/docs/stable/signal.html */

export const signalWindows = {};
