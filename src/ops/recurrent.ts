/**
 * Recurrent networks: https://docs.pytorch.org/docs/stable/nn.html#recurrent-layers
 *
 * A layer in one direction is one operator (`recurrent-layer.ts`) after one product that makes the input's gates of all steps; a stack is a loop over
 * layers and directions. Cells, and packed sequences, whose steps have fewer and fewer rows, are a node a step.
 */
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Prim } from '../graph/prim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { autocastCall, lowered, matching } from './autocast.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { dropoutOf } from './dropout.ts';
import { type CellKind, type LayerConstants, layerOperator, stepOf } from './recurrent-layer.ts';
import { use } from './use.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.${name}.html`;

export { type CellKind, gateCount } from './recurrent-layer.ts';

/** Inputs: the input's gates, h, for LSTM c, then W_hh, and b_hh and W_hr where there are any. Outputs: h, for LSTM c. */
const cellOperator: Operator<LayerConstants> = {
  name: 'rnn_cell',
  body: (inputs, { constants: c }) => {
    const wide = computationDtype(inputs[0].dtype);
    const rest = inputs.map((x) => x.cast(wide));
    const next = (): Prim => rest.shift()!;
    const [gates, h, cell, hh] = [next(), next(), c.kind === 'LSTM' ? next() : null, next()];
    const made = stepOf(c.kind, gates, h, cell, { hh, biasHh: c.bias ? next() : null, hr: c.projection ? next() : null });
    return [made.h, ...(made.cell === null ? [] : [made.cell])].map((p) => p.cast(inputs[0].dtype));
  },
};

export interface LayerWeights {
  readonly ih: Tensor;
  readonly hh: Tensor;
  readonly biasIh: Tensor | null;
  readonly biasHh: Tensor | null;
  readonly hr: Tensor | null;
}
interface State {
  readonly h: Tensor;
  readonly c: Tensor | null;
}

const linear = (x: Tensor, weight: Tensor, bias: Tensor | null): Tensor => use('nn.functional.linear', x, weight, bias);
function step(kind: CellKind, gates: Tensor, { h, c }: State, w: LayerWeights): State {
  const inputs = [gates, h, c, w.hh, w.biasHh, w.hr].filter((t): t is Tensor => t !== null);
  const bias = w.biasHh !== null;
  const projection = w.hr !== null;
  const constants = constantsOf(`cell:${kind}:${bias}:${projection}`, (): LayerConstants => ({ kind, bias, projection, backwards: false }));
  const [nextH, nextC] = record(cellOperator as never, inputs, { constants });
  return { h: nextH, c: nextC ?? null };
}
/** The gates of the input; with autocast on in the dtype of the state, though PyTorch's product is of the lower precision. */
const inputGates = (x: Tensor, w: LayerWeights, { h, c }: State): Tensor => matching(linear(x, w.ih, w.biasIh), c ?? h);
const loweredState = (w: LayerWeights): LayerWeights => ({ ...w, hh: lowered(w.hh), hr: w.hr === null ? null : lowered(w.hr) });
/** One step from an input [N, I] and a state. */
export const cellOf = (kind: CellKind, x: Tensor, state: State, w: LayerWeights): State =>
  autocastCall(`${kind.toLowerCase()}_cell`, [x, state, w] as const, (x, state, w) =>
    step(kind, inputGates(x, w, state), state, loweredState(w)),
  );

const rowsOf = (t: Tensor, from: number, count: number): Tensor =>
  from === 0 && count === t.view_.shape[0] ? t : use('narrow', t, 0, from, count);

