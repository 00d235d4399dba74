import { expect, test } from 'vitest';
import { pairsApart } from './rotary-rows.ts';

/** Rows of `rowBytes` bytes that all hold the row's number. */
function matrix(rows: number, rowBytes: number): Uint8Array {
  return Uint8Array.from({ length: rows * rowBytes }, (_, i) => Math.floor(i / rowBytes));
}

test.each([
  [8, 5, 2],
  [16, 3, 1],
  [12, 600_000, 3],
  [8, 1_200_000, 2],
])('%i rows of %i bytes in %i heads are put in order, whatever the pieces', (rows, rowBytes, heads) => {
  const file = matrix(rows, rowBytes);
  let largest = 0;
  const read = (target: Uint8Array, offset: number): void => {
    largest = Math.max(largest, target.byteLength);
    target.set(file.subarray(offset, offset + target.byteLength));
  };
  const half = rows / heads / 2;
  const expected = Array.from({ length: rows }, (_, row) => {
    const [head, within] = [Math.floor(row / (2 * half)), row % (2 * half)];
    return head * 2 * half + (within < half ? 2 * within : 2 * (within - half) + 1);
  });
  for (const piece of [rows * rowBytes, 7, 2 ** 20]) {
    if ((rows * rowBytes) / piece > 1000) continue;
    const out = new Uint8Array(rows * rowBytes);
    for (let at = 0; at < out.length; at += piece) pairsApart(read, { rows, rowBytes, heads })(out.subarray(at, at + piece), at);
    expect(expected.every((from, row) => out[row * rowBytes] === from && out[(row + 1) * rowBytes - 1] === from)).toBe(true);
  }
  // No more than a row, or what the scratch memory holds.
  expect(largest).toBeLessThanOrEqual(Math.max(rowBytes, 2 ** 20));
});
