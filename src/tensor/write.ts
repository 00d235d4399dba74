/**
 * Writing in place: the storage gets a new value, so every alias sees it; on the tape only what shares the tensor's tape sees the gradient.
 */
import { modes } from '../autograd/modes.ts';
import { canCast, scalarTypeName } from '../dtype/promotion.ts';
import type { Value } from '../graph/node.ts';
import type { Operator } from '../graph/operator.ts';
import { broadcastShapes, makeView, sameShape } from '../shape/view.ts';
import { spoilLesson } from '../util/lesson.ts';
import { engineOf } from './devices.ts';
import type { Engine } from './engine.ts';
import { refuseMultiView } from './multi-view.ts';
import { type CallOptions, constantsOf, prepareCall, record } from './record.ts';
import { writing } from './scope.ts';
import { type Storage, Tensor } from './tensor.ts';
import { sink } from './tracing.ts';

/** Broadcasts and casts a value to the layout of what it is written to. */
const fit: Operator<{ rank: number; dtype: Tensor['dtype'] }> = {
  name: 'copy',
  body: ([value], { constants, dims }) => [value.expand(dims.slice(0, constants.rank)).cast(constants.dtype)],
};
/** srcs: the whole memory as a row, the value. dims: strides and offset of the window. */
const storeWindow: Operator<null> = {
  name: 'copy_slices',
  body: ([memory, value], { dims }) => [memory.store(value, dims.slice(0, -1), dims[dims.length - 1])],
};

function checkWritable(self: Tensor): void {
  spoilLesson();
  if (sink !== null) sink.writing(self);
  if (modes.grad && self.tape.edge?.leaf) {
    if (self.is_leaf) throw new Error('a leaf Variable that requires grad is being used in an in-place operation.');
    throw new Error('a view of a leaf Variable that requires grad is being used in an in-place operation.');
  }
  if (modes.grad) refuseMultiView(self);
  if (self.inference && !modes.inference && modes.grad && self.requires_grad)
    throw new Error(
      'Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal tensor before doing inplace update.',
    );
  if (!self.view_.injective)
    throw new Error(
      'unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please clone() the tensor before performing the operation.',
    );
}

/** True when the tensor is its storage's whole memory in row-major order. */
const isWhole = (t: Tensor): boolean =>
  t.offset === 0 && t.view_.contiguous && t.view_.numel === t.storage.value.size && t.dtype === t.storage.value.dtype;

/** Computes a result and writes it into `self`; nothing has changed if the computation throws. */
export function writeInto(self: Tensor, compute: () => Tensor): Tensor {
  checkWritable(self);
  const result = writing(self, compute);
  const { version } = result;
  assign(self, result);
  // What the call saved of its result is what `self` now holds.
  for (const s of result.tape.edge?.saved ?? [])
    if (s.version === version) {
      s.version = self.version;
      s.count = self.version.count;
    }
  return self;
}

/** The same for many tensors that one call computes: result i goes into tensor i. */
function writeAll(selves: readonly Tensor[], compute: () => readonly Tensor[]): void {
  if (selves.length === 0) return;
  for (const self of selves) checkWritable(self);
  const results = writing(selves[0], compute);
  for (let i = 0; i < selves.length; i++) assign(selves[i], results[i]);
}

/** Computes a call's results and writes them into the tensors given as `donors`, in order. */
export function writeCall(
  operator: Operator,
  inputs: readonly Tensor[],
  options: CallOptions & { readonly donors: readonly Tensor[] },
): void {
  const { donors: selves } = options;
  if (modes.grad || selves.length === 0) {
    writeAll(selves, () => record(operator, inputs, options));
    return;
  }
  for (const self of selves) checkWritable(self);
  const node = prepareCall(operator, inputs, options);
  const { outs, device } = node.signature;
  // Off the tape a whole tensor just holds the result: no other tensor has to be made for it.
  for (let i = 0; i < selves.length; i++)
    if (outs[i] !== selves[i].view_ || !isWhole(selves[i])) {
      writeAll(selves, () => record(operator, inputs, options));
      return;
    }
  const engine = engineOf(device);
  for (let i = 0; i < selves.length; i++) {
    hold(selves[i].storage, node.outs[i], engine);
    selves[i].version.count++;
  }
  engine.submit(node);
}

