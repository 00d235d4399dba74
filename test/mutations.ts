/**
 * Files that somebody broke: seeded mutations of bytes, for readers that must not be hurt by any.
 *
 * A mutation is one to four of: a bit flipped, bytes overwritten by a number that is likely to hurt (zero, all ones, powers of two, the file's size), a run
 * cut out, doubled or filled, the end cut off or something added. Most of them fall on the first bytes, where headers are.
 */

/** Marsaglia's xorshift: the same numbers for the same seed. */
export function seeded(seed: number): (below: number) => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const numbers = [
  0n,
  1n,
  2n,
  255n,
  2n ** 15n,
  2n ** 16n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

/** Another file of almost these bytes. `head` is how long its header is. */
export function mutated(bytes: Uint8Array, head: number, random: (below: number) => number): Uint8Array {
  let out: Uint8Array = Uint8Array.from(bytes);
  for (let left = 1 + random(4); left > 0; left--) out = mutateOnce(out, head, random);
  return out;
}

function mutateOnce(bytes: Uint8Array, head: number, random: (below: number) => number): Uint8Array {
  const size = bytes.byteLength;
  if (size === 0) return Uint8Array.of(random(256));
  const at = random(random(8) === 0 ? size : Math.min(size, head));
  const length = Math.min(size - at, 1 + random(random(4) === 0 ? 64 : 8));
  const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts));
  switch (random(8)) {
    case 0:
      bytes[at] ^= 1 << random(8);
      return bytes;
    case 1:
      bytes[at] = random(256);
      return bytes;
    case 2: {
      const width = [1, 2, 4, 8][random(4)];
      const value = random(4) === 0 ? BigInt(size + random(3) - 1) : numbers[random(numbers.length)];
      // Fields of headers are mostly where a multiple of four is.
      const place = random(2) === 0 ? at : at & ~3;
      for (let i = 0; i < width && place + i < size; i++) bytes[place + i] = Number((value >> BigInt(8 * i)) & 255n);
      return bytes;
    }
    case 3:
      return join(bytes.subarray(0, at), bytes.subarray(at + length));
    case 4:
      return join(bytes.subarray(0, at + length), bytes.subarray(at));
    case 5:
      bytes.fill(random(2) * 255, at, at + length);
      return bytes;
    case 6:
      return bytes.slice(0, random(4) === 0 ? at : size - Math.min(size, length));
    default:
      return join(bytes, new Uint8Array(length).fill(random(256)));
  }
}

export interface FuzzCounts {
  readonly read: number;
  readonly refused: number;
}

/**
 * Each mutated file is read, or refused with the reader's own error, which has the file's name; whatever else is thrown ends the run with the number of
 * the mutation, which the seed gives again. `reader` is called with the bytes and that name.
 */
export function fuzz(
  files: readonly { readonly bytes: Uint8Array; readonly head: number }[],
  { count, seed, error: ErrorClass }: { readonly count: number; readonly seed: number; readonly error: new (...args: never[]) => Error },
  reader: (bytes: Uint8Array, file: string) => void,
): FuzzCounts {
  const random = seeded(seed);
  const counts = { read: 0, refused: 0 };
  for (let i = 0; i < count; i++) {
    const { bytes, head } = files[i % files.length];
    const broken = mutated(bytes, head, random);
    try {
      reader(broken, 'broken file');
      counts.read++;
    } catch (error) {
      if (!(error instanceof ErrorClass) || !error.message.includes('broken file'))
        throw new Error(`mutation ${i} of seed ${seed}`, { cause: error });
      counts.refused++;
    }
  }
  return counts;
}
