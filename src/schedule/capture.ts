/**
 * Capture: a list of pending nodes as a key and numbers, so that the same step is found again without looking at any of its parts.
 */
import type { Node, Value } from '../graph/node.ts';
import type { Followed } from './follow.ts';
import type { NumberLayout } from './symbols.ts';

export interface Captured {
  readonly nodes: readonly Node[];
  /** Structure: patterns, connections, what is asked for, what may be overwritten. This and `numbers` are good until the next capture. */
  readonly key: Int32Array;
  readonly hash: number;
  readonly numbers: Int32Array;
  /** Values read from memory, in order of first use. */
  readonly externals: readonly Value[];
  /** Values to be stored, in order. */
  readonly outputs: readonly Value[];
  /** For each output the slot of the external whose memory it may take over, or -1. */
  readonly donors: readonly number[];
  readonly scalars: readonly (number | bigint)[];
  /** For each single call (`graph/sequence.ts`) the slot of its first number among `scalars`. */
  readonly firstScalar: readonly number[];
  /** Of calls that came as they had come before: how that went (`follow.ts`). */
  readonly followed: Followed | null;
}

let keyScratch = new Int32Array(4096);
let numberScratch = new Int32Array(16384);

/** Room for the key and the numbers of these nodes: then nothing has to be asked while they are written. */
function reserve(nodes: readonly Node[]): void {
  let key = 0;
  let numbers = 0;
  for (let i = 0; i < nodes.length; i++) {
    const { signature, srcs, outs } = nodes[i];
    const inputs = srcs === null ? 0 : srcs.length;
    key += 2 + inputs + outs.length + (signature.sequence?.calls.length ?? 0);
    numbers += inputs + signature.numbers.length;
  }
  if (key > keyScratch.length) keyScratch = new Int32Array(2 * key);
  if (numbers > numberScratch.length) numberScratch = new Int32Array(2 * numbers);
}

/** `wanted`: which values must be in memory afterwards. `donatable`: whether the memory of a value may be taken over. */
export function capture(nodes: readonly Node[], wanted: (v: Value) => boolean, donatable: (v: Value) => boolean): Captured {
  reserve(nodes);
  const key = keyScratch;
  const allNumbers = numberScratch;
  let keyLength = 0;
  let numberLength = 0;
  const externals: Value[] = [];
  const outputs: Value[] = [];
  const donors: number[] = [];
  const scalars: (number | bigint)[] = [];
  const scalarsAt = new Map<readonly (number | bigint)[], number>();
  const firstScalar: number[] = [];
  /** Notes where a call's numbers stand among all. A gradient has the very numbers of its forward call: they are one. */
  const placeScalars = (params: readonly (number | bigint)[]): void => {
    let first = scalarsAt.get(params);
    if (first === undefined) {
      first = scalars.length;
      scalarsAt.set(params, first);
      for (const p of params) scalars.push(p);
    }
    firstScalar.push(first);
    key[keyLength++] = first;
  };
  let produced = 0;
  /** For each slot whether its memory is taken over. */
  const taken: boolean[] = [];
  try {
    for (let at = 0; at < nodes.length; at++) {
      const node = nodes[at];
      const { signature, srcs, offsets, outs } = node;
      key[keyLength++] = signature.pattern;
      if (srcs === null) throw new Error(`internal: ${signature.operator.name} was captured after its sources were released`);
      for (let i = 0; i < srcs.length; i++) {
        const src = srcs[i];
        if (src.mark === 0) {
          externals.push(src);
          taken.push(false);
          src.mark = -externals.length;
        }
        key[keyLength++] = src.mark;
      }
      const { numbers, sequence } = signature;
      if (sequence === null) {
        for (let i = 0; i < srcs.length; i++) allNumbers[numberLength++] = offsets[i];
        for (let i = 0; i < numbers.length; i++) allNumbers[numberLength++] = numbers[i];
        if (node.params.length > 0) placeScalars(node.params);
        else firstScalar.push(0);
      } else {
        allNumbers.set(numbers, numberLength);
        const { calls, offsetsAt } = sequence;
        for (let i = 0; i < srcs.length; i++) if (offsets[i] !== 0) allNumbers[numberLength + offsetsAt[i]] = offsets[i];
        numberLength += numbers.length;
        for (let i = 0; i < calls.length; i++) {
          const { params } = calls[i];
          if (params < 0) firstScalar.push(0);
          else placeScalars(node.paramLists![params]);
        }
      }
      for (let i = 0; i < outs.length; i++) {
        const out = outs[i];
        out.mark = ++produced;
        const asked = wanted(out);
        let donor = 0;
        if (asked) {
          const from = donorOf(out, wanted);
          if (from !== null && taken[-from.mark - 1] !== true && donatable(from)) {
            donor = -from.mark;
            taken[donor - 1] = true;
          }
          outputs.push(out);
          donors.push(donor - 1);
        }
        key[keyLength++] = asked ? 1 + donor : 0;
      }
    }
  } finally {
    for (const v of externals) v.mark = 0;
    for (let at = 0; at < nodes.length; at++) for (const v of nodes[at].outs) v.mark = 0;
  }
  let hash = 17;
  for (let i = 0; i < keyLength; i++) hash = (Math.imul(hash, 31) + key[i]) | 0;
  return {
    nodes,
    key: key.subarray(0, keyLength),
    hash,
    numbers: allNumbers.subarray(0, numberLength),
    externals,
    outputs,
    donors,
    scalars,
    firstScalar,
    followed: null,
  };
}

/** The external whose memory a result may take over: what it replaces, also by way of results in between that are never stored. */
export function donorOf(out: Value, wanted: (v: Value) => boolean): Value | null {
  const replaced = (v: Value): Value | null => v.node!.donors?.[v.index] ?? null;
  let from = replaced(out);
  while (from !== null && from.mark > 0 && !wanted(from)) from = replaced(from);
  return from !== null && from.mark < 0 && from.dtype === out.dtype && from.size === out.size ? from : null;
}

/** What each number of `captured.numbers` is, in the same order. */
export function numberLayout(nodes: readonly Node[]): NumberLayout[] {
  const out: NumberLayout[] = [];
  const free: NumberLayout = { kind: 'free', sizes: 0, strides: 0, rank: 0 };
  for (const { signature } of nodes) {
    for (let i = 0; i < signature.inputs.length; i++) out.push(free);
    const view = (rank: number): void => {
      const at = out.length;
      for (const kind of ['size', 'stride'] as const)
        for (let k = 0; k < rank; k++) out.push({ kind, sizes: at, strides: at + rank, rank });
    };
    for (const v of signature.inputs) view(v.ndim);
    for (let i = 0; i < signature.dims.length; i++) out.push(free);
    for (const v of signature.outs) view(v.ndim);
  }
  return out;
}
