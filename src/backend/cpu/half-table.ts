/** All half-precision numbers as float32 in native memory, for kernels that look scales up (`x64/matmul-ggml-decode.ts`). Made at first use, 256 KiB, kept. */
import { decodeFloat16 } from '../../dtype/codec.ts';
import { nativeHeap } from './memory.ts';

let address = 0;

export function halfTable(): number {
  if (address === 0) {
    const heap = nativeHeap();
    const block = heap.alloc(65536 * 4);
    const bytes = heap.bytesAt(block.address, 65536 * 4);
    new Float32Array(bytes.buffer, bytes.byteOffset, 65536).forEach((_, bits, all) => {
      all[bits] = decodeFloat16(bits);
    });
    address = block.address;
  }
  return address;
}
