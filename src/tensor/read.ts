/** Reading: tensors back to JavaScript. Blocking forms where the device can block, `_async` twins everywhere. */
import { type Complex, convertArray, decode, type StorageArray, viewArray } from '../dtype/codec.ts';
import { extentOf, numelOf } from '../shape/view.ts';
import { engineOf } from './devices.ts';
import { formatTensor } from './format.ts';
import type { Tensor } from './tensor.ts';

export type Element = number | bigint | boolean | Complex;
export type Nested = Element | Nested[];

/** A device that cannot block throws PyTorch-free but clear text that names the other form. */
function blocking(t: Tensor, what: string): void {
  if (!engineOf(t.device).backend.limits.canBlock)
    throw new Error(`${what}() waits for the device, and ${t.device} cannot be waited for here: use await ${what}_async()`);
}

/** The memory that the view touches, as an array of its dtype; element 0 is the lowest address touched. */
function window(t: Tensor): { first: number; count: number } {
  const { shape, strides } = t.view_;
  let low = t.offset;
  shape.forEach((d, i) => {
    if (strides[i] < 0) low += (d - 1) * strides[i];
  });
  const positive = strides.map(Math.abs);
  return { first: low, count: extentOf(shape, positive) };
}

export function readWindow(t: Tensor): { array: StorageArray; base: number } {
  const { first, count } = window(t);
  const engine = engineOf(t.device);
  if (count === 0) return { array: viewArray(t.dtype, new Uint8Array(0)), base: 0 };
  const buffer = engine.materialize(t.storage.value);
  const size = t.dtype.itemsize;
  return { array: viewArray(t.dtype, engine.backend.read(buffer, first * size, count * size)), base: t.offset - first };
}
async function readWindowAsync(t: Tensor): Promise<{ array: StorageArray; base: number }> {
  const { first, count } = window(t);
  const engine = engineOf(t.device);
  if (count === 0) return { array: viewArray(t.dtype, new Uint8Array(0)), base: 0 };
  const buffer = engine.materialize(t.storage.value);
  const size = t.dtype.itemsize;
  return { array: viewArray(t.dtype, await engine.backend.readAsync(buffer, first * size, count * size)), base: t.offset - first };
}

/** int64 comes out as a number while it is safe. */
const friendly = (x: Element): Element =>
  typeof x === 'bigint' && x >= BigInt(Number.MIN_SAFE_INTEGER) && x <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(x) : x;

function nest(t: Tensor, array: StorageArray, base: number): Nested {
  const { shape, strides, dtype } = t.view_;
  const build = (depth: number, at: number): Nested => {
    if (depth === shape.length) return friendly(decode(dtype, array, at));
    const out: Nested[] = new Array(shape[depth]);
    for (let i = 0; i < shape[depth]; i++) out[i] = build(depth + 1, at + i * strides[depth]);
    return out;
  };
  return build(0, base);
}

function scalarOf(t: Tensor, array: StorageArray, base: number): Element {
  return friendly(decode(t.dtype, array, base));
}
function checkOne(t: Tensor): void {
  if (t.view_.numel !== 1) throw new Error(`a Tensor with ${t.view_.numel} elements cannot be converted to Scalar`);
}

export function item(t: Tensor): number | bigint | boolean {
  checkOne(t);
  blocking(t, 'item');
  const { array, base } = readWindow(t);
  return scalarOf(t, array, base) as number;
}
export async function itemAsync(t: Tensor): Promise<number | bigint | boolean> {
  checkOne(t);
  const { array, base } = await readWindowAsync(t);
  return scalarOf(t, array, base) as number;
}
export function tolist(t: Tensor): Nested {
  blocking(t, 'tolist');
  const { array, base } = readWindow(t);
  return nest(t, array, base);
}
export async function tolistAsync(t: Tensor): Promise<Nested> {
  const { array, base } = await readWindowAsync(t);
  return nest(t, array, base);
}

function dense(t: Tensor, array: StorageArray, base: number): StorageArray {
  const { shape, strides, contiguous, numel, dtype } = t.view_;
  const slots = dtype.is_complex ? 2 : 1;
  if (contiguous) return array.subarray(base * slots, (base + numel) * slots) as StorageArray;
  const out = convertArray(dtype, array.subarray(0, 0) as StorageArray, dtype);
  const Type = out.constructor as new (n: number) => StorageArray;
  const made = new Type(numel * slots);
  const index = new Array<number>(shape.length).fill(0);
  let at = base;
  for (let i = 0; i < numelOf(shape); i++) {
    for (let s = 0; s < slots; s++) (made as { [k: number]: unknown })[i * slots + s] = array[at * slots + s];
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= shape[d] * strides[d];
      index[d] = 0;
    }
  }
  return made;
}

/** A copy of the elements, row-major, as the typed array of the dtype (bfloat16, float16 and fp8 as their bits). */
export function toTypedArray(t: Tensor): StorageArray {
  blocking(t, 'numpy');
  if (t.requires_grad) throw new Error("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.");
  const { array, base } = readWindow(t);
  return dense(t, array, base);
}
export async function toTypedArrayAsync(t: Tensor): Promise<StorageArray> {
  const { array, base } = await readWindowAsync(t);
  return dense(t, array, base);
}

/** The text that PyTorch prints. */
export function describe(t: Tensor): string {
  const { array, base } = readWindow(t);
  const { shape, strides } = t.view_;
  const data = (flat: number): Element => {
    let at = base;
    let rest = flat;
    for (let d = shape.length - 1; d >= 0; d--) {
      at += (rest % shape[d]) * strides[d];
      rest = Math.floor(rest / shape[d]);
    }
    return decode(t.dtype, array, at);
  };
  const gradFn = t.grad_fn?.name;
  return formatTensor({
    shape: [...shape],
    dtype: t.dtype,
    data,
    requiresGrad: t.requires_grad,
    device: t.device,
    ...(gradFn !== undefined && { gradFn }),
  });
}
