/** Losses as modules: https://docs.pytorch.org/docs/stable/nn.html#loss-functions */
import { reductionOf } from '../ops/loss-call.ts';
import type { Tensor } from '../ops/methods.ts';
import { type BoundConstructor, bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';

interface ReductionArguments {
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
const plainOrder = ['size_average', 'reduce', 'reduction'] as const;

/** `bindConstructor` with the defaults that all of them share. */
const bindLoss = <P extends ReductionArguments>(
  name: string,
  order: readonly (keyof P & string)[],
  defaults: { readonly [K in keyof P]?: P[K] | null },
  args: readonly unknown[],
): BoundConstructor<P> => bindConstructor<P>(name, order, { size_average: null, reduce: null, reduction: 'mean', ...defaults }, args);

/** A loss with PyTorch's two older arguments; without them the reduction's text is kept as it is, and the function checks it. */
abstract class ReducedLoss extends Module {
  reduction: string;
  constructor({ size_average, reduce, reduction }: BoundConstructor<ReductionArguments>) {
    super();
    this.reduction = size_average === null && reduce === null ? reduction : reductionOf(size_average, reduce, reduction);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html */
export class L1Loss extends ReducedLoss {
  constructor(...args: ConstructorArguments<ReductionArguments, typeof plainOrder>) {
    super(bindLoss<ReductionArguments>('L1Loss', plainOrder, {}, args));
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.l1_loss(input, target, { reduction: this.reduction });
  }
}

interface NLLLossArguments extends ReductionArguments {
  readonly weight?: Tensor | null;
  readonly ignore_index?: number;
}
const nllOrder = ['weight', 'size_average', 'ignore_index', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html */
export class NLLLoss extends ReducedLoss {
  ignore_index: number;
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<NLLLossArguments, typeof nllOrder>) {
    const a = bindLoss<NLLLossArguments>('NLLLoss', nllOrder, { weight: null, ignore_index: -100 }, args);
    super(a);
    this.ignore_index = a.ignore_index;
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.nll_loss(input, target, { weight: this.weight, ignore_index: this.ignore_index, reduction: this.reduction });
  }
}

interface PoissonNLLLossArguments extends ReductionArguments {
  readonly log_input?: boolean;
  readonly full?: boolean;
  readonly eps?: number;
}
const poissonNLLOrder = ['log_input', 'full', 'size_average', 'eps', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html */
export class PoissonNLLLoss extends ReducedLoss {
  log_input: boolean;
  full: boolean;
  eps: number;
  constructor(...args: ConstructorArguments<PoissonNLLLossArguments, typeof poissonNLLOrder>) {
    const a = bindLoss<PoissonNLLLossArguments>('PoissonNLLLoss', poissonNLLOrder, { log_input: true, full: false, eps: 1e-8 }, args);
    super(a);
    this.log_input = a.log_input;
    this.full = a.full;
    this.eps = a.eps;
  }
  override forward(log_input: Tensor, target: Tensor): Tensor {
    return functional.poisson_nll_loss(log_input, target, {
      log_input: this.log_input,
      full: this.full,
      eps: this.eps,
      reduction: this.reduction,
    });
  }
}

interface GaussianNLLLossArguments {
  readonly full?: boolean;
  readonly eps?: number;
  readonly reduction?: string;
}
const gaussianNLLLossOrder = ['full', 'eps', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html */
export class GaussianNLLLoss extends Module {
  reduction: string;
  full: boolean;
  eps: number;
  constructor(...args: ConstructorArguments<GaussianNLLLossArguments, typeof gaussianNLLLossOrder>) {
    super();
    const a = bindConstructor<GaussianNLLLossArguments>(
      'GaussianNLLLoss',
      gaussianNLLLossOrder,
      { full: false, eps: 1e-6, reduction: 'mean' },
      args,
    );
    this.reduction = a.reduction;
    this.full = a.full;
    this.eps = a.eps;
  }
  override forward(input: Tensor, target: Tensor, spread: Tensor | number): Tensor {
    return functional.gaussian_nll_loss(input, target, spread as Tensor, { full: this.full, eps: this.eps, reduction: this.reduction });
  }
}

interface KLDivLossArguments extends ReductionArguments {
  readonly log_target?: boolean;
}
const klDivOrder = ['size_average', 'reduce', 'reduction', 'log_target'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html */
export class KLDivLoss extends ReducedLoss {
  log_target: boolean;
  constructor(...args: ConstructorArguments<KLDivLossArguments, typeof klDivOrder>) {
    const a = bindLoss<KLDivLossArguments>('KLDivLoss', klDivOrder, { log_target: false }, args);
    super(a);
    this.log_target = a.log_target;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.kl_div(input, target, { reduction: this.reduction, log_target: this.log_target });
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html */
export class MSELoss extends ReducedLoss {
  constructor(...args: ConstructorArguments<ReductionArguments, typeof plainOrder>) {
    super(bindLoss<ReductionArguments>('MSELoss', plainOrder, {}, args));
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.mse_loss(input, target, { reduction: this.reduction });
  }
}

interface BCELossArguments extends ReductionArguments {
  readonly weight?: Tensor | null;
}
const bceOrder = ['weight', 'size_average', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html */
export class BCELoss extends ReducedLoss {
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<BCELossArguments, typeof bceOrder>) {
    const a = bindLoss<BCELossArguments>('BCELoss', bceOrder, { weight: null }, args);
    super(a);
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.binary_cross_entropy(input, target, { weight: this.weight, reduction: this.reduction });
  }
}

interface BCEWithLogitsLossArguments extends ReductionArguments {
  readonly weight?: Tensor | null;
  readonly pos_weight?: Tensor | null;
}
const bceWithLogitsOrder = ['weight', 'size_average', 'reduce', 'reduction', 'pos_weight'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html */
export class BCEWithLogitsLoss extends ReducedLoss {
  declare weight: Tensor | null;
  declare pos_weight: Tensor | null;
  constructor(...args: ConstructorArguments<BCEWithLogitsLossArguments, typeof bceWithLogitsOrder>) {
    const a = bindLoss<BCEWithLogitsLossArguments>('BCEWithLogitsLoss', bceWithLogitsOrder, { weight: null, pos_weight: null }, args);
    super(a);
    this.register_buffer('weight', a.weight);
    this.register_buffer('pos_weight', a.pos_weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.binary_cross_entropy_with_logits(input, target, {
      weight: this.weight,
      pos_weight: this.pos_weight,
      reduction: this.reduction,
    });
  }
}

interface HingeEmbeddingLossArguments extends ReductionArguments {
  readonly margin?: number;
}
const hingeEmbeddingOrder = ['margin', 'size_average', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html */
export class HingeEmbeddingLoss extends ReducedLoss {
  margin: number;
  constructor(...args: ConstructorArguments<HingeEmbeddingLossArguments, typeof hingeEmbeddingOrder>) {
    const a = bindLoss<HingeEmbeddingLossArguments>('HingeEmbeddingLoss', hingeEmbeddingOrder, { margin: 1 }, args);
    super(a);
    this.margin = a.margin;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.hinge_embedding_loss(input, target, { margin: this.margin, reduction: this.reduction });
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html */
export class MultiLabelMarginLoss extends ReducedLoss {
  constructor(...args: ConstructorArguments<ReductionArguments, typeof plainOrder>) {
    super(bindLoss<ReductionArguments>('MultiLabelMarginLoss', plainOrder, {}, args));
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.multilabel_margin_loss(input, target, { reduction: this.reduction });
  }
}

interface SmoothL1LossArguments extends ReductionArguments {
  readonly beta?: number;
}
const smoothL1Order = ['size_average', 'reduce', 'reduction', 'beta'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html */
export class SmoothL1Loss extends ReducedLoss {
  beta: number;
  constructor(...args: ConstructorArguments<SmoothL1LossArguments, typeof smoothL1Order>) {
    const a = bindLoss<SmoothL1LossArguments>('SmoothL1Loss', smoothL1Order, { beta: 1 }, args);
    super(a);
    this.beta = a.beta;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.smooth_l1_loss(input, target, { reduction: this.reduction, beta: this.beta });
  }
}

interface HuberLossArguments {
  readonly reduction?: string;
  readonly delta?: number;
}
const huberLossOrder = ['reduction', 'delta'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html */
export class HuberLoss extends Module {
  reduction: string;
  delta: number;
  constructor(...args: ConstructorArguments<HuberLossArguments, typeof huberLossOrder>) {
    super();
    const a = bindConstructor<HuberLossArguments>('HuberLoss', huberLossOrder, { reduction: 'mean', delta: 1 }, args);
    this.reduction = a.reduction;
    this.delta = a.delta;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.huber_loss(input, target, { reduction: this.reduction, delta: this.delta });
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html */
export class SoftMarginLoss extends ReducedLoss {
  constructor(...args: ConstructorArguments<ReductionArguments, typeof plainOrder>) {
    super(bindLoss<ReductionArguments>('SoftMarginLoss', plainOrder, {}, args));
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.soft_margin_loss(input, target, { reduction: this.reduction });
  }
}

interface CrossEntropyLossArguments extends ReductionArguments {
  readonly weight?: Tensor | null;
  readonly ignore_index?: number;
  readonly label_smoothing?: number;
}
const crossEntropyOrder = ['weight', 'size_average', 'ignore_index', 'reduce', 'reduction', 'label_smoothing'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html */
export class CrossEntropyLoss extends ReducedLoss {
  ignore_index: number;
  label_smoothing: number;
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<CrossEntropyLossArguments, typeof crossEntropyOrder>) {
    const a = bindLoss<CrossEntropyLossArguments>(
      'CrossEntropyLoss',
      crossEntropyOrder,
      { weight: null, ignore_index: -100, label_smoothing: 0 },
      args,
    );
    super(a);
    this.ignore_index = a.ignore_index;
    this.label_smoothing = a.label_smoothing;
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.cross_entropy(input, target, {
      weight: this.weight,
      ignore_index: this.ignore_index,
      reduction: this.reduction,
      label_smoothing: this.label_smoothing,
    });
  }
}

interface MultiLabelSoftMarginLossArguments extends ReductionArguments {
  readonly weight?: Tensor | null;
}
const multiLabelSoftMarginOrder = ['weight', 'size_average', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html */
export class MultiLabelSoftMarginLoss extends ReducedLoss {
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<MultiLabelSoftMarginLossArguments, typeof multiLabelSoftMarginOrder>) {
    const a = bindLoss<MultiLabelSoftMarginLossArguments>('MultiLabelSoftMarginLoss', multiLabelSoftMarginOrder, { weight: null }, args);
    super(a);
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.multilabel_soft_margin_loss(input, target, { weight: this.weight, reduction: this.reduction });
  }
}

interface CosineEmbeddingLossArguments extends ReductionArguments {
  readonly margin?: number;
}
const cosineEmbeddingOrder = ['margin', 'size_average', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html */
export class CosineEmbeddingLoss extends ReducedLoss {
  margin: number;
  constructor(...args: ConstructorArguments<CosineEmbeddingLossArguments, typeof cosineEmbeddingOrder>) {
    const a = bindLoss<CosineEmbeddingLossArguments>('CosineEmbeddingLoss', cosineEmbeddingOrder, { margin: 0 }, args);
    super(a);
    this.margin = a.margin;
  }
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return functional.cosine_embedding_loss(input1, input2, target, { margin: this.margin, reduction: this.reduction });
  }
}

interface MarginRankingLossArguments extends ReductionArguments {
  readonly margin?: number;
}
const marginRankingOrder = ['margin', 'size_average', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html */
export class MarginRankingLoss extends ReducedLoss {
  margin: number;
  constructor(...args: ConstructorArguments<MarginRankingLossArguments, typeof marginRankingOrder>) {
    const a = bindLoss<MarginRankingLossArguments>('MarginRankingLoss', marginRankingOrder, { margin: 0 }, args);
    super(a);
    this.margin = a.margin;
  }
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return functional.margin_ranking_loss(input1, input2, target, { margin: this.margin, reduction: this.reduction });
  }
}

interface MultiMarginLossArguments extends ReductionArguments {
  readonly p?: number;
  readonly margin?: number;
  readonly weight?: Tensor | null;
}
const multiMarginOrder = ['p', 'margin', 'weight', 'size_average', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html */
export class MultiMarginLoss extends ReducedLoss {
  p: number;
  margin: number;
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<MultiMarginLossArguments, typeof multiMarginOrder>) {
    const a = bindLoss<MultiMarginLossArguments>('MultiMarginLoss', multiMarginOrder, { p: 1, margin: 1, weight: null }, args);
    super(a);
    if (a.p !== 1 && a.p !== 2) throw new Error('only p == 1 and p == 2 supported');
    this.p = a.p;
    this.margin = a.margin;
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.multi_margin_loss(input, target, { p: this.p, margin: this.margin, weight: this.weight, reduction: this.reduction });
  }
}

interface TripletMarginLossArguments extends ReductionArguments {
  readonly margin?: number;
  readonly p?: number;
  readonly eps?: number;
  readonly swap?: boolean;
}
const tripletMarginOrder = ['margin', 'p', 'eps', 'swap', 'size_average', 'reduce', 'reduction'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html */
export class TripletMarginLoss extends ReducedLoss {
  margin: number;
  p: number;
  eps: number;
  swap: boolean;
  constructor(...args: ConstructorArguments<TripletMarginLossArguments, typeof tripletMarginOrder>) {
    const a = bindLoss<TripletMarginLossArguments>(
      'TripletMarginLoss',
      tripletMarginOrder,
      { margin: 1, p: 2, eps: 1e-6, swap: false },
      args,
    );
    super(a);
    if (a.margin <= 0) throw new Error(`TripletMarginLoss: expected margin to be greater than 0, got ${a.margin} instead`);
    this.margin = a.margin;
    this.p = a.p;
    this.eps = a.eps;
    this.swap = a.swap;
  }
  override forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    return functional.triplet_margin_loss(anchor, positive, negative, {
      margin: this.margin,
      p: this.p,
      eps: this.eps,
      swap: this.swap,
      reduction: this.reduction,
    });
  }
}

type Distance = (a: Tensor, b: Tensor) => Tensor;
interface TripletMarginWithDistanceLossArguments {
  readonly distance_function?: Distance | null;
  readonly margin?: number;
  readonly swap?: boolean;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginWithDistanceLoss.html */
export class TripletMarginWithDistanceLoss extends Module {
  distance_function: Distance;
  margin: number;
  swap: boolean;
  reduction: string;
  constructor(options: TripletMarginWithDistanceLossArguments = {}) {
    super();
    const a = bindConstructor<TripletMarginWithDistanceLossArguments>(
      'TripletMarginWithDistanceLoss',
      [],
      { distance_function: null, margin: 1, swap: false, reduction: 'mean' },
      [options],
    );
    if (a.margin <= 0) throw new Error(`TripletMarginWithDistanceLoss: expected margin to be greater than 0, got ${a.margin} instead`);
    this.distance_function = a.distance_function ?? ((x, y) => functional.pairwise_distance(x, y));
    this.margin = a.margin;
    this.swap = a.swap;
    this.reduction = a.reduction;
  }
  override forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    const { distance_function, margin, swap, reduction } = this;
    return functional.triplet_margin_with_distance_loss(anchor, positive, negative, { distance_function, margin, swap, reduction });
  }
}

interface CTCLossArguments {
  readonly blank?: number;
  readonly reduction?: string;
  readonly zero_infinity?: boolean;
}
const ctcLossOrder = ['blank', 'reduction', 'zero_infinity'] as const;
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html */
export class CTCLoss extends Module {
  reduction: string;
  blank: number;
  zero_infinity: boolean;
  constructor(...args: ConstructorArguments<CTCLossArguments, typeof ctcLossOrder>) {
    super();
    const a = bindConstructor<CTCLossArguments>('CTCLoss', ctcLossOrder, { blank: 0, reduction: 'mean', zero_infinity: false }, args);
    this.reduction = a.reduction;
    this.blank = a.blank;
    this.zero_infinity = a.zero_infinity;
  }
  override forward(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | readonly number[],
    target_lengths: Tensor | readonly number[],
  ): Tensor {
    return functional.ctc_loss(
      log_probs,
      targets,
      input_lengths as Tensor,
      target_lengths as Tensor,
      this.blank,
      this.reduction,
      this.zero_infinity,
    );
  }
}
