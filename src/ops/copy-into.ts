/** `copy_`: a tensor overwritten with another's values, broadcast and cast, from any device. What it held gets zeros as its gradient. */
import { modes } from '../autograd/modes.ts';
import type { Operator } from '../graph/operator.ts';
import { full } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import { broadcastShapes, sameShape } from '../shape/view.ts';
import { refuseOverlapWith } from '../tensor/overlap.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { assign, writeInto } from '../tensor/write.ts';
import { toTensor } from './conversion.ts';
import { sizeMismatch } from './elementwise.ts';

const overwriteOperator: Operator<null> = {
  name: 'copy',
  body: ([old, value]) => [value.expand(old.shape)],
  gradient: ([g], [old, value]) => (g === null ? [null, null] : [full(old.shape, 0, g.dtype), sumToShape(g, value.shape)]),
};

export function copyInto(self: Tensor, value: Tensor): Tensor {
  // A cache is written a layer and token: nothing to be found out.
  if (!modes.grad && self.storage !== value.storage && self.dtype === value.dtype && self.device === value.device)
    if (sameShape(self.view_.shape, value.view_.shape)) {
      assign(self, value);
      return self;
    }
  if (broadcastShapes(self.view_.shape, value.view_.shape) === null) throw sizeMismatch(self.view_.shape, value.view_.shape);
  refuseOverlapWith(self, [value]);
  const here = toTensor(value, { dtype: self.dtype, device: self.device });
  const fits =
    here.view_.shape.length <= self.ndim && broadcastShapes(self.view_.shape, here.view_.shape)!.join() === self.view_.shape.join();
  // A write to a part of the memory is on the tape as such; one to all of it would forget what was there.
  const whole = self.view_.numel * self.dtype.itemsize === self.storage.nbytes();
  if (modes.grad && fits && whole && self.requires_grad && !self.is_leaf)
    return writeInto(self, () => record(overwriteOperator as never, [self, here])[0]);
  assign(self, here);
  return self;
}
