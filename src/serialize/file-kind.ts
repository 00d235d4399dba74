/** What a file is that is not of the kind that was asked for, in words for an error. Only its first bytes are looked at. */
import type { ByteSource } from './byte-source.ts';

/** null: nothing that is known, or a file of torch.save. */
export function otherKind(source: ByteSource): string | null {
  if (source.size === 0) return null;
  const head = Buffer.from(source.read(0, Math.min(source.size, 512)));
  const first = head.toString('latin1', 0, 24);
  if (first.startsWith('GGUF')) return 'it is a GGUF file (from_gguf or openGguf reads it)';
  if (first.startsWith('\x89HDF')) return 'it is an HDF5 file (Keras), which is not read here';
  if (first.startsWith('\x93NUMPY')) return 'it is an array of NumPy (.npy), which is not read here';
  if (first.startsWith('\x1f\x8b')) return 'it is compressed by gzip: unpack it first';
  if (first.startsWith('version https://g')) return 'it is a pointer of Git LFS: the file itself was not fetched (git lfs pull)';
  // Eight bytes of length, then JSON.
  if (head.length > 9 && head[8] === 0x7b && head.readUInt32LE(4) === 0 && head.readUInt32LE(0) <= source.size - 8)
    return 'it is a safetensors file (load_file of torch-magpie/safetensors reads it)';
  if (isText(head)) return `it is text that begins with ${JSON.stringify(head.toString('utf8').slice(0, 40))}`;
  return null;
}

/** Letters and line ends only: a pickle of one of the oldest protocols is text too, but no file of torch.save begins with one. */
function isText(head: Buffer): boolean {
  return head.length >= 4 && head.every((byte) => byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);
}
