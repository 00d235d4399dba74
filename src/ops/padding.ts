/** Padding: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html */

export const padding = {};
