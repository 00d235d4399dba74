/**
 * One recurrent layer in one direction over a stretch of time, as one operator: the steps are unrolled, and the gradient is written out.
 *
 * The gradient walks the steps backwards and leaves all weights to the end: one product over all steps each. What it needs of the forward pass
 * are outputs: hidden states, cells (LSTM), and the gates before their functions (LSTM: input and state together; GRU: the state's part).
 */
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { cat, constant, type Prim } from '../graph/prim.ts';
import * as dims from '../shape/dim.ts';
import { matmulPrims } from './matmul.ts';

export type CellKind = 'RNN_TANH' | 'RNN_RELU' | 'LSTM' | 'GRU';
export const gateCount = { RNN_TANH: 1, RNN_RELU: 1, LSTM: 4, GRU: 3 } as const satisfies Record<CellKind, number>;

export interface LayerConstants {
  readonly kind: CellKind;
  readonly bias: boolean;
  readonly projection: boolean;
  readonly backwards: boolean;
}

const one = (p: Prim): Prim => constant(1, p.dtype).expand(p.shape);
const sigmoid = (x: Prim): Prim => one(x).div(x.neg().exp().add(1));
const tanh = (x: Prim): Prim => x.scalar('tanh');
const complement = (x: Prim): Prim => x.neg().add(1);
/** Derivatives by the value of the function. */
const sigmoidSlope = (s: Prim): Prim => s.mul(complement(s));
const tanhSlope = (t: Prim): Prim => complement(t.mul(t));

/** Quarter or third `i` of the gates, which lie side by side along the last dim. */
function gate(gates: Prim, i: number, count: number): Prim {
  const last = gates.ndim - 1;
  const width = dims.toNumber(gates.shape[last], 'the number of gates') / count;
  return gates.slice(last, i * width, width);
}
const at = (x: Prim, t: number): Prim => x.slice(0, t, 1).squeeze(0);
const stacked = (steps: readonly Prim[]): Prim =>
  cat(
    steps.map((s) => s.unsqueeze(0)),
    0,
  );

interface Operands {
  readonly gates: Prim;
  readonly h0: Prim;
  readonly c0: Prim | null;
  readonly hh: Prim;
  readonly biasHh: Prim | null;
  readonly hr: Prim | null;
}
/** Inputs: gates of the input [T, N, G], h0, for LSTM c0, W_hh, then b_hh and W_hr where there are any. */
function operandsOf(inputs: readonly Prim[], c: LayerConstants): Operands {
  const wide = computationDtype(inputs[0].dtype);
  const rest = inputs.map((x) => x.cast(wide));
  const next = (): Prim => rest.shift()!;
  return {
    gates: next(),
    h0: next(),
    c0: c.kind === 'LSTM' ? next() : null,
    hh: next(),
    biasHh: c.bias ? next() : null,
    hr: c.projection ? next() : null,
  };
}
const orderOf = (time: number, backwards: boolean): number[] => Array.from({ length: time }, (_, i) => (backwards ? time - 1 - i : i));

interface Step {
  readonly h: Prim;
  readonly cell: Prim | null;
  /** What the gradient wants of the gates; null where the hidden state says all. */
  readonly pre: Prim | null;
}
export function stepOf(kind: CellKind, fromInput: Prim, h: Prim, cell: Prim | null, o: Pick<Operands, 'hh' | 'biasHh' | 'hr'>): Step {
  const product = matmulPrims(h, o.hh.mT);
  const fromState = o.biasHh === null ? product : product.add(o.biasHh);
  switch (kind) {
    case 'RNN_TANH':
      return { h: tanh(fromInput.add(fromState)), cell: null, pre: null };
    case 'RNN_RELU': {
      const sum = fromInput.add(fromState);
      return { h: sum.gt(0).where(sum, 0), cell: null, pre: null };
    }
    case 'LSTM': {
      const pre = fromInput.add(fromState);
      const kept = sigmoid(gate(pre, 1, 4)).mul(cell!);
      const after = kept.add(sigmoid(gate(pre, 0, 4)).mul(tanh(gate(pre, 2, 4))));
      const hidden = sigmoid(gate(pre, 3, 4)).mul(tanh(after));
      return { h: o.hr === null ? hidden : matmulPrims(hidden, o.hr.mT), cell: after, pre };
    }
    case 'GRU': {
      const reset = sigmoid(gate(fromInput, 0, 3).add(gate(fromState, 0, 3)));
      const update = sigmoid(gate(fromInput, 1, 3).add(gate(fromState, 1, 3)));
      const fresh = tanh(gate(fromInput, 2, 3).add(reset.mul(gate(fromState, 2, 3))));
      return { h: h.sub(fresh).mul(update).add(fresh), cell: null, pre: fromState };
    }
    default:
      return kind satisfies never;
  }
}

