/** Batch normalization: https://docs.pytorch.org/docs/stable/nn.html#normalization-layers. The base of all norms with running statistics is here too. */
import { no_grad } from '../autograd/modes.ts';
import { int64 } from '../dtype/dtype.ts';
import { fullOf } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { ones_, zeros_ } from './init.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, moveInPlace, type Parameter } from './parameter.ts';
import { pythonBool } from './repr.ts';

export interface NormArguments extends FactoryOptions {
  readonly num_features: number;
  readonly eps?: number;
  readonly momentum?: number | null;
  readonly affine?: boolean;
  readonly track_running_stats?: boolean;
}
export const normOrder = ['num_features', 'eps', 'momentum', 'affine', 'track_running_stats', 'device', 'dtype'] as const;

/** Scale and shift of channels, and running statistics as buffers. */
export class NormBase extends Module {
  num_features: number;
  eps: number;
  momentum: number | null;
  affine: boolean;
  track_running_stats: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  declare running_mean: Tensor | null;
  declare running_var: Tensor | null;
  declare num_batches_tracked: Tensor | null;
  constructor(name: string, args: readonly unknown[], defaults: Required<Pick<NormArguments, 'affine' | 'track_running_stats'>>) {
    super();
    const a = bindConstructor<NormArguments>(name, normOrder, { eps: 1e-5, momentum: 0.1, ...defaults, device: null, dtype: null }, args);
    this.num_features = a.num_features;
    this.eps = a.eps;
    this.momentum = a.momentum;
    this.affine = a.affine;
    this.track_running_stats = a.track_running_stats;
    this.weight = a.affine ? emptyParameter([a.num_features], a) : null;
    this.bias = a.affine ? emptyParameter([a.num_features], a) : null;
    const statistic = (): Tensor | null => (a.track_running_stats ? (emptyParameter([a.num_features], a).detach() as Tensor) : null);
    this.register_buffer('running_mean', statistic());
    this.register_buffer('running_var', statistic());
    this.register_buffer('num_batches_tracked', a.track_running_stats ? (fullOf([], 0, int64, a.device) as Tensor) : null);
    this.reset_parameters();
  }
  reset_running_stats(): void {
    const { running_mean, running_var, num_batches_tracked } = this;
    if (running_mean !== null) zeros_(running_mean);
    if (running_var !== null) ones_(running_var);
    if (num_batches_tracked !== null) zeros_(num_batches_tracked);
  }
  reset_parameters(): void {
    this.reset_running_stats();
    if (this.weight !== null) ones_(this.weight);
    if (this.bias !== null) zeros_(this.bias);
  }
  override extra_repr(): string {
    const { num_features, eps, momentum, affine, track_running_stats } = this;
    const share = momentum === null ? 'None' : `${momentum}`;
    return `${num_features}, eps=${pythonEps(eps)}, momentum=${share}, affine=${pythonBool(affine)}, track_running_stats=${pythonBool(track_running_stats)}`;
  }
}
const pythonEps = (eps: number): string => (eps < 1e-4 ? eps.toExponential().replace(/e-(\d)$/, 'e-0$1') : `${eps}`);

