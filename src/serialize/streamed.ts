/**
 * A tensor that is filled piece by piece from a file: its memory is never there twice, as it would be with its bytes in an array first.
 */
import type { DType } from '../dtype/dtype.ts';
import { deviceOf } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { makeView, numelOf } from '../shape/view.ts';
import { engineOf } from '../tensor/devices.ts';
import { leafValue, tensorOf } from '../tensor/tensor.ts';

/** A multiple of every block's bytes when it is decoded, and of every number's. */
const pieceBytes = 2 ** 20;
let piece: Uint8Array | null = null;

/** `readInto` fills an array with the bytes from an offset within the tensor on. Offsets are multiples of `pieceBytes`. */
export function streamedTensor(
  shape: readonly number[],
  dtype: DType,
  device: string,
  readInto: (target: Uint8Array, offset: number) => void,
): Tensor {
  const on = deviceOf(device);
  const { backend } = engineOf(on);
  const bytes = numelOf(shape) * dtype.itemsize;
  const buffer = backend.allocate(bytes);
  piece ??= new Uint8Array(pieceBytes);
  try {
    for (let at = 0; at < bytes; at += pieceBytes) {
      const part = piece.subarray(0, Math.min(pieceBytes, bytes - at));
      readInto(part, at);
      backend.write(buffer, part, at);
    }
  } catch (error) {
    backend.free(buffer);
    throw error;
  }
  const value = leafValue(dtype, numelOf(shape), on);
  value.buffer = buffer;
  return tensorOf(value, makeView(dtype, on, shape)) as Tensor;
}
