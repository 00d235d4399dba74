/** `resize_`: another shape over the same storage. A storage that is too small is replaced by a longer one, whose new elements are zeros. */
import type { Operator } from '../graph/operator.ts';
import { cat, full } from '../graph/prim.ts';
import { makeView, numelOf } from '../shape/view.ts';
import { record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { formatOrder } from './shape-base.ts';

const growOperator: Operator<null> = {
  name: 'resize_',
  body: ([memory], { dims: [extra] }) => [cat([memory, full([extra], 0, memory.dtype)], 0)],
};

export function resizeTo(x: Tensor, size: readonly number[], format: string | null): Tensor {
  if (size.some((d) => d < 0)) throw new Error('numel: integer multiplication overflow');
  if (x.requires_grad) throw new Error('cannot resize variables that require grad');
  if (x.view_.shape.join() === size.join() && format === null) return x;
  const { storage } = x;
  const { dtype } = storage.value;
  const missing = Math.ceil(((x.offset + numelOf(size)) * x.dtype.itemsize) / dtype.itemsize) - storage.value.size;
  if (missing > 0) {
    const flat = makeView(dtype, x.device, [storage.value.size]);
    const memory = detached(new Tensor(storage, flat, 0, x.tape, x.version));
    const grown = record(growOperator as never, [memory], { dims: [missing], hidden: true })[0].storage.value;
    storage.value.visible = false;
    storage.value = grown;
    grown.visible = true;
  }
  const order = formatOrder(format, size.length);
  x.view_ = makeView(x.dtype, x.device, size, order === null ? undefined : stridesInOrder(size, order));
  x.version.count++;
  return x;
}

/** Dense strides where the last dim of `order` is the fastest. */
export function stridesInOrder(size: readonly number[], order: readonly number[]): number[] {
  const strides = new Array<number>(size.length);
  let step = 1;
  for (let i = order.length - 1; i >= 0; i--) {
    strides[order[i]] = step;
    step *= Math.max(size[order[i]], 1);
  }
  return strides;
}