function hold(storage: Storage, made: Value, engine: Engine): void {
  const before = storage.value;
  engine.writes.note(storage, before, made);
  before.visible = false;
  storage.value = made;
  made.visible = true;
}

/** Writes a result into the tensor given as `out`, which takes the result's shape first if it has another. */
export function writeOut(out: Tensor, value: Tensor): void {
  if (!canCast(value.dtype, out.dtype))
    throw new Error(`result type ${scalarTypeName(value.dtype)} can't be cast to the desired output type ${scalarTypeName(out.dtype)}`);
  if (out.view_.shape.join() !== value.view_.shape.join()) {
    const sized = record(fit as never, [value], {
      constants: constantsOf(`fit:${value.ndim}:${out.dtype.name}`, () => ({ rank: value.ndim, dtype: out.dtype })),
      dims: [...value.view_.shape],
      hidden: true,
    })[0];
    out.view_ = sized.view_;
    out.offset = 0;
    replace(out, sized);
    out.version.count++;
    return;
  }
  assign(out, value);
}

/** Makes `self` hold `value` (broadcast and cast): the memory write of every in-place operator. */
export function assign(self: Tensor, value: Tensor): void {
  checkWritable(self);
  if (!canCast(value.dtype, self.dtype))
    throw new Error(`result type ${scalarTypeName(value.dtype)} can't be cast to the desired output type ${scalarTypeName(self.dtype)}`);
  const shape = self.view_.shape;
  const same = value.view_ === self.view_ || sameShape(value.view_.shape, shape);
  if (!same) {
    const common = broadcastShapes(value.view_.shape, shape);
    if (common === null || common.join() !== shape.join()) {
      const text = common === null ? value.view_.shape : common;
      throw new Error(`output with shape [${shape.join(', ')}] doesn't match the broadcast shape [${text.join(', ')}]`);
    }
  }
  let fitted = value;
  const fits = same && value.dtype === self.dtype;
  const own = isWhole(self) && fits && isOwn(self, value);
  if (!own && (isWhole(self) || !fits))
    fitted = record(fit as never, [value], {
      constants: constantsOf(`fit:${shape.length}:${self.dtype.name}`, () => ({ rank: shape.length, dtype: self.dtype })),
      dims: [...shape],
      donors: [self],
      hidden: true,
    })[0];
  // What overwrites a tracked tensor with untracked numbers is still on the tape: the gradient ends there in zeros.
  const cutsOff = modes.grad && self.tape.edge !== null && fitted.tape.edge === null;
  if (isWhole(self) && !cutsOff) replace(self, fitted);
  else {
    const { value: whole } = self.storage;
    // A window of another dtype (real parts of complex memory) counts the memory in its own elements.
    const size = (whole.size * whole.dtype.itemsize) / self.dtype.itemsize;
    const flat = makeView(self.dtype, self.device, [size]);
    const memory = new Tensor(self.storage, flat, 0, self.tape, self.version);
    replace(
      self,
      record(storeWindow as never, [memory, fitted], { dims: [...self.view_.strides, self.offset], donors: [self], hidden: true })[0],
    );
  }
  self.version.count++;
}

/** Whether `self` may hold this very value: the whole result of a call made for this write. Those are hidden; anything visible belongs to a user and is copied. */
const isOwn = (self: Tensor, value: Tensor): boolean =>
  isWhole(value) && value.storage.value.node !== null && value !== self && !value.storage.value.visible;

function replace(self: Tensor, made: Tensor): void {
  hold(self.storage, made.storage.value, engineOf(self.device));
  if (!modes.grad && self.tape.edge !== null && made.tape.edge === null) return;
  if (modes.grad) {
    self.tape.edge = made.tape.edge;
    self.tape.output = made.tape.output;
    self.tape.base = made.tape.base;
  }
}
