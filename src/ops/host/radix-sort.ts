/**
 * Stable sorting of a row's positions: elements become unsigned keys whose order is PyTorch's (NaN last, -0 equal to 0), and the keys are sorted by
 * digits, lowest first. Digits that all elements share are skipped, so small integers cost one pass. Short rows are sorted by insertion.
 * Descending order complements the keys: equal elements keep their order, as in PyTorch's stable descending sort.
 */
import type { Row } from './rows.ts';

const shortRow = 32;

/** Keys of 32 bits each; `high` only for 64-bit elements. */
interface Keys {
  readonly low: Uint32Array;
  readonly high: Uint32Array | null;
}

function keysOf(row: Row, descending: boolean): Keys {
  const n = row.length;
  const flip = descending ? 0xffffffff : 0;
  if (row instanceof Float32Array) {
    const low = new Uint32Array(n);
    const bits = new Uint32Array(row.buffer, row.byteOffset, n);
    for (let i = 0; i < n; i++) {
      const v = row[i];
      const b = bits[i];
      const key = v === 0 ? 0x80000000 : v !== v ? 0xffffffff : b & 0x80000000 ? ~b : b | 0x80000000;
      low[i] = key ^ flip;
    }
    return { low, high: null };
  }
  if (row instanceof Int32Array) {
    const low = new Uint32Array(n);
    for (let i = 0; i < n; i++) low[i] = row[i] ^ 0x80000000 ^ flip;
    return { low, high: null };
  }
  const low = new Uint32Array(n);
  const high = new Uint32Array(n);
  const bits = new Uint32Array(row.buffer, row.byteOffset, 2 * n);
  if (row instanceof Float64Array) {
    for (let i = 0; i < n; i++) {
      const v = row[i];
      let [l, h] = [bits[2 * i], bits[2 * i + 1]];
      if (v === 0) [l, h] = [0, 0x80000000];
      else if (v !== v) [l, h] = [0xffffffff, 0xffffffff];
      else if (h & 0x80000000) [l, h] = [~l, ~h];
      else h |= 0x80000000;
      low[i] = l ^ flip;
      high[i] = h ^ flip;
    }
  } else {
    for (let i = 0; i < n; i++) {
      low[i] = bits[2 * i] ^ flip;
      high[i] = bits[2 * i + 1] ^ 0x80000000 ^ flip;
    }
  }
  return { low, high };
}

/** Fills `positions` with the row's positions in sorted order. */
export function sortPositions(row: Row, positions: Int32Array, descending: boolean): void {
  const n = row.length;
  for (let i = 0; i < n; i++) positions[i] = i;
  if (n < 2) return;
  const { low, high } = keysOf(row, descending);
  if (n <= shortRow) insertion(low, high, positions);
  else digits(low, high, positions);
}

function insertion(low: Uint32Array, high: Uint32Array | null, positions: Int32Array): void {
  for (let i = 1; i < positions.length; i++) {
    const p = positions[i];
    let j = i - 1;
    for (; j >= 0; j--) {
      const q = positions[j];
      const after = high === null || high[q] === high[p] ? low[q] > low[p] : high[q] > high[p];
      if (!after) break;
      positions[j + 1] = q;
    }
    positions[j + 1] = p;
  }
}

/** One counting pass a digit; keys move along with their positions. */
function digits(low: Uint32Array, high: Uint32Array | null, positions: Int32Array): void {
  const n = positions.length;
  const bits = n < 4096 ? 8 : 11;
  const mask = (1 << bits) - 1;
  const counts = new Int32Array(1 << bits);
  let from: Items = { low, high, positions };
  let to: Items = { low: new Uint32Array(n), high: high && new Uint32Array(n), positions: new Int32Array(n) };
  for (const half of high === null ? (['low'] as const) : (['low', 'high'] as const))
    for (let shift = 0; shift < 32; shift += bits) {
      const keys = from[half]!;
      counts.fill(0);
      for (let i = 0; i < n; i++) counts[(keys[i] >>> shift) & mask]++;
      if (counts[(keys[0] >>> shift) & mask] === n) continue;
      let sum = 0;
      for (let d = 0; d <= mask; d++) {
        const c = counts[d];
        counts[d] = sum;
        sum += c;
      }
      move(from, to, keys, shift, mask, counts);
      [from, to] = [to, from];
    }
  if (from.positions !== positions) positions.set(from.positions);
}

interface Items {
  readonly low: Uint32Array;
  readonly high: Uint32Array | null;
  readonly positions: Int32Array;
}
/** Everything to the places that the counts give. */
function move(from: Items, to: Items, keys: Uint32Array, shift: number, mask: number, counts: Int32Array): void {
  const n = keys.length;
  const [fromLow, toLow, fromPositions, toPositions] = [from.low, to.low, from.positions, to.positions];
  const [fromHigh, toHigh] = [from.high, to.high];
  if (fromHigh === null || toHigh === null)
    for (let i = 0; i < n; i++) {
      const k = fromLow[i];
      const at = counts[(k >>> shift) & mask]++;
      toLow[at] = k;
      toPositions[at] = fromPositions[i];
    }
  else
    for (let i = 0; i < n; i++) {
      const at = counts[(keys[i] >>> shift) & mask]++;
      toLow[at] = fromLow[i];
      toHigh[at] = fromHigh[i];
      toPositions[at] = fromPositions[i];
    }
}
