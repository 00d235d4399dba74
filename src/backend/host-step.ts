/**
 * Running a library function's host implementation on a device whose memory the host can see: operands are gathered into dense arrays where
 * they are not dense already, results are scattered back likewise.
 */
import { arrayOver, type StorageArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import type { HostArray } from '../graph/library.ts';
import type { HostOperand, HostStep } from '../schedule/plan.ts';
import * as dims from '../shape/dim.ts';

interface Located {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
  readonly count: number;
  readonly dense: boolean;
}

function locate(o: HostOperand, symbols: ArrayLike<number>): Located {
  const at = (d: dims.Dim): number => dims.evaluate(d, symbols);
  const shape = o.shape.map(at);
  const strides = o.strides.map(at);
  let step = 1;
  let dense = true;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== step) dense = false;
    step *= shape[i];
  }
  return { dtype: o.dtype, shape, strides, offset: at(o.offset), count: step, dense: dense || step === 0 };
}

/** Copies between a strided window and a dense array; `slots` numbers an element. */
function copyStrided(
  window: StorageArray,
  dense: StorageArray,
  { shape, strides, offset, count }: Located,
  slots: number,
  out: boolean,
): void {
  const from = (out ? dense : window) as unknown as Record<number, unknown>;
  const to = (out ? window : dense) as unknown as Record<number, unknown>;
  const index = new Array<number>(shape.length).fill(0);
  let at = offset;
  for (let i = 0; i < count; i++) {
    for (let s = 0; s < slots; s++) {
      if (out) to[at * slots + s] = from[i * slots + s];
      else to[i * slots + s] = from[at * slots + s];
    }
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= shape[d] * strides[d];
      index[d] = 0;
    }
  }
}

/** A dense array of its own. */
function fresh(l: Located): StorageArray {
  return arrayOver(l.dtype, new ArrayBuffer(l.count * l.dtype.itemsize), 0, l.count);
}

/** Runs the step; `memory` gives the bytes of a program buffer, aligned to its elements. */
export function runHostStep(step: HostStep, symbols: ArrayLike<number>, memory: (buffer: number) => Uint8Array): void {
  const open = (buffer: number, dtype: DType): StorageArray => {
    const bytes = memory(buffer);
    return arrayOver(dtype, bytes.buffer as ArrayBuffer, bytes.byteOffset, Math.floor(bytes.byteLength / dtype.itemsize));
  };
  const slotsOf = (l: Located): number => (l.dtype.is_complex ? 2 : 1);
  const inputs = step.inputs.map((o): HostArray => {
    const l = locate(o, symbols);
    const window = open(o.buffer, o.dtype);
    const slots = slotsOf(l);
    if (l.dense)
      return { dtype: l.dtype, shape: l.shape, data: window.subarray(l.offset * slots, (l.offset + l.count) * slots) as StorageArray };
    const data = fresh(l);
    copyStrided(window, data, l, slots, false);
    return { dtype: l.dtype, shape: l.shape, data };
  });
  const located = step.outputs.map((o) => locate(o, symbols));
  const outputs = located.map((l, i): HostArray => {
    const { buffer, dtype } = step.outputs[i];
    if (buffer < 0 || !l.dense) return { dtype, shape: l.shape, data: fresh(l) };
    const slots = slotsOf(l);
    return { dtype, shape: l.shape, data: open(buffer, dtype).subarray(l.offset * slots, (l.offset + l.count) * slots) as StorageArray };
  });
  step.fn.run(inputs, outputs, step.constants);
  located.forEach((l, i) => {
    const { buffer, dtype } = step.outputs[i];
    if (buffer >= 0 && !l.dense) copyStrided(open(buffer, dtype), outputs[i].data, l, slotsOf(l), true);
  });
}