/** Outputs: hidden states [T, N, H], for LSTM the cells, for LSTM and GRU the gates. */
export const layerOperator: Operator<LayerConstants> = {
  name: 'rnn_layer',
  body: (inputs, { constants: c }) => {
    const o = operandsOf(inputs, c);
    const time = dims.toNumber(o.gates.shape[0], 'the number of steps');
    const steps = new Array<Step>(time);
    let h = o.h0;
    let cell = o.c0;
    for (const t of orderOf(time, c.backwards)) {
      steps[t] = stepOf(c.kind, at(o.gates, t), h, cell, o);
      h = steps[t].h;
      cell = steps[t].cell;
    }
    const out = [steps.map((s) => s.h)];
    if (c.kind === 'LSTM') out.push(steps.map((s) => s.cell!));
    if (steps[0].pre !== null) out.push(steps.map((s) => s.pre!));
    return out.map((parts) => stacked(parts).cast(inputs[0].dtype));
  },
  gradient: (grads, inputs, outputs, { constants: c }) => {
    const o = operandsOf(inputs, c);
    const wide = (p: Prim): Prim => p.cast(o.gates.dtype);
    const time = dims.toNumber(o.gates.shape[0], 'the number of steps');
    const lstm = c.kind === 'LSTM';
    const hs = wide(outputs[0]);
    const cells = lstm ? wide(outputs[1]) : null;
    const pre = lstm ? wide(outputs[2]) : c.kind === 'GRU' ? wide(outputs[1]) : null;
    const toInput = new Array<Prim>(time);
    const toState = new Array<Prim>(time);
    const toHidden = new Array<Prim>(time);
    let dh: Prim | null = null;
    let dc: Prim | null = null;
    const plus = (a: Prim | null, b: Prim | null): Prim | null => (a === null ? b : b === null ? a : a.add(b));
    const order = orderOf(time, c.backwards);
    for (let i = time - 1; i >= 0; i--) {
      const t = order[i];
      const before = i === 0 ? null : order[i - 1];
      const gh: Prim = plus(grads[0] === null ? null : at(wide(grads[0]), t), dh) ?? at(hs, t).mul(0);
      toHidden[t] = gh;
      const hBefore = before === null ? o.h0 : at(hs, before);
      switch (c.kind) {
        case 'RNN_TANH':
        case 'RNN_RELU': {
          const h = at(hs, t);
          toInput[t] = c.kind === 'RNN_TANH' ? gh.mul(tanhSlope(h)) : h.le(0).where(0, gh);
          toState[t] = toInput[t];
          dh = toState[t].dot(o.hh);
          break;
        }
        case 'LSTM': {
          const gates = at(pre!, t);
          const [ig, fg, og] = [0, 1, 3].map((k) => sigmoid(gate(gates, k, 4)));
          const candidate = tanh(gate(gates, 2, 4));
          const squashed = tanh(at(cells!, t));
          const hidden = o.hr === null ? gh : gh.dot(o.hr);
          const through = hidden.mul(og).mul(tanhSlope(squashed));
          const own = plus(lstm && grads[1] !== null ? at(wide(grads[1]), t) : null, dc);
          const cell = own === null ? through : own.add(through);
          const cellBefore = before === null ? o.c0! : at(cells!, before);
          const parts = [
            cell.mul(candidate).mul(sigmoidSlope(ig)),
            cell.mul(cellBefore).mul(sigmoidSlope(fg)),
            cell.mul(ig).mul(tanhSlope(candidate)),
            hidden.mul(squashed).mul(sigmoidSlope(og)),
          ];
          toInput[t] = cat(parts, 1);
          toState[t] = toInput[t];
          dc = cell.mul(fg);
          dh = toState[t].dot(o.hh);
          break;
        }
        case 'GRU': {
          const [fromInput, fromState] = [at(o.gates, t), at(pre!, t)];
          const reset = sigmoid(gate(fromInput, 0, 3).add(gate(fromState, 0, 3)));
          const update = sigmoid(gate(fromInput, 1, 3).add(gate(fromState, 1, 3)));
          const ofState = gate(fromState, 2, 3);
          const fresh = tanh(gate(fromInput, 2, 3).add(reset.mul(ofState)));
          const toFresh = gh.mul(complement(update)).mul(tanhSlope(fresh));
          const toReset = toFresh.mul(ofState).mul(sigmoidSlope(reset));
          const toUpdate = gh.mul(hBefore.sub(fresh)).mul(sigmoidSlope(update));
          toInput[t] = cat([toReset, toUpdate, toFresh], 1);
          toState[t] = cat([toReset, toUpdate, toFresh.mul(reset)], 1);
          dh = gh.mul(update).add(toState[t].dot(o.hh));
          break;
        }
        default:
          c.kind satisfies never;
      }
    }
    // All steps at once: what went into the state's product, and what came out of it.
    const first = o.h0.unsqueeze(0);
    const earlier =
      time === 1 ? first : c.backwards ? cat([hs.slice(0, 1, time - 1), first], 0) : cat([first, hs.slice(0, 0, time - 1)], 0);
    const rows = dims.mul(time, o.h0.shape[0]);
    const flat = (x: Prim): Prim => x.reshape([rows, x.shape[2]]);
    const state = flat(stacked(toState));
    const out: Prim[] = [stacked(toInput), dh!];
    if (lstm) out.push(dc!);
    out.push(state.mT.dot(flat(earlier)));
    if (c.bias) out.push(state.sum([0]));
    if (c.projection) {
      const hidden = sigmoid(gate(pre!, 3, 4)).mul(tanh(cells!));
      out.push(flat(stacked(toHidden)).mT.dot(flat(hidden)));
    }
    return out.map((g, i) => g.cast(inputs[i].dtype));
  },
};
