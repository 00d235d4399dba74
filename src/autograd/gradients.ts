/** Derived gradient operators, one for each structure of a call (whatever its sizes), and the operators that carry gradients through views. */

import type { Signature } from '../graph/node.ts';
import { deriveGradient, type GradientPlan, type Operator } from '../graph/operator.ts';
import { type Prim, rowMajor } from '../graph/prim.ts';
import { viewGradient } from '../graph/vjp.ts';
import { extentOf, isDense, type View } from '../shape/view.ts';
import { type Constants, constantsOf } from '../tensor/record.ts';

const plans = new Map<string, GradientPlan>();

/** The gradient of a call, for the outputs in `seeded` (bit mask). */
export function gradientPlan(signature: Signature, seeded: number): GradientPlan {
  const key = `${signature.pattern}:${seeded}`;
  let plan = plans.get(key);
  if (plan === undefined) {
    plan = deriveGradient(
      signature.operator,
      signature.inputs,
      { constants: signature.constants, dims: signature.dims },
      signature.needs!,
      signature.outs.slice(0, signature.visible).map((_, k) => (seeded & (1 << k)) !== 0),
    );
    plans.set(key, plan);
  }
  return plan;
}

/** One contribution to the gradient of some memory: the gradient of a view of it. */
interface Window {
  readonly rank: number;
  readonly whole: boolean;
}
interface AccumulateConstants {
  readonly baseRank: number;
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
    const { baseRank, order, windows } = constants;
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
      return whole ? g : fromMemory(viewGradient(g, memory, windowStrides, offset));
    });
    return [parts.reduce((a, b) => a.add(b))];
  },
};

export function accumulateCall(base: View, windows: readonly { view: View; offset: number }[]): { constants: Constants; dims: number[] } {
  const dense = isDense(base.shape, base.strides);
  const order = dense ? [...base.shape.keys()].sort((i, j) => base.strides[j] - base.strides[i] || i - j) : null;
  const shapes = windows.map(({ view, offset }) => ({ rank: view.ndim, whole: view === base && offset === 0 }));
  const key = `accumulate:${base.ndim}:${order}:${shapes.map((w) => `${w.rank}${w.whole ? 'w' : ''}`)}`;
  return {
    constants: constantsOf(key, (): AccumulateConstants => ({ baseRank: base.ndim, order, windows: shapes })),
    dims: [
      ...base.shape,
      ...base.strides,
      extentOf(base.shape, base.strides),
      ...windows.flatMap(({ view, offset }) => [...view.strides, offset]),
    ],
  };
}
