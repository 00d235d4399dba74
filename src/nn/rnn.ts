/**
 * Recurrent layers and cells: https://docs.pytorch.org/docs/stable/nn.html#recurrent-layers
 *
 * The arithmetic is in `ops/recurrent.ts`; here are parameters, shapes and states.
 */

import { autocastMode } from '../autograd/autocast-mode.ts';
import type { Tensor } from '../ops/methods.ts';
import { type CellKind, cellOf, gateCount, type LayerWeights, runStack, zeroState } from '../ops/recurrent.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { uniform_ } from './init.ts';
import { Module } from './module.ts';
import { PackedSequence } from './packed.ts';
import { emptyParameter, type FactoryOptions, type Parameter } from './parameter.ts';
import { pythonBool } from './repr.ts';

interface RecurrentArguments extends FactoryOptions {
  readonly input_size: number;
  readonly hidden_size: number;
  readonly num_layers?: number;
  readonly bias?: boolean;
  readonly batch_first?: boolean;
  readonly dropout?: number;
  readonly bidirectional?: boolean;
}
interface RnnArguments extends RecurrentArguments {
  readonly nonlinearity?: 'tanh' | 'relu';
}
interface LstmArguments extends RecurrentArguments {
  readonly proj_size?: number;
}
const defaults = { num_layers: 1, bias: true, batch_first: false, dropout: 0, bidirectional: false, device: null, dtype: null } as const;

type Bound = Required<RecurrentArguments> & { readonly proj_size?: number };
const sizeList = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
const sizeTuple = (shape: readonly number[]): string => `(${shape.join(', ')})`;