/** A layer in one direction over [T, N, I]; `sizes` are the rows at each step of packed data [sum of sizes, I]. */
function runLayer(
  kind: CellKind,
  x: Tensor,
  initial: State,
  w: LayerWeights,
  backwards: boolean,
  sizes: readonly number[] | null,
): { out: Tensor; last: State } {
  const gates = inputGates(x, w, initial);
  const rest = loweredState(w);
  return sizes === null ? runDense(kind, gates, initial, rest, backwards) : runPacked(kind, gates, initial, rest, backwards, sizes);
}
/** Steps of one operator: longer sequences are cut, so that a program's size does not grow without bound. */
const mostSteps = 8;
function runDense(kind: CellKind, gates: Tensor, initial: State, w: LayerWeights, backwards: boolean): { out: Tensor; last: State } {
  const time = gates.view_.shape[0];
  const bias = w.biasHh !== null;
  const projection = w.hr !== null;
  const constants = constantsOf(
    `layer:${kind}:${bias}:${projection}:${backwards}`,
    (): LayerConstants => ({ kind, bias, projection, backwards }),
  );
  const outs: Tensor[] = [];
  let { h, c } = initial;
  for (let done = 0; done < time; done += mostSteps) {
    const count = Math.min(mostSteps, time - done);
    const part = rowsOf(gates, backwards ? time - done - count : done, count);
    const inputs = [part, h, c, w.hh, w.biasHh, w.hr].filter((t): t is Tensor => t !== null);
    const [hs, cells] = record(layerOperator as never, inputs, { constants });
    const end = backwards ? 0 : count - 1;
    h = use('select', hs, 0, end);
    if (kind === 'LSTM') c = use('select', cells, 0, end);
    outs.push(hs);
  }
  return { out: outs.length === 1 ? outs[0] : use('cat', backwards ? outs.reverse() : outs, 0), last: { h, c } };
}
/** Rows are sorted by length, so the rows that are still (or already) there are the first ones. */
function runPacked(
  kind: CellKind,
  gates: Tensor,
  initial: State,
  w: LayerWeights,
  backwards: boolean,
  sizes: readonly number[],
): { out: Tensor; last: State } {
  const starts: number[] = [];
  sizes.reduce((at, n) => {
    starts.push(at);
    return at + n;
  }, 0);
  const outs = new Array<Tensor>(sizes.length);
  const first = (s: State, n: number): State => ({ h: rowsOf(s.h, 0, n), c: s.c === null ? null : rowsOf(s.c, 0, n) });
  const finished: State[] = [];
  let state = first(initial, backwards ? sizes[sizes.length - 1] : sizes[0]);
  for (let i = 0; i < sizes.length; i++) {
    const t = backwards ? sizes.length - 1 - i : i;
    const n = sizes[t];
    const have = state.h.view_.shape[0];
    if (n < have) {
      const tail = (x: Tensor): Tensor => rowsOf(x, n, have - n);
      finished.push({ h: tail(state.h), c: state.c === null ? null : tail(state.c) });
      state = first(state, n);
    } else if (n > have) {
      const joined = (x: Tensor, more: Tensor): Tensor => use('cat', [x, rowsOf(more, have, n - have)], 0);
      state = { h: joined(state.h, initial.h), c: state.c === null ? null : joined(state.c, initial.c!) };
    }
    state = step(kind, rowsOf(gates, starts[t], n), state, w);
    outs[t] = state.h;
  }
  finished.push(state);
  // Shorter rows ended earlier and come later.
  const ended = finished.reverse();
  const gather = (of: (s: State) => Tensor): Tensor => (ended.length === 1 ? of(state) : use('cat', ended.map(of), 0));
  return { out: use('cat', outs, 0), last: { h: gather((s) => s.h), c: state.c === null ? null : gather((s) => s.c!) } };
}

export interface StackOptions {
  readonly kind: CellKind;
  readonly layers: number;
  readonly bidirectional: boolean;
  /** Between layers, in training. */
  readonly dropout: number;
  readonly batchFirst: boolean;
  readonly sizes: readonly number[] | null;
}
interface StackResult {
  readonly out: Tensor;
  readonly h: Tensor;
  readonly c: Tensor | null;
}
/** Weights are by layer, then direction; states have a row a layer and direction. */
export function runStack(x: Tensor, h0: Tensor, c0: Tensor | null, weights: readonly LayerWeights[], o: StackOptions): StackResult {
  // PyTorch's autocast knows oneDNN's LSTM, and not its own for packed sequences and projections.
  const own = o.kind === 'LSTM' && (o.sizes !== null || weights.some((w) => w.hr !== null));
  return autocastCall(`rnn.${o.kind.toLowerCase()}${own ? '_own' : ''}`, [x, h0, c0, weights, o] as const, runLayers);
}
function runLayers(x: Tensor, h0: Tensor, c0: Tensor | null, weights: readonly LayerWeights[], o: StackOptions): StackResult {
  const directions = o.bidirectional ? 2 : 1;
  let current = o.batchFirst ? use('transpose', x, 0, 1) : x;
  const hs: Tensor[] = [];
  const cs: Tensor[] = [];
  for (let layer = 0; layer < o.layers; layer++) {
    const outs: Tensor[] = [];
    for (let d = 0; d < directions; d++) {
      const at = layer * directions + d;
      const initial = { h: use('select', h0, 0, at), c: c0 === null ? null : use('select', c0, 0, at) };
      const { out, last } = runLayer(o.kind, current, initial, weights[at], d === 1, o.sizes);
      outs.push(out);
      hs.push(last.h);
      if (last.c !== null) cs.push(last.c);
    }
    current = outs.length === 1 ? outs[0] : use('cat', outs, -1);
    if (o.dropout > 0 && layer < o.layers - 1) current = dropoutOf(current, o.dropout, true);
  }
  return {
    out: o.batchFirst ? use('transpose', current, 0, 1) : current,
    h: use('stack', hs, 0),
    c: cs.length === 0 ? null : use('stack', cs, 0),
  };
}

/** PyTorch's flat list of weights: w_ih, w_hh, then the biases, then w_hr, for each layer and direction. */
function weightsOf(params: readonly Tensor[], biases: boolean, projection: boolean): LayerWeights[] {
  const each = 2 + (biases ? 2 : 0) + (projection ? 1 : 0);
  const out: LayerWeights[] = [];
  for (let i = 0; i < params.length; i += each)
    out.push({
      ih: params[i],
      hh: params[i + 1],
      biasIh: biases ? params[i + 2] : null,
      biasHh: biases ? params[i + 3] : null,
      hr: projection ? params[i + each - 1] : null,
    });
  return out;
}