/** Normalization of channels over batch and positions. Subclasses say what inputs they take. */
export class BatchNorm extends NormBase {
  protected checkInput(_input: Tensor): void {}
  override forward(input: Tensor): Tensor {
    this.checkInput(input);
    const { running_mean, running_var, num_batches_tracked, track_running_stats, training } = this;
    let share = this.momentum ?? 0;
    if (training && track_running_stats && num_batches_tracked !== null) {
      no_grad(() => num_batches_tracked.add_(1));
      // A cumulative average: the count is needed as a number.
      if (this.momentum === null) share = 1 / Number(num_batches_tracked.item());
    }
    const batchStatistics = training || (running_mean === null && running_var === null);
    const tracked = !training || track_running_stats;
    return functional.batch_norm(
      input,
      tracked ? running_mean : null,
      tracked ? running_var : null,
      this.weight,
      this.bias,
      batchStatistics,
      share,
      this.eps,
    );
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html */
export class BatchNorm1d extends BatchNorm {
  constructor(...args: ConstructorArguments<NormArguments, typeof normOrder>) {
    super('BatchNorm1d', args, { affine: true, track_running_stats: true });
  }
  protected override checkInput(input: Tensor): void {
    if (input.ndim !== 2 && input.ndim !== 3) throw new Error(`expected 2D or 3D input (got ${input.ndim}D input)`);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html */
export class BatchNorm2d extends BatchNorm {
  constructor(...args: ConstructorArguments<NormArguments, typeof normOrder>) {
    super('BatchNorm2d', args, { affine: true, track_running_stats: true });
  }
  protected override checkInput(input: Tensor): void {
    if (input.ndim !== 4) throw new Error(`expected 4D input (got ${input.ndim}D input)`);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html */
export class BatchNorm3d extends BatchNorm {
  constructor(...args: ConstructorArguments<NormArguments, typeof normOrder>) {
    super('BatchNorm3d', args, { affine: true, track_running_stats: true });
  }
  protected override checkInput(input: Tensor): void {
    if (input.ndim !== 5) throw new Error(`expected 5D input (got ${input.ndim}D input)`);
  }
}

// ---- lazy ones

export type LazyNormArguments = Omit<NormArguments, 'num_features'>;
export type LazyNormConstructor = ConstructorArguments<LazyNormArguments, typeof lazyOrder>;
const lazyOrder = ['eps', 'momentum', 'affine', 'track_running_stats', 'device', 'dtype'] as const;

/** The arguments of a lazy norm as those of the norm, with no features yet. */
export function lazyArguments(
  name: string,
  args: readonly unknown[],
  defaults: Pick<NormArguments, 'affine' | 'track_running_stats'>,
): [NormArguments] {
  const given = bindConstructor<LazyNormArguments>(
    name,
    lazyOrder,
    { eps: 1e-5, momentum: 0.1, ...defaults, device: null, dtype: null },
    args,
  );
  return [{ num_features: 0, ...given }];
}
/** Gives a lazy norm the features of its first input; from then on it is a norm like any other. */
export function materialize(m: NormBase, features: number, prototype: object): void {
  m.num_features = features;
  for (const t of [m.weight, m.bias, m.running_mean, m.running_var])
    if (t !== null) moveInPlace(t, emptyParameter([features], { dtype: t.dtype, device: t.device }).detach() as Tensor);
  m.reset_parameters();
  Object.setPrototypeOf(m, prototype);
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm1d.html */
export class LazyBatchNorm1d extends BatchNorm1d {
  constructor(...args: LazyNormConstructor) {
    super(...lazyArguments('LazyBatchNorm1d', args, { affine: true, track_running_stats: true }));
  }
  override forward(input: Tensor): Tensor {
    this.checkInput(input);
    materialize(this, input.size(1), BatchNorm1d.prototype);
    return this.forward(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm2d.html */
export class LazyBatchNorm2d extends BatchNorm2d {
  constructor(...args: LazyNormConstructor) {
    super(...lazyArguments('LazyBatchNorm2d', args, { affine: true, track_running_stats: true }));
  }
  override forward(input: Tensor): Tensor {
    this.checkInput(input);
    materialize(this, input.size(1), BatchNorm2d.prototype);
    return this.forward(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyBatchNorm3d.html */
export class LazyBatchNorm3d extends BatchNorm3d {
  constructor(...args: LazyNormConstructor) {
    super(...lazyArguments('LazyBatchNorm3d', args, { affine: true, track_running_stats: true }));
  }
  override forward(input: Tensor): Tensor {
    this.checkInput(input);
    materialize(this, input.size(1), BatchNorm3d.prototype);
    return this.forward(input);
  }
}
