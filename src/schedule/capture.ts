/**
 * Capture: a list of pending nodes as a key and numbers, so that the same step is found again without looking at any of its parts.
 */
import type { Node, Value } from '../graph/node.ts';
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
  /** For each node the slot of its first number among `scalars`. */
  readonly firstScalar: readonly number[];
}

let keyScratch = new Int32Array(4096);
let numberScratch = new Int32Array(16384);
let keyLength = 0;
let numberLength = 0;

function pushKey(x: number): void {
  if (keyLength === keyScratch.length) {
    const grown = new Int32Array(keyScratch.length * 2);
    grown.set(keyScratch);
    keyScratch = grown;
  }
  keyScratch[keyLength++] = x;
}
function pushNumber(x: number): void {
  if (numberLength === numberScratch.length) {
    const grown = new Int32Array(numberScratch.length * 2);
    grown.set(numberScratch);
    numberScratch = grown;
  }
  numberScratch[numberLength++] = x;
}

/** `wanted`: which values must be in memory afterwards. `donatable`: whether the memory of a value may be taken over. */
export function capture(nodes: readonly Node[], wanted: (v: Value) => boolean, donatable: (v: Value) => boolean): Captured {
  keyLength = 0;
  numberLength = 0;
  const externals: Value[] = [];
  const outputs: Value[] = [];
  const donors: number[] = [];
  const scalars: (number | bigint)[] = [];
  const scalarsAt = new Map<readonly (number | bigint)[], number>();
  const firstScalar: number[] = [];
  const marked: Value[] = [];
  const mark = (v: Value, position: number): void => {
    v.mark = position;
    marked.push(v);
  };
  let produced = 0;
  const taken = new Set<Value>();
  try {
    for (const node of nodes) {
      const { signature, srcs, offsets } = node;
      pushKey(signature.pattern);
      if (srcs === null) throw new Error(`internal: ${signature.operator.name} was captured after its sources were released`);
      for (let i = 0; i < srcs.length; i++) {
        const src = srcs[i];
        if (src.mark === 0) {
          externals.push(src);
          mark(src, -externals.length);
        }
        pushKey(src.mark);
        pushNumber(offsets[i]);
      }
      const numbers = signature.numbers;
      for (let i = 0; i < numbers.length; i++) pushNumber(numbers[i]);
      if (node.params.length > 0) {
        // A gradient has the very numbers of its forward call: they are one.
        let at = scalarsAt.get(node.params);
        if (at === undefined) {
          at = scalars.length;
          scalarsAt.set(node.params, at);
          for (const p of node.params) scalars.push(p);
        }
        firstScalar.push(at);
        pushKey(at);
      } else firstScalar.push(0);
      for (let i = 0; i < node.outs.length; i++) {
        const out = node.outs[i];
        mark(out, ++produced);
        const asked = wanted(out);
        let donor = 0;
        if (asked) {
          const from = donorOf(out, wanted);
          if (from !== null && !taken.has(from) && donatable(from)) {
            taken.add(from);
            donor = -from.mark;
          }
          outputs.push(out);
          donors.push(donor - 1);
        }
        pushKey(asked ? 1 + donor : 0);
      }
    }
  } finally {
    for (const v of marked) v.mark = 0;
  }
  let hash = 17;
  for (let i = 0; i < keyLength; i++) hash = (Math.imul(hash, 31) + keyScratch[i]) | 0;
  return {
    nodes,
    key: keyScratch.subarray(0, keyLength),
    hash,
    numbers: numberScratch.subarray(0, numberLength),
    externals,
    outputs,
    donors,
    scalars,
    firstScalar,
  };
}

/** The external whose memory a result may take over: what it replaces, also by way of results in between that are never stored. */
function donorOf(out: Value, wanted: (v: Value) => boolean): Value | null {
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
