/**
 * Indices are checked where it costs nothing: numbers that are in memory of a device that can be read, at the call. Those that are still to be
 * computed, or are very many, get a condition of their own that the engine looks at before it stores anything that depends on them
 * (`Engine.addCheck`); the error then comes from the flush, and names the call. On devices that cannot block, kernels clamp.
 */
import { int64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { constant } from '../graph/prim.ts';
import { productOf } from '../shape/dim.ts';
import { engineOf } from '../tensor/devices.ts';
import { indexCheckName } from '../tensor/engine.ts';
import { readWindow } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { hostCheck } from '../tensor/tracing.ts';
import { detached } from '../tensor/view-tensor.ts';
import { spoilLesson } from '../util/lesson.ts';

const mostChecked = 1 << 16;

/** params: low, high, and the number that is always allowed. One number: 0, or the code of an index outside (`tensor/recovery.ts`). */
const checkOperator: Operator<{ excepted: boolean }> = {
  name: indexCheckName,
  paramTypes: () => [int64, int64, int64],
  body: ([index], { constants: { excepted }, params: [low, high, except] }) => {
    const x = index.cast(int64);
    const outside = x.lt(low).or(high.le(x));
    const bad = excepted ? outside.and(x.ne(except)) : outside;
    const code = x.lt(0).where(x.mul(-2), x.mul(2).add(1)).maximum(1);
    const codes = bad.where(code, constant(0, int64)).reshape([productOf(x.shape)]);
    // The first one, as an engine that goes through them in order would find it.
    return [codes.lookup([codes.ne(0).cast(int64).reduce('argmax')])];
  },
};

/** The first index outside of [low, high) that is not `except`, as far as the numbers are in memory; undefined where they are not. */
function firstOutside(index: Tensor, low: number, high: number, except: number | undefined): number | null | undefined {
  const { shape, strides, numel } = index.view_;
  if (index.storage.value.buffer === null || numel > mostChecked) return undefined;
  const { array, base } = readWindow(index);
  const visit = (depth: number, at: number): number | null => {
    if (depth < shape.length) {
      for (let i = 0; i < shape[depth]; i++) {
        const found = visit(depth + 1, at + i * strides[depth]);
        if (found !== null) return found;
      }
      return null;
    }
    const x = Number(array[at]);
    return (x < low || x >= high) && x !== except ? x : null;
  };
  return visit(0, base);
}

/** Throws `error(i)` for an index i outside of [low, high) that is not `except`: now, or at the flush that computes the indices. */
export function requireInside(index: Tensor, low: number, high: number, error: (at: number) => Error, except?: number): void {
  if (index.view_.numel === 0 || index.dtype.kind !== 'int') return;
  const { backend } = engineOf(index.device);
  if (!backend.limits.canBlock || backend.name === 'null') return;
  spoilLesson();
  if (index.storage.value.buffer !== null && index.view_.numel <= mostChecked) {
    hostCheck(index, (t) => {
      const found = firstOutside(t, low, high, except);
      if (typeof found === 'number') throw error(found);
    });
    return;
  }
  const excepted = except !== undefined;
  const [check] = record(checkOperator as never, [detached(index)], {
    constants: constantsOf(`index_check:${excepted}`, () => ({ excepted })),
    params: [BigInt(low), BigInt(high), BigInt(except ?? 0)],
    hidden: true,
  });
  engineOf(index.device).addCheck(check.storage.value, error);
}
