/** Sorting, selection and searching: https://docs.pytorch.org/docs/stable/torch.html#comparison-ops */

export const sorting = {};
