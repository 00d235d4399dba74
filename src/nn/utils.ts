/** torch.nn.utils: gradient clipping. The norm is one call over all gradients, so no squares are stored. */
import { no_grad } from '../autograd/modes.ts';
import { float32, float64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { constant } from '../graph/prim.ts';
import { fromBytes } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { record } from '../tensor/record.ts';
import type { Tensor as CoreTensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';

const totalNorm: Operator<null> = {
  name: 'total_norm',
  body: (grads) => {
    const squares = grads.map((g) => g.mul(g).sum());
    return [
      squares
        .slice(1)
        .reduce((sum, s) => sum.add(s.cast(sum.dtype)), squares[0])
        .sqrt(),
    ];
  },
};
const clipByNorm: Operator<null> = {
  name: 'clip_by_norm',
  paramTypes: () => [float64],
  body: ([g, total], { params: [max] }) => {
    const ratio = max.cast(total.dtype).div(total.add(1e-6));
    const one = constant(1, total.dtype);
    return [g.mul(ratio.gt(1).where(one, ratio).cast(g.dtype))];
  },
};
const clipByValue: Operator<null> = {
  name: 'clip_by_value',
  paramTypes: () => [float64],
  body: ([g], { params: [limit] }) => {
    const high = limit.cast(g.dtype);
    const low = high.neg();
    return [g.gt(high).where(high, g.lt(low).where(low, g))];
  },
};

const gradsOf = (parameters: Tensor | Iterable<Tensor>, single: boolean): CoreTensor[] =>
  (single ? [parameters as Tensor] : [...(parameters as Iterable<Tensor>)]).flatMap((p) => (p.grad_ === null ? [] : [p.grad_]));
const isSingle = (x: object): boolean => 'storage' in x;

/** Scales all gradients so that their common 2-norm is at most `max_norm`; returns the norm before. */
export function clip_grad_norm_(parameters: Tensor | Iterable<Tensor>, max_norm: number): Tensor {
  return no_grad(() => {
    const grads = gradsOf(parameters, isSingle(parameters));
    if (grads.length === 0) return fromBytes(new Uint8Array(new Float32Array(1).buffer), [], float32) as Tensor;
    const total = record(totalNorm as never, grads)[0];
    for (const g of grads) writeInto(g, () => record(clipByNorm as never, [g, total], { params: [max_norm] })[0]);
    return total as Tensor;
  });
}

export function clip_grad_value_(parameters: Tensor | Iterable<Tensor>, clip_value: number): void {
  no_grad(() => {
    for (const g of gradsOf(parameters, isSingle(parameters)))
      writeInto(g, () => record(clipByValue as never, [g], { params: [clip_value] })[0]);
  });
}

/** torch.nn.utils.rnn */
export * as rnn from './packed.ts';
