/**
 * Following: pending calls that come as they came before are compared with that time, not captured anew.
 *
 * A training step or a decoded token is the same list of calls again and again. Writing its key and its thousands of numbers, hashing and
 * comparing them costs more than looking whether each call has the very signature that stood at its place last time: then its part of the key
 * and its numbers are known. Where only sizes changed (a cache that grew), the numbers of those calls alone are looked at again, and the
 * symbols' values follow from them. Anything else is captured in full.
 */
import type { Node, Signature, Value } from '../graph/node.ts';
import { type Captured, donorOf } from './capture.ts';
import type { Program } from './program.ts';
import { bindChanged } from './symbols.ts';

/** Calls as they came last, and the program that computed them. */
export interface Frame {
  /** By position; brought up to date by each time that follows. */
  readonly signatures: Signature[];
  readonly key: Int32Array;
  readonly hash: number;
  readonly numbers: Int32Array;
  readonly firstScalar: readonly number[];
  readonly externals: number;
  readonly outputs: number;
  readonly program: Program;
  symbols: Int32Array;
}

/** A frame that was followed, with numbers and symbols of this time. */
export interface Followed {
  readonly program: Program;
  readonly symbols: Int32Array;
}

/** Frames are told apart by how many calls they have, the first and the last. */
const nameOf = (nodes: readonly Node[]): number => {
  const first = nodes[0].signature.pattern;
  const last = nodes[nodes.length - 1].signature.pattern;
  return Math.imul(Math.imul(nodes.length, 31) + first, 31) + last;
};

const mostFrames = 256;

export class Frames {
  readonly #frames = new Map<number, Frame>();
  readonly #changed: number[] = [];
  readonly #before: number[] = [];

  /** The capture of `nodes` if they come as before; else null. */
  follow(nodes: readonly Node[], wanted: (v: Value) => boolean, donatable: (v: Value) => boolean): Captured | null {
    const frame = this.#frames.get(nameOf(nodes));
    if (frame === undefined || frame.signatures.length !== nodes.length) return null;
    const captured = this.#compare(frame, nodes, wanted, donatable);
    if (captured === null) this.#undo(frame);
    return captured;
  }

  /** Remembers how calls came, and what computed them. */
  keep({ nodes, key, hash, numbers, firstScalar, externals, outputs }: Captured, program: Program, symbols: Int32Array): void {
    if (this.#frames.size >= mostFrames) this.#frames.clear();
    const signatures = nodes.map((n) => n.signature);
    this.#frames.set(nameOf(nodes), {
      ...{ signatures, hash, firstScalar, program, symbols, externals: externals.length, outputs: outputs.length },
      key: key.slice(),
      numbers: numbers.slice(),
    });
  }

  #undo({ numbers }: Frame): void {
    // Newest first: a number may have changed twice.
    for (let i = this.#changed.length - 1; i >= 0; i--) numbers[this.#changed[i]] = this.#before[i];
  }

  #compare(frame: Frame, nodes: readonly Node[], wanted: (v: Value) => boolean, donatable: (v: Value) => boolean): Captured | null {
    const { signatures, key, numbers } = frame;
    const changed = this.#changed;
    const before = this.#before;
    changed.length = 0;
    before.length = 0;
    // As many as last time: lists that grow would be most of what a step leaves to the collector.
    const externals = new Array<Value>(frame.externals);
    let externalCount = 0;
    const outputs = new Array<Value>(frame.outputs);
    const donors = new Array<number>(frame.outputs);
    let outputCount = 0;
    const scalars: (number | bigint)[] = [];
    /** The list of which a scalar slot is the first. */
    const lists: (readonly (number | bigint)[] | undefined)[] = [];
    const taken = new Uint8Array(frame.externals + 1);
    let at = 0;
    let number = 0;
    let produced = 0;
    const set = (where: number, value: number): void => {
      if (numbers[where] === value) return;
      changed.push(where);
      before.push(numbers[where]);
      numbers[where] = value;
    };
    const place = (params: readonly (number | bigint)[]): boolean => {
      const first = key[at++];
      if (first < scalars.length) return lists[first] === params;
      lists[first] = params;
      for (let i = 0; i < params.length; i++) scalars.push(params[i]);
      return true;
    };
    let done = 0;
    let fits = true;
    try {
      for (; done < nodes.length && fits; done++) {
        const node = nodes[done];
        const { signature, srcs, offsets, outs } = node;
        const known = signatures[done];
        const same = signature === known;
        if (srcs === null || (!same && (signature.pattern !== known.pattern || signature.numbers.length !== known.numbers.length))) {
          fits = false;
          break;
        }
        at++;
        for (let i = 0; i < srcs.length; i++) {
          const src = srcs[i];
          if (src.mark === 0) {
            if (externalCount === frame.externals) {
              fits = false;
              break;
            }
            externals[externalCount++] = src;
            src.mark = -externalCount;
          }
          if (key[at++] !== src.mark) fits = false;
        }
        const { sequence } = signature;
        if (sequence === null) {
          for (let i = 0; i < srcs.length; i++) set(number++, offsets[i]);
          if (!same) for (let i = 0; i < signature.numbers.length; i++) set(number + i, signature.numbers[i]);
          number += signature.numbers.length;
          if (node.params.length > 0 && !place(node.params)) fits = false;
        } else {
          const { calls, offsetsAt } = sequence;
          // Those of another sequence hold zeros where offsets stand.
          if (!same) for (let i = 0; i < signature.numbers.length; i++) set(number + i, signature.numbers[i]);
          for (let i = 0; i < srcs.length; i++) set(number + offsetsAt[i], offsets[i]);
          number += signature.numbers.length;
          for (let i = 0; i < calls.length && fits; i++) {
            const { params } = calls[i];
            if (params >= 0 && !place(node.paramLists![params])) fits = false;
          }
        }
        for (let i = 0; i < outs.length; i++) {
          const out = outs[i];
          out.mark = ++produced;
          let expected = 0;
          if (wanted(out)) {
            let donor = 0;
            const from = donorOf(out, wanted);
            if (from !== null && taken[-from.mark] === 0 && donatable(from)) {
              donor = -from.mark;
              taken[donor] = 1;
            }
            if (outputCount < frame.outputs) {
              outputs[outputCount] = out;
              donors[outputCount++] = donor - 1;
            } else fits = false;
            expected = 1 + donor;
          }
          if (key[at++] !== expected) fits = false;
        }
      }
    } finally {
      for (let i = 0; i < externalCount; i++) externals[i].mark = 0;
      for (let i = 0; i < done; i++) {
        const { outs } = nodes[i];
        for (let k = 0; k < outs.length; k++) outs[k].mark = 0;
      }
    }
    if (!fits || externalCount !== frame.externals || outputCount !== frame.outputs) return null;
    const symbols = changed.length === 0 ? frame.symbols : bindChanged(frame.program.pattern, numbers, changed);
    if (symbols === null) return null;
    frame.symbols = symbols;
    if (changed.length > 0) for (let i = 0; i < nodes.length; i++) signatures[i] = nodes[i].signature;
    const { hash, firstScalar, program } = frame;
    return { nodes, key, hash, numbers, externals, outputs, donors, scalars, firstScalar, followed: { program, symbols } };
  }
}
