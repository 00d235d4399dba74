/** Losses as modules: https://docs.pytorch.org/docs/stable/nn.html#loss-functions */
import { reductionOf } from '../ops/loss-call.ts';
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';

/** The reduction that PyTorch's two older arguments mean; without them the text itself, which the function checks. */
const legacy = (average: boolean | null, reduce: boolean | null, reduction: string): string =>
  average === null && reduce === null ? reduction : reductionOf(average, reduce, reduction);

interface L1LossArguments {
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html */
export class L1Loss extends Module {
  reduction: string;
  constructor(...args: ConstructorArguments<L1LossArguments, ['size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<L1LossArguments>(
      'L1Loss',
      ['size_average', 'reduce', 'reduction'],
      { size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.l1_loss(input, target, { reduction: this.reduction });
  }
}

interface NLLLossArguments {
  readonly weight?: Tensor | null;
  readonly size_average?: boolean | null;
  readonly ignore_index?: number;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html */
export class NLLLoss extends Module {
  reduction: string;
  ignore_index: number;
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<NLLLossArguments, ['weight', 'size_average', 'ignore_index', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<NLLLossArguments>(
      'NLLLoss',
      ['weight', 'size_average', 'ignore_index', 'reduce', 'reduction'],
      { weight: null, size_average: null, ignore_index: -100, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.ignore_index = a.ignore_index;
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.nll_loss(input, target, { weight: this.weight, ignore_index: this.ignore_index, reduction: this.reduction });
  }
}

interface PoissonNLLLossArguments {
  readonly log_input?: boolean;
  readonly full?: boolean;
  readonly size_average?: boolean | null;
  readonly eps?: number;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html */
export class PoissonNLLLoss extends Module {
  reduction: string;
  log_input: boolean;
  full: boolean;
  eps: number;
  constructor(...args: ConstructorArguments<PoissonNLLLossArguments, ['log_input', 'full', 'size_average', 'eps', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<PoissonNLLLossArguments>(
      'PoissonNLLLoss',
      ['log_input', 'full', 'size_average', 'eps', 'reduce', 'reduction'],
      { log_input: true, full: false, size_average: null, eps: 1e-8, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
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
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html */
export class GaussianNLLLoss extends Module {
  reduction: string;
  full: boolean;
  eps: number;
  constructor(...args: ConstructorArguments<GaussianNLLLossArguments, ['full', 'eps', 'reduction']>) {
    super();
    const a = bindConstructor<GaussianNLLLossArguments>(
      'GaussianNLLLoss',
      ['full', 'eps', 'reduction'],
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

interface KLDivLossArguments {
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
  readonly log_target?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html */
export class KLDivLoss extends Module {
  reduction: string;
  log_target: boolean;
  constructor(...args: ConstructorArguments<KLDivLossArguments, ['size_average', 'reduce', 'reduction', 'log_target']>) {
    super();
    const a = bindConstructor<KLDivLossArguments>(
      'KLDivLoss',
      ['size_average', 'reduce', 'reduction', 'log_target'],
      { size_average: null, reduce: null, reduction: 'mean', log_target: false },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.log_target = a.log_target;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.kl_div(input, target, { reduction: this.reduction, log_target: this.log_target });
  }
}

interface MSELossArguments {
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html */
export class MSELoss extends Module {
  reduction: string;
  constructor(...args: ConstructorArguments<MSELossArguments, ['size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<MSELossArguments>(
      'MSELoss',
      ['size_average', 'reduce', 'reduction'],
      { size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.mse_loss(input, target, { reduction: this.reduction });
  }
}

interface BCELossArguments {
  readonly weight?: Tensor | null;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html */
export class BCELoss extends Module {
  reduction: string;
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<BCELossArguments, ['weight', 'size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<BCELossArguments>(
      'BCELoss',
      ['weight', 'size_average', 'reduce', 'reduction'],
      { weight: null, size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.binary_cross_entropy(input, target, { weight: this.weight, reduction: this.reduction });
  }
}

interface BCEWithLogitsLossArguments {
  readonly weight?: Tensor | null;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
  readonly pos_weight?: Tensor | null;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html */
export class BCEWithLogitsLoss extends Module {
  reduction: string;
  declare weight: Tensor | null;
  declare pos_weight: Tensor | null;
  constructor(...args: ConstructorArguments<BCEWithLogitsLossArguments, ['weight', 'size_average', 'reduce', 'reduction', 'pos_weight']>) {
    super();
    const a = bindConstructor<BCEWithLogitsLossArguments>(
      'BCEWithLogitsLoss',
      ['weight', 'size_average', 'reduce', 'reduction', 'pos_weight'],
      { weight: null, size_average: null, reduce: null, reduction: 'mean', pos_weight: null },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
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

interface HingeEmbeddingLossArguments {
  readonly margin?: number;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html */
export class HingeEmbeddingLoss extends Module {
  reduction: string;
  margin: number;
  constructor(...args: ConstructorArguments<HingeEmbeddingLossArguments, ['margin', 'size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<HingeEmbeddingLossArguments>(
      'HingeEmbeddingLoss',
      ['margin', 'size_average', 'reduce', 'reduction'],
      { margin: 1, size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.margin = a.margin;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.hinge_embedding_loss(input, target, { margin: this.margin, reduction: this.reduction });
  }
}

interface MultiLabelMarginLossArguments {
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelMarginLoss.html */
export class MultiLabelMarginLoss extends Module {
  reduction: string;
  constructor(...args: ConstructorArguments<MultiLabelMarginLossArguments, ['size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<MultiLabelMarginLossArguments>(
      'MultiLabelMarginLoss',
      ['size_average', 'reduce', 'reduction'],
      { size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.multilabel_margin_loss(input, target, { reduction: this.reduction });
  }
}

interface SmoothL1LossArguments {
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
  readonly beta?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html */
export class SmoothL1Loss extends Module {
  reduction: string;
  beta: number;
  constructor(...args: ConstructorArguments<SmoothL1LossArguments, ['size_average', 'reduce', 'reduction', 'beta']>) {
    super();
    const a = bindConstructor<SmoothL1LossArguments>(
      'SmoothL1Loss',
      ['size_average', 'reduce', 'reduction', 'beta'],
      { size_average: null, reduce: null, reduction: 'mean', beta: 1 },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
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
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html */
export class HuberLoss extends Module {
  reduction: string;
  delta: number;
  constructor(...args: ConstructorArguments<HuberLossArguments, ['reduction', 'delta']>) {
    super();
    const a = bindConstructor<HuberLossArguments>('HuberLoss', ['reduction', 'delta'], { reduction: 'mean', delta: 1 }, args);
    this.reduction = a.reduction;
    this.delta = a.delta;
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.huber_loss(input, target, { reduction: this.reduction, delta: this.delta });
  }
}

interface SoftMarginLossArguments {
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html */
export class SoftMarginLoss extends Module {
  reduction: string;
  constructor(...args: ConstructorArguments<SoftMarginLossArguments, ['size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<SoftMarginLossArguments>(
      'SoftMarginLoss',
      ['size_average', 'reduce', 'reduction'],
      { size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.soft_margin_loss(input, target, { reduction: this.reduction });
  }
}

interface CrossEntropyLossArguments {
  readonly weight?: Tensor | null;
  readonly size_average?: boolean | null;
  readonly ignore_index?: number;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
  readonly label_smoothing?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html */
export class CrossEntropyLoss extends Module {
  reduction: string;
  ignore_index: number;
  label_smoothing: number;
  declare weight: Tensor | null;
  constructor(
    ...args: ConstructorArguments<
      CrossEntropyLossArguments,
      ['weight', 'size_average', 'ignore_index', 'reduce', 'reduction', 'label_smoothing']
    >
  ) {
    super();
    const a = bindConstructor<CrossEntropyLossArguments>(
      'CrossEntropyLoss',
      ['weight', 'size_average', 'ignore_index', 'reduce', 'reduction', 'label_smoothing'],
      { weight: null, size_average: null, ignore_index: -100, reduce: null, reduction: 'mean', label_smoothing: 0 },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
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

interface MultiLabelSoftMarginLossArguments {
  readonly weight?: Tensor | null;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiLabelSoftMarginLoss.html */
export class MultiLabelSoftMarginLoss extends Module {
  reduction: string;
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<MultiLabelSoftMarginLossArguments, ['weight', 'size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<MultiLabelSoftMarginLossArguments>(
      'MultiLabelSoftMarginLoss',
      ['weight', 'size_average', 'reduce', 'reduction'],
      { weight: null, size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.multilabel_soft_margin_loss(input, target, { weight: this.weight, reduction: this.reduction });
  }
}

interface CosineEmbeddingLossArguments {
  readonly margin?: number;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html */
export class CosineEmbeddingLoss extends Module {
  reduction: string;
  margin: number;
  constructor(...args: ConstructorArguments<CosineEmbeddingLossArguments, ['margin', 'size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<CosineEmbeddingLossArguments>(
      'CosineEmbeddingLoss',
      ['margin', 'size_average', 'reduce', 'reduction'],
      { margin: 0, size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.margin = a.margin;
  }
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return functional.cosine_embedding_loss(input1, input2, target, { margin: this.margin, reduction: this.reduction });
  }
}

interface MarginRankingLossArguments {
  readonly margin?: number;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html */
export class MarginRankingLoss extends Module {
  reduction: string;
  margin: number;
  constructor(...args: ConstructorArguments<MarginRankingLossArguments, ['margin', 'size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<MarginRankingLossArguments>(
      'MarginRankingLoss',
      ['margin', 'size_average', 'reduce', 'reduction'],
      { margin: 0, size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.margin = a.margin;
  }
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    return functional.margin_ranking_loss(input1, input2, target, { margin: this.margin, reduction: this.reduction });
  }
}

interface MultiMarginLossArguments {
  readonly p?: number;
  readonly margin?: number;
  readonly weight?: Tensor | null;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiMarginLoss.html */
export class MultiMarginLoss extends Module {
  reduction: string;
  p: number;
  margin: number;
  declare weight: Tensor | null;
  constructor(...args: ConstructorArguments<MultiMarginLossArguments, ['p', 'margin', 'weight', 'size_average', 'reduce', 'reduction']>) {
    super();
    const a = bindConstructor<MultiMarginLossArguments>(
      'MultiMarginLoss',
      ['p', 'margin', 'weight', 'size_average', 'reduce', 'reduction'],
      { p: 1, margin: 1, weight: null, size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    if (a.p !== 1 && a.p !== 2) throw new Error('only p == 1 and p == 2 supported');
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
    this.p = a.p;
    this.margin = a.margin;
    this.register_buffer('weight', a.weight);
  }
  override forward(input: Tensor, target: Tensor): Tensor {
    return functional.multi_margin_loss(input, target, { p: this.p, margin: this.margin, weight: this.weight, reduction: this.reduction });
  }
}

interface TripletMarginLossArguments {
  readonly margin?: number;
  readonly p?: number;
  readonly eps?: number;
  readonly swap?: boolean;
  readonly size_average?: boolean | null;
  readonly reduce?: boolean | null;
  readonly reduction?: string;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html */
export class TripletMarginLoss extends Module {
  reduction: string;
  margin: number;
  p: number;
  eps: number;
  swap: boolean;
  constructor(
    ...args: ConstructorArguments<TripletMarginLossArguments, ['margin', 'p', 'eps', 'swap', 'size_average', 'reduce', 'reduction']>
  ) {
    super();
    const a = bindConstructor<TripletMarginLossArguments>(
      'TripletMarginLoss',
      ['margin', 'p', 'eps', 'swap', 'size_average', 'reduce', 'reduction'],
      { margin: 1, p: 2, eps: 1e-6, swap: false, size_average: null, reduce: null, reduction: 'mean' },
      args,
    );
    if (a.margin <= 0) throw new Error(`TripletMarginLoss: expected margin to be greater than 0, got ${a.margin} instead`);
    this.reduction = legacy(a.size_average, a.reduce, a.reduction);
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
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html */
export class CTCLoss extends Module {
  reduction: string;
  blank: number;
  zero_infinity: boolean;
  constructor(...args: ConstructorArguments<CTCLossArguments, ['blank', 'reduction', 'zero_infinity']>) {
    super();
    const a = bindConstructor<CTCLossArguments>(
      'CTCLoss',
      ['blank', 'reduction', 'zero_infinity'],
      { blank: 0, reduction: 'mean', zero_infinity: false },
      args,
    );
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
