/** Derived gradient operators, one for each structure of a call (whatever its sizes), and the operators that carry gradients through views. */

import type { GradientCall, Signature } from '../graph/node.ts';
import { deriveGradient, type GradientPlan, type Operator } from '../graph/operator.ts';
import { cat, complexOf, type Prim, rowMajor } from '../graph/prim.ts';
import { viewGradient } from '../graph/vjp.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { extentOf, isDense, type View } from '../shape/view.ts';
import { type Constants, constantsOf } from '../tensor/record.ts';
import { Trie } from '../util/trie.ts';

const plans = new Map<string, GradientPlan>();

/** Which outputs got a gradient: a bit mask, or text of noughts and ones where they are too many for one. */
export type Seeded = number | string;
const mostBits = 31;
export function seededBy(grads: readonly unknown[]): Seeded {
  if (grads.length > mostBits) return grads.map((g) => (g === null ? '0' : '1')).join('');
  let mask = 0;
  for (let k = 0; k < grads.length; k++) if (grads[k] !== null) mask |= 1 << k;
  return mask;
}
const isSeeded = (seeded: Seeded, k: number): boolean => (typeof seeded === 'string' ? seeded[k] === '1' : (seeded & (1 << k)) !== 0);

/** The gradient of a call, for the outputs in `seeded`. */
export function gradientPlan(signature: Signature, seeded: Seeded): GradientPlan {
  const key = `${signature.pattern}:${seeded}`;
  let plan = plans.get(key);
  if (plan === undefined) {
    plan = deriveGradient(
      signature.operator,
      signature.inputs,
      { constants: signature.constants, dims: signature.dims },
      signature.needs!,
      signature.outs.map((_, k) => isSeeded(seeded, k)),
    );
    plans.set(key, plan);
  }
  return plan;
}

/** What the call's gradient is recorded with. */
export function gradientCall(signature: Signature, seeded: Seeded): GradientCall {
  const { gradients, kept } = signature.edge;
  let call = gradients.get(seeded);
  if (call === undefined) {
    const plan = gradientPlan(signature, seeded);
    const at = plan.saved.map((s) => kept.findIndex((k) => k.from === s.from && k.index === s.index));
    call = { plan, at, dims: [...signature.dims, ...signature.inputs.flatMap((v) => v.shape)] };
    gradients.set(seeded, call);
  }
  return call;
}

/** One contribution to the gradient of some memory: the gradient of a view of it. */
interface Window {
  readonly rank: number;
  readonly whole: boolean;
}
interface AccumulateConstants {
  readonly baseRank: number;
  /** Whether the base is complex; a window may see it as pairs of reals, or real memory as complex. */
  readonly complex: boolean;
  /** Dims of the base, slowest first; null where the base has gaps and is taken as flat memory. */
  readonly order: readonly number[] | null;
  readonly windows: readonly Window[];
}

/**
 * Gradient of a value from the gradients of views of it: each is put back where its view lies, and all are added, in order.
 * dims: base shape, base strides, flat extent, then for each window its strides and offset.
 */
export const accumulate: Operator<AccumulateConstants> = {
  name: 'accumulate_views',
  body: (grads, { constants, dims: d }) => {
    const { baseRank, complex, order, windows } = constants;
    const shape = d.slice(0, baseRank);
    const strides = d.slice(baseRank, 2 * baseRank);
    const memory = order === null ? [d[2 * baseRank]] : order.map((i) => shape[i]);
    let at = 2 * baseRank + 1;
    const fromMemory = (p: Prim): Prim => {
      if (order === null) return p.view(shape, strides, 0);
      const inner = rowMajor(memory);
      return p.view(
        shape,
        shape.map((_, i) => inner[order.indexOf(i)]),
        0,
      );
    };
    const parts = grads.map((g, k) => {
      const { rank, whole } = windows[k];
      const windowStrides = d.slice(at, at + rank);
      const offset = d[at + rank];
      at += rank + 1;
      return whole ? g : fromMemory(windowGradient(g, complex, memory, windowStrides, offset));
    });
    return [parts.reduce((a, b) => a.add(b))];
  },
};

/** The gradient of a window put back into memory of `complex` numbers or reals, whichever of the two the window itself is. */
function windowGradient(g: Prim, complex: boolean, memory: readonly Dim[], strides: readonly Dim[], offset: Dim): Prim {
  if (g.dtype.is_complex === complex) return viewGradient(g, memory, strides, offset);
  if (complex) {
    const pairs = viewGradient(g, [...memory, 2], strides, offset);
    const last = memory.length;
    return complexOf(pairs.slice(last, 0, 1).squeeze(last), pairs.slice(last, 1, 1).squeeze(last));
  }
  const last = g.ndim;
  const pairs = cat([g.real.unsqueeze(last), g.imag.unsqueeze(last)], last);
  return viewGradient(pairs, memory, [...strides.map((s) => dimsOf.mul(s, 2)), 1], dimsOf.mul(offset, 2));
}

interface AccumulateCall {
  readonly constants: Constants;
  readonly dims: readonly number[];
}
/** Calls by the base's view and each window's view and offset. Offsets may be ever new ones: then all are forgotten now and then. */
let accumulations = new Trie<AccumulateCall>();
let accumulationCount = 0;
const mostAccumulations = 4096;

export function accumulateCall(base: View, windows: readonly { view: View; offset: number }[]): AccumulateCall {
  let at = accumulations.at(base.id);
  for (let i = 0; i < windows.length; i++) at = at.at(windows[i].view.id).at(windows[i].offset);
  if (at.found === null) {
    at.found = makeAccumulateCall(base, windows);
    if (++accumulationCount > mostAccumulations) {
      accumulations = new Trie();
      accumulationCount = 0;
    }
  }
  return at.found;
}

function makeAccumulateCall(base: View, windows: readonly { view: View; offset: number }[]): AccumulateCall {
  const dense = isDense(base.shape, base.strides);
  const order = dense ? [...base.shape.keys()].sort((i, j) => base.strides[j] - base.strides[i] || i - j) : null;
  const shapes = windows.map(({ view, offset }) => ({ rank: view.ndim, whole: view === base && offset === 0 }));
  const complex = base.dtype.is_complex;
  const key = `accumulate:${base.ndim}:${complex}:${order}:${shapes.map((w) => `${w.rank}${w.whole ? 'w' : ''}`)}`;
  return {
    constants: constantsOf(key, (): AccumulateConstants => ({ baseRank: base.ndim, complex, order, windows: shapes })),
    dims: [
      ...base.shape,
      ...base.strides,
      extentOf(base.shape, base.strides),
      ...windows.flatMap(({ view, offset }) => [...view.strides, offset]),
    ],
  };
}
