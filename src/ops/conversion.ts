/** Dtype and device conversion, and the reads that leave the graph. */
import { Function as CustomFunction, type FunctionContext } from '../autograd/function.ts';
import { modes } from '../autograd/modes.ts';
import {
  bfloat16,
  bool,
  complex64,
  complex128,
  type DType,
  DType as DTypeClass,
  float16,
  float32,
  float64,
  int8,
  int16,
  int32,
  int64,
  uint8,
} from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { makeView } from '../shape/view.ts';
import { canonicalDevice, engineOf } from '../tensor/devices.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { leafValue, Tensor, tensorOf } from '../tensor/tensor.ts';
import { cloneOf, contiguousOf, copyInFormat, inFormat } from './shape-base.ts';

const castOperator: Operator<{ dtype: DType }> = {
  name: 'to_copy',
  layout: 'elementwise',
  body: ([x], { constants }) => [x.cast(constants.dtype)],
};

export function castTo(x: Tensor, dtype: DType): Tensor {
  if (dtype === x.dtype) return x;
  return record(castOperator as never, [x], { constants: constantsOf(`to:${dtype.name}`, () => ({ dtype })) })[0];
}

/** A copy on another device; its gradient is copied back. */
export function moveTo(x: Tensor, to: string): Tensor {
  const device = canonicalDevice(to);
  if (device === x.device) return x;
  return x.requires_grad && modes.grad ? (Move.apply(x, device) as Tensor) : copyTo(x, device);
}

class Move extends CustomFunction {
  static override forward(ctx: FunctionContext, x: Tensor, device: string): Tensor {
    ctx['from'] = x.device;
    return copyTo(x, device);
  }
  static override backward(ctx: FunctionContext, gradient: Tensor): readonly (Tensor | null)[] {
    return [moveTo(gradient, ctx['from'] as string), null];
  }
}

function copyTo(x: Tensor, device: string): Tensor {
  const source = contiguousOf(x);
  const from = engineOf(x.device);
  const buffer = from.materialize(source.storage.value);
  const size = source.dtype.itemsize;
  const bytes = from.backend.read(buffer, source.offset * size, source.view_.numel * size);
  const { backend } = engineOf(device);
  const value = leafValue(x.dtype, source.view_.numel, device);
  value.buffer = backend.allocate(bytes.byteLength);
  backend.write(value.buffer, bytes);
  return tensorOf(value, makeView(x.dtype, device, source.view_.shape));
}

export interface ToOptions {
  readonly dtype?: DType | null;
  readonly device?: string | null;
  readonly copy?: boolean;
  readonly non_blocking?: boolean;
  readonly memory_format?: string | null;
}

/** `x.to(dtype)`, `x.to(device)`, `x.to(device, dtype)`, `x.to(other)`, `x.to({ device, dtype })`; then `non_blocking` and `copy`. */
export function toTensor(x: Tensor, ...args: readonly (DType | string | Tensor | ToOptions | boolean | null | undefined)[]): Tensor {
  let dtype: DType | null = null;
  let device: string | null = null;
  let format: string | null = null;
  let copy = false;
  let flags = 0;
  for (const a of args) {
    if (a instanceof DTypeClass) dtype = a;
    else if (typeof a === 'string') device = a;
    else if (typeof a === 'boolean') copy = flags++ === 1 ? a : copy;
    else if (a instanceof Tensor) {
      dtype = a.dtype;
      device = a.device;
    } else if (typeof a === 'object' && a !== null) {
      dtype = a.dtype ?? dtype;
      device = a.device ?? device;
      copy = a.copy ?? copy;
      format = a.memory_format ?? format;
    }
  }
  const moved = moveTo(x, device ?? x.device);
  const out = castTo(moved, dtype ?? x.dtype);
  if (format !== null && format !== 'preserve_format') return copy && out === x ? copyInFormat(out, format) : inFormat(out, format);
  return copy && out === x ? cloneOf(x) : out;
}

export const dtypeMethods = {
  float: float32,
  double: float64,
  half: float16,
  bfloat16,
  long: int64,
  int: int32,
  short: int16,
  char: int8,
  byte: uint8,
  bool,
  cfloat: complex64,
  cdouble: complex128,
} as const;
