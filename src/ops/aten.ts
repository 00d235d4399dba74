/** torch.ops.aten: the operators that live only there. */

export const atenOps = {};
