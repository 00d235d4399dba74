/** Mutated GGUF files, of both versions and with tensors of several types, through the reader. */
import { ggmlTypes } from '../src/quant/ggml-types.ts';
import { parseGguf } from '../src/serialize/gguf/format.ts';
import { GgufError, readGguf, serializeGguf } from '../src/serialize/gguf/index.ts';
import type { ByteSource } from '../src/serialize/safetensors-format.ts';
import { type FuzzCounts, fuzz } from './mutations.ts';

/** A source that is asked for nothing that it does not have. */
const strict = (bytes: Uint8Array): ByteSource => ({
  size: bytes.byteLength,
  read: (offset, length) => {
    if (offset < 0 || length < 0 || offset + length > bytes.byteLength)
      throw new Error(`asked for ${length} bytes from ${offset} of ${bytes.byteLength}`);
    return bytes.slice(offset, offset + length);
  },
});

export function fuzzGguf(count: number, seed: number): FuzzCounts {
  const metadata = {
    ...{ 'general.architecture': 'test', 'general.alignment': 32, text: 'Ünïcödé', number: 0.5, large: 2n ** 63n },
    ...{
      'tokenizer.ggml.tokens': ['<unk>', '', 'ab'],
      'tokenizer.ggml.scores': [0, -1, -2],
      flags: [true, false],
      nested: [[1, 2], ['x'], [[0.5]]],
    },
  };
  const tensors = (['F32', 'F16', 'Q4_0', 'Q8_0', 'Q4_K', 'Q6_K'] as const).map((type) => {
    const { blockSize, blockBytes } = ggmlTypes[type];
    return { name: `blk.0.${type}`, type, shape: [3, 2 * blockSize], data: new Uint8Array(6 * blockBytes).fill(0x5a) };
  });
  const files = ([2, 3] as const).map((version) => {
    const bytes = serializeGguf({ metadata, tensors, version });
    return { bytes, head: readGguf(bytes).dataStart };
  });
  return fuzz(files, { count, seed, error: GgufError }, (bytes, file) => {
    parseGguf(strict(bytes), file);
    const gguf = readGguf(bytes, file);
    for (const { name, bytes: expected } of gguf.tensors.values()) {
      const { byteLength } = gguf.read(name);
      if (byteLength !== expected) throw new Error(`${name} has ${byteLength} bytes, not ${expected}`);
    }
  });
}
