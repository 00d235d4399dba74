/** Running sums, products and extremes: https://docs.pytorch.org/docs/stable/torch.html#other-operations */

export const scans = {};
