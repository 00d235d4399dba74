/**
 * The two operators of gradient scaling, PyTorch's `_amp_foreach_non_finite_check_and_unscale_` and `_amp_update_scale_`: all gradients of a device
 * in one recorded call, and nothing is read. https://docs.pytorch.org/docs/stable/notes/amp_examples.html
 */
import { no_grad } from '../autograd/modes.ts';
import { float32, float64, int32 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { constant, type Prim } from '../graph/prim.ts';
import { record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { writeCall } from '../tensor/write.ts';

const finite = (x: Prim): Prim => x.sub(x).eq(0);

/** inputs: found_inf, inv_scale, the gradients. outputs: found_inf, the gradients unscaled. */
const unscaleOperator: Operator<null> = {
  name: 'amp_unscale',
  body: ([found, inverse, ...grads]) => {
    const wide = grads.map((g) => g.cast(computationDtype(g.dtype)));
    const seen = wide.map((g) => finite(g).where(constant(0, float32), constant(1, float32)).amax());
    return [
      seen.reduce((any, one) => any.maximum(one), found),
      ...wide.map((g, i) => g.mul(inverse.cast(g.dtype).expand(g.shape)).cast(grads[i].dtype)),
    ];
  },
};
/** Multiplies the gradients by `inverse`, and sets `found` to 1 if one of their numbers is infinite or NaN. */
export function unscale(grads: readonly Tensor[], found: Tensor, inverse: Tensor): void {
  const filled = grads.filter((g) => g.view_.numel > 0);
  if (filled.length === 0) return;
  no_grad(() => writeCall(unscaleOperator as never, [found, inverse, ...filled], { donors: [found, ...filled] }));
}

/** inputs: scale, growth tracker, found_inf; params: growth and backoff factor, growth interval. */
const updateOperator: Operator<null> = {
  name: 'amp_update_scale',
  paramTypes: () => [float64, float64, int32],
  body: ([scale, tracker, found], { params: [growth, backoff, interval] }) => {
    const times = (factor: Prim): Prim => scale.cast(float64).mul(factor).cast(float32);
    const infinite = found.ne(0);
    const good = tracker.add(1);
    const full = good.eq(interval);
    const grown = times(growth);
    return [infinite.where(times(backoff), full.and(finite(grown)).where(grown, scale)), infinite.or(full).where(constant(0, int32), good)];
  },
};
/** The scale and the count of good steps after a step. */
export function updateScale(scale: Tensor, tracker: Tensor, found: Tensor, growth: number, backoff: number, interval: number): void {
  no_grad(() =>
    writeCall(updateOperator as never, [scale, tracker, found], { params: [growth, backoff, interval], donors: [scale, tracker] }),
  );
}

const inverseOperator: Operator<null> = {
  name: 'amp_inverse_scale',
  // In float64, as PyTorch does it.
  body: ([scale]) => [constant(1, float64).div(scale.cast(float64)).cast(float32)],
};
export const inverseScale = (scale: Tensor): Tensor => no_grad(() => record(inverseOperator as never, [scale])[0]);