const forWhole =
  (kind: CellKind) =>
  (
    x: Tensor,
    hx: readonly Tensor[],
    params: readonly Tensor[],
    biases: boolean,
    layers: number,
    dropout: number,
    train: boolean,
    bidirectional: boolean,
    batchFirst: boolean,
  ): [Tensor, Tensor, Tensor | null] => {
    const projection = kind === 'LSTM' && hx[0].view_.shape[2] !== hx[1].view_.shape[2];
    const options = { kind, layers, bidirectional, dropout: train ? dropout : 0, batchFirst, sizes: null };
    const { out, h, c } = runStack(x, hx[0], hx[1] ?? null, weightsOf(params, biases, projection), options);
    return [out, h, c];
  };
const runs = { LSTM: forWhole('LSTM'), GRU: forWhole('GRU'), RNN_TANH: forWhole('RNN_TANH'), RNN_RELU: forWhole('RNN_RELU') };

/** One row is a batch of one. */
function cellCall(kind: CellKind, x: Tensor, hx: readonly Tensor[], w: LayerWeights): [Tensor, Tensor | null] {
  const width = w.ih.view_.shape[1];
  if (x.view_.shape[x.ndim - 1] !== width)
    throw new Error(
      `input has inconsistent input_size: got ${x.view_.shape[x.ndim - 1]} expected ${width} for input of size ${shapeList(x.view_.shape)}`,
    );
  const { h, c } = cellOf(kind, x, { h: hx[0], c: hx[1] ?? null }, w);
  return [h, c];
}
const cellWeights = (ih: Tensor, hh: Tensor, biasIh: Tensor | null, biasHh: Tensor | null): LayerWeights => ({
  ih,
  hh,
  biasIh,
  biasHh,
  hr: null,
});
export const zeroState = (x: Tensor, shape: readonly number[]): Tensor => fullOf(shape, 0, x.dtype, x.device);

/** Of `torch`. */
export const recurrent = {
  lstm: declare(
    { doc: `Long short-term memory. ${page('LSTM')}`, as: 'function' },
    overload(
      'lstm.input(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)',
      (x, hx, params, biases, layers, dropout, train, bidirectional, batchFirst) =>
        runs.LSTM(x, hx, params, biases, layers, dropout, train, bidirectional, batchFirst),
    ),
  ),
  gru: declare(
    { doc: `Gated recurrent unit. ${page('GRU')}`, as: 'function' },
    overload(
      'gru.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)',
      (x, hx, params, biases, layers, dropout, train, bidirectional, batchFirst) =>
        runs.GRU(x, [hx], params, biases, layers, dropout, train, bidirectional, batchFirst).slice(0, 2),
    ),
  ),
  rnn_tanh: declare(
    { doc: `Elman network with tanh. ${page('RNN')}`, as: 'function' },
    overload(
      'rnn_tanh.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)',
      (x, hx, params, biases, layers, dropout, train, bidirectional, batchFirst) =>
        runs.RNN_TANH(x, [hx], params, biases, layers, dropout, train, bidirectional, batchFirst).slice(0, 2),
    ),
  ),
  rnn_relu: declare(
    { doc: `Elman network with relu. ${page('RNN')}`, as: 'function' },
    overload(
      'rnn_relu.input(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, bool batch_first) -> (Tensor, Tensor)',
      (x, hx, params, biases, layers, dropout, train, bidirectional, batchFirst) =>
        runs.RNN_RELU(x, [hx], params, biases, layers, dropout, train, bidirectional, batchFirst).slice(0, 2),
    ),
  ),
  lstm_cell: declare(
    { doc: `One step of an LSTM. ${page('LSTMCell')}`, as: 'function' },
    overload(
      'lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, Tensor)',
      (x, hx, ih, hh, biasIh, biasHh) => cellCall('LSTM', x, hx, cellWeights(ih, hh, biasIh, biasHh)),
    ),
  ),
  gru_cell: declare(
    { doc: `One step of a GRU. ${page('GRUCell')}`, as: 'function' },
    overload(
      'gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor',
      (x, hx, ih, hh, biasIh, biasHh) => cellCall('GRU', x, [hx], cellWeights(ih, hh, biasIh, biasHh))[0],
    ),
  ),
  rnn_tanh_cell: declare(
    { doc: `One step of an Elman network with tanh. ${page('RNNCell')}`, as: 'function' },
    overload(
      'rnn_tanh_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor',
      (x, hx, ih, hh, biasIh, biasHh) => cellCall('RNN_TANH', x, [hx], cellWeights(ih, hh, biasIh, biasHh))[0],
    ),
  ),
  rnn_relu_cell: declare(
    { doc: `One step of an Elman network with relu. ${page('RNNCell')}`, as: 'function' },
    overload(
      'rnn_relu_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor',
      (x, hx, ih, hh, biasIh, biasHh) => cellCall('RNN_RELU', x, [hx], cellWeights(ih, hh, biasIh, biasHh))[0],
    ),
  ),
};
