/**
 * Rows of query and key projections in the order of transformers, from files that have them in llama.cpp's: there a head's pairs are rows (2 i, 2 i + 1),
 * here (i, i + half). They are put in order while they are read, piece by piece, so that a matrix is not in memory twice.
 */
export type ReadInto = (target: Uint8Array, offset: number) => void;

const scratchBytes = 1 << 20;
let scratch: Uint8Array | null = null;

/** Reads a matrix of so many rows in the other order; `rows` is a multiple of twice the heads. */
export function pairsApart(read: ReadInto, { rows, rowBytes, heads }: { rows: number; rowBytes: number; heads: number }): ReadInto {
  const half = rows / heads / 2;
  /** Where in the file a row is, and how many more of this half of a head follow it. */
  const placeOf = (row: number): [from: number, left: number] => {
    const head = Math.floor(row / (2 * half));
    const within = row % (2 * half);
    const second = within >= half ? 1 : 0;
    return [head * 2 * half + 2 * (within - second * half) + second, half - (within - second * half)];
  };
  // Every second row of what is read is used.
  const most = Math.floor(scratchBytes / (2 * rowBytes));
  return (target, offset) => {
    scratch ??= new Uint8Array(scratchBytes);
    for (let done = 0; done < target.byteLength; ) {
      const row = Math.floor((offset + done) / rowBytes);
      const column = (offset + done) % rowBytes;
      const [from, left] = placeOf(row);
      const whole = column === 0 ? Math.min(Math.floor((target.byteLength - done) / rowBytes), left, most) : 0;
      if (whole < 1) {
        const part = target.subarray(done, Math.min(target.byteLength, done + rowBytes - column));
        read(part, from * rowBytes + column);
        done += part.byteLength;
        continue;
      }
      const source = scratch.subarray(0, (2 * whole - 1) * rowBytes);
      read(source, from * rowBytes);
      for (let i = 0; i < whole; i++) target.set(source.subarray(2 * i * rowBytes, (2 * i + 1) * rowBytes), done + i * rowBytes);
      done += whole * rowBytes;
    }
  };
}
