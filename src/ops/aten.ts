/** torch.ops.aten: the operators that live only there. */
import { atenDropouts } from './dropout.ts';
import { atenNormalizations } from './normalization.ts';
import { atenPooling } from './pooling.ts';
import { atenSoftmaxes } from './softmax.ts';
import { atenSplitting } from './split.ts';
import { atenVision } from './vision.ts';

export const atenOps = {
  ...atenSplitting,
  ...atenPooling,
  ...atenVision,
  ...atenDropouts,
  ...atenNormalizations,
  ...atenSoftmaxes,
};
