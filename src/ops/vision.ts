/** Vision: https://docs.pytorch.org/docs/stable/nn.functional.html#vision-functions */

export const vision = {};