const suffixesOf = (layer: number, bidirectional: boolean): string[] => [`l${layer}`, ...(bidirectional ? [`l${layer}_reverse`] : [])];
function weightsOf(m: RNNBase): LayerWeights[] {
  const fields = m as unknown as Readonly<Record<string, Parameter | undefined>>;
  return Array.from({ length: m.num_layers }, (_, layer) => suffixesOf(layer, m.bidirectional))
    .flat()
    .map((suffix) => ({
      ih: fields[`weight_ih_${suffix}`]!,
      hh: fields[`weight_hh_${suffix}`]!,
      biasIh: fields[`bias_ih_${suffix}`] ?? null,
      biasHh: fields[`bias_hh_${suffix}`] ?? null,
      hr: fields[`weight_hr_${suffix}`] ?? null,
    }));
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNBase.html */
export class RNNBase extends Module {
  mode: CellKind;
  input_size: number;
  hidden_size: number;
  num_layers: number;
  bias: boolean;
  batch_first: boolean;
  dropout: number;
  bidirectional: boolean;
  proj_size: number;
  constructor(mode: CellKind, a: Bound) {
    super();
    if (!(a.dropout >= 0 && a.dropout <= 1))
      throw new Error('dropout should be a number in range [0, 1] representing the probability of an element being zeroed');
    if (a.input_size <= 0) throw new Error('input_size must be greater than zero');
    if (a.hidden_size <= 0) throw new Error('hidden_size must be greater than zero');
    if (a.num_layers <= 0) throw new Error('num_layers must be greater than zero');
    const projection = a.proj_size ?? 0;
    if (projection < 0) throw new Error('proj_size should be a positive integer or zero to disable projections');
    if (projection >= a.hidden_size) throw new Error('proj_size has to be smaller than hidden_size');
    this.mode = mode;
    this.input_size = a.input_size;
    this.hidden_size = a.hidden_size;
    this.num_layers = a.num_layers;
    this.bias = a.bias;
    this.batch_first = a.batch_first;
    this.dropout = a.dropout;
    this.bidirectional = a.bidirectional;
    this.proj_size = projection;
    const gates = gateCount[mode] * a.hidden_size;
    const state = projection > 0 ? projection : a.hidden_size;
    for (let layer = 0; layer < a.num_layers; layer++)
      for (const suffix of suffixesOf(layer, a.bidirectional)) {
        const inputs = layer === 0 ? a.input_size : state * (a.bidirectional ? 2 : 1);
        const add = (name: string, shape: readonly number[]): void =>
          this.register_parameter(`${name}_${suffix}`, emptyParameter(shape, a));
        add('weight_ih', [gates, inputs]);
        add('weight_hh', [gates, state]);
        if (a.bias) {
          add('bias_ih', [gates]);
          add('bias_hh', [gates]);
        }
        if (projection > 0) add('weight_hr', [projection, a.hidden_size]);
      }
    this.reset_parameters();
  }
  reset_parameters(): void {
    const bound = this.hidden_size > 0 ? 1 / Math.sqrt(this.hidden_size) : 0;
    for (const p of this.parameters()) uniform_(p, -bound, bound);
  }
  /** Does nothing: weights need no common memory here. */
  flatten_parameters(): void {}
  override extra_repr(): string {
    const parts = [`${this.input_size}, ${this.hidden_size}`];
    if (this.proj_size !== 0) parts.push(`proj_size=${this.proj_size}`);
    if (this.num_layers !== 1) parts.push(`num_layers=${this.num_layers}`);
    if (!this.bias) parts.push(`bias=${pythonBool(this.bias)}`);
    if (this.batch_first) parts.push(`batch_first=${pythonBool(this.batch_first)}`);
    if (this.dropout !== 0) parts.push(`dropout=${this.dropout}`);
    if (this.bidirectional) parts.push(`bidirectional=${pythonBool(this.bidirectional)}`);
    return parts.join(', ');
  }

  /** Output, h and (LSTM) c, for one tensor or a packed sequence; states are `[layers * directions, N, H]`, without N for an unbatched input. */
  protected run(
    input: Tensor | PackedSequence,
    h0: Tensor | null,
    c0: Tensor | null,
  ): { out: Tensor | PackedSequence; h: Tensor; c: Tensor | null } {
    const packed = input instanceof PackedSequence ? input : null;
    const given = input instanceof PackedSequence ? input.data : input;
    const dims = packed === null ? 3 : 2;
    if (packed === null && given.ndim !== 2 && given.ndim !== 3)
      throw new Error(`${this.mode.startsWith('RNN') ? 'RNN' : this.mode}: Expected input to be 2D or 3D, got ${given.ndim}D instead`);
    const batched = packed !== null || given.ndim === 3;
    const x = batched ? given : given.unsqueeze(this.batch_first ? 0 : 1);
    const weights = weightsOf(this);
    if (x.dtype !== weights[0].ih.dtype && !autocastMode.active)
      throw new Error(
        `RNN input dtype (torch.${x.dtype.name}) does not match weight dtype (torch.${weights[0].ih.dtype.name}). Convert input: input.to(torch.${weights[0].ih.dtype.name}), or convert model: model.to(torch.${x.dtype.name})`,
      );
    if (x.ndim !== dims) throw new Error(`input must have ${dims} dimensions, got ${x.ndim}`);
    if (x.size(-1) !== this.input_size)
      throw new Error(`input.size(-1) must be equal to input_size. Expected ${this.input_size}, got ${x.size(-1)}`);
    const batch = packed === null ? x.size(this.batch_first ? 0 : 1) : packed.sizes[0];
    const rows = this.num_layers * (this.bidirectional ? 2 : 1);
    const stateOf = (s: Tensor | null, width: number, what: string): Tensor => {
      if (s === null) return zeroState(x, [rows, batch, width]) as Tensor;
      if (!batched && s.ndim !== 2) throw new Error(`For unbatched 2-D input, hx should also be 2-D but got ${s.ndim}-D tensor`);
      if (batched && packed === null && s.ndim !== 3)
        throw new Error(`For batched 3-D input, hx should also be 3-D but got ${s.ndim}-D tensor`);
      const lifted = batched ? s : s.unsqueeze(1);
      const expected = [rows, batch, width];
      if (lifted.shape.join() !== expected.join())
        throw new Error(`Expected ${what} size ${sizeTuple(expected)}, got ${sizeList(lifted.shape)}`);
      return packed?.sorted_indices ? (lifted.index_select(1, packed.sorted_indices) as Tensor) : lifted;
    };
    const lstm = this.mode === 'LSTM';
    const h = stateOf(h0, this.proj_size > 0 ? this.proj_size : this.hidden_size, lstm ? 'hidden[0]' : 'hidden');
    const c = lstm ? stateOf(c0, this.hidden_size, 'hidden[1]') : null;
    const made = runStack(x, h, c, weights, {
      kind: this.mode,
      layers: this.num_layers,
      bidirectional: this.bidirectional,
      dropout: this.training ? this.dropout : 0,
      batchFirst: this.batch_first && packed === null,
      sizes: packed?.sizes ?? null,
    });
    const restore = (s: Tensor): Tensor =>
      packed?.unsorted_indices ? (s.index_select(1, packed.unsorted_indices) as Tensor) : batched ? s : s.squeeze(1);
    const out = made.out as Tensor;
    return {
      out: packed === null ? (batched ? out : out.squeeze(this.batch_first ? 0 : 1)) : packed.with(out),
      h: restore(made.h as Tensor),
      c: made.c === null ? null : restore(made.c as Tensor),
    };
  }
}

const rnnOrder = [
  'input_size',
  'hidden_size',
  'num_layers',
  'nonlinearity',
  'bias',
  'batch_first',
  'dropout',
  'bidirectional',
  'device',
  'dtype',
] as const;
const gruOrder = ['input_size', 'hidden_size', 'num_layers', 'bias', 'batch_first', 'dropout', 'bidirectional', 'device', 'dtype'] as const;
const lstmOrder = [
  'input_size',
  'hidden_size',
  'num_layers',
  'bias',
  'batch_first',
  'dropout',
  'bidirectional',
  'proj_size',
  'device',
  'dtype',
] as const;
/** What a layer returns for what it is given: packed for packed. */
type Same<I extends Tensor | PackedSequence> = I extends PackedSequence ? PackedSequence : Tensor;

/** A packed sequence for a packed sequence. */
export interface RNN {
  (input: Tensor, hx?: Tensor | null): [Tensor, Tensor];
  (input: PackedSequence, hx?: Tensor | null): [PackedSequence, Tensor];
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html */
export class RNN extends RNNBase {
  nonlinearity: 'tanh' | 'relu';
  constructor(...args: ConstructorArguments<RnnArguments, typeof rnnOrder>) {
    const a = bindConstructor<RnnArguments>('RNN', rnnOrder, { ...defaults, nonlinearity: 'tanh' }, args);
    if (a.nonlinearity !== 'tanh' && a.nonlinearity !== 'relu')
      throw new Error(`Unknown nonlinearity '${String(a.nonlinearity satisfies never)}'. Select from 'tanh' or 'relu'.`);
    super(a.nonlinearity === 'tanh' ? 'RNN_TANH' : 'RNN_RELU', a);
    this.nonlinearity = a.nonlinearity;
  }
  override forward<I extends Tensor | PackedSequence>(input: I, hx: Tensor | null = null): [Same<I>, Tensor] {
    const { out, h } = this.run(input, hx, null);
    return [out as Same<I>, h];
  }
}

/** A packed sequence for a packed sequence. */
export interface GRU {
  (input: Tensor, hx?: Tensor | null): [Tensor, Tensor];
  (input: PackedSequence, hx?: Tensor | null): [PackedSequence, Tensor];
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html */
export class GRU extends RNNBase {
  constructor(...args: ConstructorArguments<RecurrentArguments, typeof gruOrder>) {
    super('GRU', bindConstructor<RecurrentArguments>('GRU', gruOrder, defaults, args));
  }
  override forward<I extends Tensor | PackedSequence>(input: I, hx: Tensor | null = null): [Same<I>, Tensor] {
    const { out, h } = this.run(input, hx, null);
    return [out as Same<I>, h];
  }
}

/** A packed sequence for a packed sequence. */
export interface LSTM {
  (input: Tensor, hx?: readonly [Tensor, Tensor] | null): [Tensor, [Tensor, Tensor]];
  (input: PackedSequence, hx?: readonly [Tensor, Tensor] | null): [PackedSequence, [Tensor, Tensor]];
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html */
export class LSTM extends RNNBase {
  constructor(...args: ConstructorArguments<LstmArguments, typeof lstmOrder>) {
    super('LSTM', bindConstructor<LstmArguments>('LSTM', lstmOrder, { ...defaults, proj_size: 0 }, args));
  }
  override forward<I extends Tensor | PackedSequence>(input: I, hx: readonly [Tensor, Tensor] | null = null): [Same<I>, [Tensor, Tensor]] {
    const { out, h, c } = this.run(input, hx?.[0] ?? null, hx?.[1] ?? null);
    return [out as Same<I>, [h, c!]];
  }
}

// ---- cells

interface CellArguments extends FactoryOptions {
  readonly input_size: number;
  readonly hidden_size: number;
  readonly bias?: boolean;
}
interface RnnCellArguments extends CellArguments {
  readonly nonlinearity?: 'tanh' | 'relu';
}
const cellOrder = ['input_size', 'hidden_size', 'bias', 'device', 'dtype'] as const;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html and its relatives: one step. */
export class RNNCellBase extends Module {
  input_size: number;
  hidden_size: number;
  bias: boolean;
  weight_ih: Parameter;
  weight_hh: Parameter;
  bias_ih: Parameter | null;
  bias_hh: Parameter | null;
  constructor(a: Required<CellArguments>, gates: number) {
    super();
    this.input_size = a.input_size;
    this.hidden_size = a.hidden_size;
    this.bias = a.bias;
    this.weight_ih = emptyParameter([gates * a.hidden_size, a.input_size], a);
    this.weight_hh = emptyParameter([gates * a.hidden_size, a.hidden_size], a);
    this.bias_ih = a.bias ? emptyParameter([gates * a.hidden_size], a) : null;
    this.bias_hh = a.bias ? emptyParameter([gates * a.hidden_size], a) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    const bound = this.hidden_size > 0 ? 1 / Math.sqrt(this.hidden_size) : 0;
    for (const p of this.parameters()) uniform_(p, -bound, bound);
  }
  protected step(kind: CellKind, name: string, input: Tensor, states: readonly (Tensor | null)[]): [Tensor, Tensor | null] {
    if (input.ndim !== 1 && input.ndim !== 2) throw new Error(`${name}: Expected input to be 1D or 2D, got ${input.ndim}D instead`);
    states.forEach((s, i) => {
      if (s !== null && s.ndim !== 1 && s.ndim !== 2)
        throw new Error(`${name}: Expected ${kind === 'LSTM' ? `hx[${i}]` : 'hidden'} to be 1D or 2D, got ${s.ndim}D instead`);
    });
    const batched = input.ndim === 2;
    const lift = (t: Tensor): Tensor => (batched ? t : t.unsqueeze(0));
    const x = lift(input);
    const state = (s: Tensor | null | undefined): Tensor =>
      s === null || s === undefined ? (zeroState(x, [x.size(0), this.hidden_size]) as Tensor) : lift(s);
    const weights = { ih: this.weight_ih, hh: this.weight_hh, biasIh: this.bias_ih, biasHh: this.bias_hh, hr: null };
    const made = cellOf(kind, x, { h: state(states[0]), c: kind === 'LSTM' ? state(states[1]) : null }, weights);
    const lower = (t: Tensor): Tensor => (batched ? t : t.squeeze(0));
    return [lower(made.h as Tensor), made.c === null ? null : lower(made.c as Tensor)];
  }
  override extra_repr(): string {
    return `${this.input_size}, ${this.hidden_size}${this.bias ? '' : `, bias=${pythonBool(this.bias)}`}`;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.RNNCell.html */
export class RNNCell extends RNNCellBase {
  nonlinearity: 'tanh' | 'relu';
  constructor(...args: ConstructorArguments<RnnCellArguments, ['input_size', 'hidden_size', 'bias', 'nonlinearity', 'device', 'dtype']>) {
    const a = bindConstructor<RnnCellArguments>(
      'RNNCell',
      ['input_size', 'hidden_size', 'bias', 'nonlinearity', 'device', 'dtype'],
      { bias: true, nonlinearity: 'tanh', device: null, dtype: null },
      args,
    );
    super(a, 1);
    this.nonlinearity = a.nonlinearity;
  }
  override forward(input: Tensor, hx: Tensor | null = null): Tensor {
    return this.step(this.nonlinearity === 'tanh' ? 'RNN_TANH' : 'RNN_RELU', 'RNNCell', input, [hx])[0];
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html */
export class LSTMCell extends RNNCellBase {
  constructor(...args: ConstructorArguments<CellArguments, typeof cellOrder>) {
    super(bindConstructor<CellArguments>('LSTMCell', cellOrder, { bias: true, device: null, dtype: null }, args), 4);
  }
  override forward(input: Tensor, hx: readonly [Tensor, Tensor] | null = null): [Tensor, Tensor] {
    const [h, c] = this.step('LSTM', 'LSTMCell', input, hx ?? [null, null]);
    return [h, c!];
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.GRUCell.html */
export class GRUCell extends RNNCellBase {
  constructor(...args: ConstructorArguments<CellArguments, typeof cellOrder>) {
    super(bindConstructor<CellArguments>('GRUCell', cellOrder, { bias: true, device: null, dtype: null }, args), 3);
  }
  override forward(input: Tensor, hx: Tensor | null = null): Tensor {
    return this.step('GRU', 'GRUCell', input, [hx])[0];
  }
}
