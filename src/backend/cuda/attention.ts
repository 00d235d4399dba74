/**
 * Attention without scores in memory: how a call becomes words and a launch. Two kernels: one for a few queries (`attention-few.ts`, decoding), where
 * reading the keys is all there is to it, and one on tensor cores for many (`attention-tiles.ts`).
 *
 * What changes from step to step while decoding (the number of keys) is in the words alone: the grid and the kernel stay, and so does a recorded
 * graph. Operands may lie anywhere; rows that are not aligned to 16 bytes are read element by element.
 */
import type { HostOperand, HostStep } from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import { fewKeysAtOnce, fewName, fewShared, fewSource, fewThreads, mostFewRows } from './attention-few.ts';
import { tilesName, tilesOf, tilesShared, tilesSource } from './attention-tiles.ts';
import type { LibraryBlock } from './library-kernels.ts';

/** Words before the counters that blocks of one head use to find out which of them is the last. */
export const counterWord = 32;
const mostCounters = 4096;

export interface AttentionKind {
  readonly type: 'float32' | 'bfloat16' | 'float16';
  readonly mask: 'none' | 'bool' | 'float32' | 'bfloat16' | 'float16';
  readonly causal: boolean;
  /** Head size, and whether rows can be read 16 bytes at a time. */
  readonly width: number;
  readonly aligned: boolean;
}

export function attentionWords({ inputs: [q] }: HostStep): number {
  const [batch, heads] = q.shape;
  const counters = dims.isNumber(batch) && dims.isNumber(heads) ? batch * heads : 0;
  return counterWord + (counters <= mostCounters ? counters : 0);
}

const floatBits = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0];

export function planAttention(step: HostStep, symbols: ArrayLike<number>, multiprocessors: number): LibraryBlock {
  const at = (d: dims.Dim): number => dims.evaluate(d, symbols);
  const { causal, scale } = step.constants as { readonly causal: boolean; readonly scale: number };
  const [q, k, v, mask] = step.inputs;
  const [out] = step.outputs;
  const [batch, heads, rows, width] = q.shape.map(at);
  const keys = at(k.shape[2]);
  const groups = heads / at(k.shape[1]);
  const strides = (o: HostOperand): number[] => o.strides.map(at);
  const [sq, sk, sv, so] = [q, k, v, out].map(strides);
  const sm = mask === undefined ? [0, 0, 0, 0] : strides(mask);
  const vector = 16 / q.dtype.itemsize;
  const aligned = [q, k, v].every((o) => {
    const s = strides(o);
    return s[3] === 1 && [s[0], s[1], s[2], at(o.offset)].every((x) => x % vector === 0);
  });
  const kind: AttentionKind = {
    type: q.dtype.name as AttentionKind['type'],
    mask: mask === undefined ? 'none' : (mask.dtype.name as AttentionKind['mask']),
    causal,
    width,
    aligned,
  };
  const few = rows <= mostFewRows;
  // Blocks that share the keys of a head: as many as the card has room for, whatever the number of keys is at the moment.
  const pairs = batch * heads;
  const counted = pairs <= mostCounters && attentionWords(step) > counterWord;
  const splits = few && counted ? Math.max(1, Math.min(64, Math.floor((2 * multiprocessors) / pairs))) : 1;
  const chunk = Math.max(fewKeysAtOnce, Math.ceil(keys / splits / 64) * 64);
  // prettier-ignore
  const words = [
    0,
    0,
    0,
    0,
    0,
    heads,
    groups,
    rows,
    keys,
    ...sq.slice(0, 3),
    ...sk.slice(0, 3),
    ...sv.slice(0, 3),
    ...sm,
    ...so.slice(0, 3),
    floatBits(scale),
    chunk,
    batch,
    sq[3],
    sk[3],
    sv[3],
    so[3],
  ];
  const addresses = [q, k, v, mask, out].flatMap((o, word) =>
    o === undefined || o.buffer < 0 ? [] : [{ word, buffer: o.buffer, offset: at(o.offset) * o.dtype.itemsize }],
  );
  const common = { words, addresses, workspaceBytes: 0 };
  if (batch === 0 || heads === 0 || rows === 0) return { ...common, ...nothing };
  if (few) {
    const room = ([1, 2, 4, 8, 16] as const).find((r) => r >= rows)!;
    return {
      ...common,
      name: fewName(kind, room),
      source: () => fewSource(kind, room),
      grid: [splits, heads, batch],
      threads: fewThreads,
      sharedBytes: fewShared(kind, room),
      scratchBytes: splits === 1 ? 0 : pairs * splits * room * (width + 2) * 4,
    };
  }
  const tiles = tilesOf(kind);
  return {
    ...common,
    name: tilesName(kind),
    source: () => tilesSource(kind),
    grid: [Math.ceil(rows / tiles.rows), heads, batch],
    threads: tiles.warps * 32,
    sharedBytes: tilesShared(kind),
    scratchBytes: 0,
  };
}

const nothing = { name: '', source: () => '', grid: [0, 0, 0], threads: 0, sharedBytes: 0, scratchBytes: 0 } as const;
