/** Joining, tiling and rearranging: https://docs.pytorch.org/docs/stable/torch.html#indexing-slicing-joining-mutating-ops */

export const joining = {};
