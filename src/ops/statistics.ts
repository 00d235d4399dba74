/** Statistics: variance, norms, quantiles, histograms: https://docs.pytorch.org/docs/stable/torch.html#reduction-ops */

export const statistics = {};
