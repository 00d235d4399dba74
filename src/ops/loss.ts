/**
 * Losses: https://docs.pytorch.org/docs/stable/nn.functional.html#loss-functions
 *
 * Signatures and checks; the formulas are in `loss-bodies.ts` and `loss-classes.ts`. `torch` has some of them too, with numbers for reductions.
 */
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { pairwiseDistance } from './distance-bodies.ts';
import { requireInside } from './host-index.ts';
import { requireValuesInside } from './host-value.ts';
import {
  bceLoss,
  bceWithLogits,
  cosineEmbedding,
  gaussianNll,
  hingeEmbedding,
  huberLoss,
  klDiv,
  l1Loss,
  marginRanking,
  mseLoss,
  multilabelMargin,
  multilabelSoftMargin,
  multiMargin,
  poissonNll,
  smoothL1Loss,
  softMargin,
  tripletMargin,
} from './loss-bodies.ts';
import { type LossCall, type Reduction, reductionNumbers, reductionOf } from './loss-call.ts';
import { crossEntropy, ctcLoss, nllLoss } from './loss-classes.ts';
import { expandTo, reshapeTo } from './shape.ts';
import { use } from './use.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;
const sizeText = (t: Tensor): string => `torch.Size(${shapeList(t.view_.shape)})`;
const sameShape = (a: Tensor, b: Tensor): boolean => a.view_.shape.join() === b.view_.shape.join();
const present = (...tensors: readonly (Tensor | null)[]): Tensor[] => tensors.filter((t): t is Tensor => t !== null);
const plain = (reduction: string): Reduction => reductionOf(null, null, reduction);
const numbered = (reduction: number): Reduction => {
  const found = reductionNumbers[reduction];
  if (found === undefined) throw new Error(`${reduction} is not a valid value for reduction`);
  return found;
};

/** A distance whose entries may be weighted; the mean is then by weight. */
function weighted(
  call: LossCall<null>,
  x: Tensor,
  t: Tensor,
  reduction: Reduction,
  weight: Tensor | null,
  params: readonly number[] = [],
): Tensor {
  if (weight === null) return call([x, t], reduction, { params });
  if (!sameShape(weight, x)) throw new Error('Weights and input must have the same size.');
  const each = use('mul', call([x, t], 'none', { params }), weight);
  if (reduction === 'none') return each;
  return reduction === 'sum' ? use('sum', each) : use('div', use('sum', each), use('sum', weight));
}

function klDivOf(x: Tensor, t: Tensor, reduction: string, logTarget: boolean): Tensor {
  const options = { extra: logTarget, extraKey: `${logTarget}` };
  if (reduction !== 'batchmean') return klDiv([x, t], plain(reduction), options);
  const total = klDiv([x, t], 'sum', options);
  return x.ndim === 0 ? total : use('div', total, x.view_.shape[0]);
}

const poissonOf = (x: Tensor, t: Tensor, logInput: boolean, full: boolean, eps: number, reduction: Reduction): Tensor =>
  poissonNll([x, t], reduction, { params: [eps], extra: { logInput, full }, extraKey: `${logInput}${full}` });

function gaussianOf(x: Tensor, t: Tensor, variance: Tensor | number, full: boolean, eps: number, reduction: Reduction): Tensor {
  let spread: Tensor;
  if (typeof variance === 'number') {
    if (variance < 0) throw new Error('var has negative entry/entries');
    spread = use('full_like', x, variance);
  } else {
    requireValuesInside(variance, 0, Number.POSITIVE_INFINITY, 'var has negative entry/entries');
    spread = variance;
    if (!sameShape(x, variance)) {
      const lead = x.view_.shape.slice(0, -1);
      if (lead.join() === variance.view_.shape.join()) spread = reshapeTo(variance, [...variance.view_.shape, 1]);
      else {
        const differing = variance.view_.shape.filter((d, i) => d !== x.view_.shape[i]);
        if (x.ndim !== variance.ndim || differing.reduce((a, b) => a + b, 0) !== 1) throw new Error('var is of incorrect size');
      }
    }
  }
  return gaussianNll([x, t, spread], reduction, { params: [eps], extra: full, extraKey: `${full}` });
}

function bceOf(x: Tensor, t: Tensor, weight: Tensor | null, reduction: Reduction): Tensor {
  if (!sameShape(x, t))
    throw new Error(
      `Using a target size (${sizeText(t)}) that is different to the input size (${sizeText(x)}) is deprecated. Please ensure they have the same size.`,
    );
  requireValuesInside(x, 0, 1, 'all elements of input should be between 0 and 1');
  requireValuesInside(t, 0, 1, 'all elements of target should be between 0 and 1');
  return bceLoss(present(x, t, weight === null ? null : expandTo(weight, x.view_.shape)), reduction);
}
function bceLogitsOf(x: Tensor, t: Tensor, weight: Tensor | null, positive: Tensor | null, reduction: Reduction): Tensor {
  if (!sameShape(x, t)) throw new Error(`Target size (${sizeText(t)}) must be the same as input size (${sizeText(x)})`);
  return bceWithLogits(present(x, t, weight, positive), reduction, {
    extra: { weight: weight !== null, positive: positive !== null },
    extraKey: `${weight !== null}${positive !== null}`,
  });
}

function rankingOf(a: Tensor, b: Tensor, t: Tensor, margin: number, reduction: Reduction): Tensor {
  if (a.ndim !== b.ndim || a.ndim !== t.ndim)
    throw new Error(
      `margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: ${sizeText(a)}, input2: ${sizeText(b)}, target: ${sizeText(t)} `,
    );
  return marginRanking([a, b, t], reduction, { params: [margin] });
}

function cosineOf(a: Tensor, b: Tensor, t: Tensor, margin: number, reduction: Reduction): Tensor {
  const sizes = (): string => `${shapeList(a.view_.shape)} and ${shapeList(b.view_.shape)}.`;
  if (t.ndim > 1) throw new Error('0D or 1D target tensor expected, multi-target not supported');
  if (t.ndim === 1 && (a.ndim !== 2 || b.ndim !== 2))
    throw new Error(`1D target tensor expects 2D input tensors, but found inputs with sizes ${sizes()}`);
  if (t.ndim === 0 && (a.ndim !== 1 || b.ndim !== 1))
    throw new Error(`0D target tensor expects 1D input tensors, but found inputs with sizes ${sizes()}`);
  return cosineEmbedding([a, b, t], reduction, { params: [margin] });
}

function checkTriplet(a: Tensor, p: Tensor, n: Tensor, margin: number): void {
  if (margin <= 0) throw new Error(`margin must be greater than 0, got ${margin}`);
  if (a.ndim !== p.ndim || a.ndim !== n.ndim)
    throw new Error(
      `The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor ${a.ndim}D, positive ${p.ndim}D, and negative ${n.ndim}D inputs`,
    );
}
type Distance = (a: Tensor, b: Tensor) => Tensor;
function tripletOf(a: Tensor, p: Tensor, n: Tensor, distance: Distance, margin: number, swap: boolean, reduction: Reduction): Tensor {
  const operands = [distance(a, p), distance(a, n), ...(swap ? [distance(p, n)] : [])];
  return tripletMargin(operands, reduction, { params: [margin] });
}
function multiMarginOf(x: Tensor, target: Tensor, p: number, margin: number, weight: Tensor | null, reduction: Reduction): Tensor {
  if (p !== 1 && p !== 2) throw new Error('only p == 1 and p == 2 supported');
  if (weight !== null && weight.ndim !== 1) throw new Error('weight must be one-dimensional');
  const { shape } = x.view_;
  if (x.ndim > 2 || shape[x.ndim - 1] === 0)
    throw new Error(`Expected non-empty vector or matrix with optional 0-dim batch size, but got: ${shapeList(shape)}`);
  const rows = x.ndim === 2 ? shape[0] : 1;
  if (target.ndim > 1 || target.view_.numel !== rows)
    throw new Error(`inconsistent target size, expected ${rows} but got ${shapeList(target.view_.shape)}`);
  const matrix = reshapeTo(x, [rows, x.ndim === 0 ? 1 : shape[x.ndim - 1]]);
  requireInside(target, 0, matrix.view_.shape[1], () => new RangeError('target out of range'));
  const operands = present(matrix, reshapeTo(target, [rows]), weight);
  const out = multiMargin(operands, reduction, { params: [margin], extra: p, extraKey: `${p}` });
  return reduction === 'none' && x.ndim < 2 ? reshapeTo(out, target.view_.shape) : out;
}
function multilabelMarginOf(x: Tensor, target: Tensor, reduction: Reduction): Tensor {
  const { shape } = x.view_;
  if (x.ndim > 2 || shape[x.ndim - 1] === 0)
    throw new Error(`Expected non-empty vector or matrix with optional 0-dim batch size, but got: ${shapeList(shape)}`);
  if (!sameShape(x, target))
    throw new Error(`inconsistent target size: ${shapeList(target.view_.shape)} for input of size: ${shapeList(shape)}`);
  const rows = x.ndim === 2 ? shape[0] : 1;
  const classes = x.ndim === 0 ? 1 : shape[x.ndim - 1];
  requireInside(target, -1, classes, () => new RangeError('target out of range'));
  const out = multilabelMargin([reshapeTo(x, [rows, classes]), reshapeTo(target, [rows, classes])], reduction);
  return reduction === 'none' && x.ndim < 2 ? reshapeTo(out, []) : out;
}

/** Of `torch`: reductions are 0 (none), 1 (mean), 2 (sum). */
export const torchLosses = {
  kl_div: declare(
    { doc: `Kullback-Leibler divergence. ${page('kl_div')}`, as: 'function' },
    overload('kl_div(Tensor self, Tensor target, int reduction=1, *, bool log_target=False) -> Tensor', (x, t, reduction, logTarget) =>
      klDivOf(x, t, numbered(reduction), logTarget),
    ),
  ),
  poisson_nll_loss: declare(
    { doc: `Negative log likelihood of a Poisson distribution. ${page('poisson_nll_loss')}`, as: 'function' },
    overload(
      'poisson_nll_loss(Tensor input, Tensor target, bool log_input, bool full, float eps, int reduction) -> Tensor',
      (x, t, logInput, full, eps, reduction) => poissonOf(x, t, logInput, full, eps, numbered(reduction)),
    ),
  ),
  cosine_embedding_loss: declare(
    { doc: `Whether two vectors should be alike. ${page('cosine_embedding_loss')}`, as: 'function' },
    overload(
      'cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor',
      (a, b, t, margin, reduction) => cosineOf(a, b, t, margin, numbered(reduction)),
    ),
  ),
  hinge_embedding_loss: declare(
    { doc: `Hinge loss of distances. ${page('hinge_embedding_loss')}`, as: 'function' },
    overload('hinge_embedding_loss(Tensor self, Tensor target, float margin=1.0, int reduction=1) -> Tensor', (x, t, margin, reduction) =>
      hingeEmbedding([x, t], numbered(reduction), { params: [margin] }),
    ),
  ),
  margin_ranking_loss: declare(
    { doc: `Which of two should be the larger. ${page('margin_ranking_loss')}`, as: 'function' },
    overload(
      'margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0.0, int reduction=1) -> Tensor',
      (a, b, t, margin, reduction) => rankingOf(a, b, t, margin, numbered(reduction)),
    ),
  ),
  triplet_margin_loss: declare(
    { doc: `A positive nearer than a negative. ${page('triplet_margin_loss')}`, as: 'function' },
    overload(
      'triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2.0, float eps=1e-06, bool swap=False, int reduction=1) -> Tensor',
      (a, p, n, margin, norm, eps, swap, reduction) => {
        checkTriplet(a, p, n, margin);
        return tripletOf(a, p, n, (x, y) => pairwiseDistance(x, y, norm, eps, false), margin, swap, numbered(reduction));
      },
    ),
  ),
  binary_cross_entropy_with_logits: declare(
    { doc: `Cross-entropy of logits. ${page('binary_cross_entropy_with_logits')}`, as: 'function' },
    overload(
      'binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor',
      (x, t, weight, positive, reduction) => bceLogitsOf(x, t, weight, positive, numbered(reduction)),
    ),
  ),
  ctc_loss: declare(
    { doc: `Connectionist temporal classification. ${page('ctc_loss')}`, as: 'function' },
    overload(
      'ctc_loss.IntList(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor',
      (x, targets, ins, outs, blank, reduction, zeroInfinity) => ctcLoss(x, targets, ins, outs, blank, numbered(reduction), zeroInfinity),
    ),
    overload(
      'ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor',
      (x, targets, ins, outs, blank, reduction, zeroInfinity) => ctcLoss(x, targets, ins, outs, blank, numbered(reduction), zeroInfinity),
    ),
  ),
};

/** Of `nn.functional`. */
export const losses = {
  l1_loss: declare(
    { doc: `Absolute differences. ${page('l1_loss')}`, as: 'function' },
    overload(
      'l1_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction=mean, Tensor? weight=None) -> Tensor',
      (x, t, average, reduce, reduction, weight) => weighted(l1Loss, x, t, reductionOf(average, reduce, reduction), weight),
    ),
  ),
  mse_loss: declare(
    { doc: `Squared differences. ${page('mse_loss')}`, as: 'function' },
    overload(
      'mse_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction=mean, Tensor? weight=None) -> Tensor',
      (x, t, average, reduce, reduction, weight) => weighted(mseLoss, x, t, reductionOf(average, reduce, reduction), weight),
    ),
  ),
  smooth_l1_loss: declare(
    { doc: `Squared below beta, absolute above. ${page('smooth_l1_loss')}`, as: 'function' },
    overload(
      'smooth_l1_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction=mean, float beta=1.0) -> Tensor',
      (x, t, average, reduce, reduction, beta) => {
        if (beta < 0) throw new Error('smooth_l1_loss does not support negative values for beta.');
        const how = reductionOf(average, reduce, reduction);
        return beta === 0 ? l1Loss([x, t], how) : smoothL1Loss([x, t], how, { params: [beta] });
      },
    ),
  ),
  huber_loss: declare(
    { doc: `Squared below delta, linear above. ${page('huber_loss')}`, as: 'function' },
    overload(
      'huber_loss(Tensor input, Tensor target, str reduction=mean, float delta=1.0, Tensor? weight=None) -> Tensor',
      (x, t, reduction, delta, weight) => {
        if (delta <= 0) throw new Error('huber_loss does not support non-positive values for delta.');
        return weighted(huberLoss, x, t, plain(reduction), weight, [delta]);
      },
    ),
  ),
  cross_entropy: declare(
    { doc: `Cross-entropy of logits against class indices or probabilities. ${page('cross_entropy')}`, as: 'function' },
    overload(
      'cross_entropy(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, SymInt ignore_index=-100, bool? reduce=None, str reduction=mean, float label_smoothing=0.0) -> Tensor',
      (x, target, weight, average, ignore, reduce, reduction, smoothing) =>
        crossEntropy(x, target, weight, reductionOf(average, reduce, reduction), ignore, smoothing),
    ),
  ),
  nll_loss: declare(
    { doc: `Negative log likelihood of class indices. ${page('nll_loss')}`, as: 'function' },
    overload(
      'nll_loss(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, SymInt ignore_index=-100, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, target, weight, average, ignore, reduce, reduction) =>
        nllLoss(x, target, weight, reductionOf(average, reduce, reduction), ignore),
    ),
  ),
  kl_div: declare(
    { doc: `Kullback-Leibler divergence. ${page('kl_div')}`, as: 'function' },
    overload(
      'kl_div(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction=mean, bool log_target=False) -> Tensor',
      (x, t, average, reduce, reduction, logTarget) =>
        klDivOf(x, t, average === null && reduce === null ? reduction : reductionOf(average, reduce, reduction), logTarget),
    ),
  ),
  poisson_nll_loss: declare(
    { doc: `Negative log likelihood of a Poisson distribution. ${page('poisson_nll_loss')}`, as: 'function' },
    overload(
      'poisson_nll_loss(Tensor input, Tensor target, bool log_input=True, bool full=False, bool? size_average=None, float eps=1e-08, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, t, logInput, full, average, eps, reduce, reduction) =>
        poissonOf(x, t, logInput, full, eps, reductionOf(average, reduce, reduction)),
    ),
  ),
  gaussian_nll_loss: declare(
    { doc: `Negative log likelihood of a normal distribution. ${page('gaussian_nll_loss')}`, as: 'function' },
    overload(
      'gaussian_nll_loss(Tensor input, Tensor target, Tensor var, bool full=False, float eps=1e-06, str reduction=mean) -> Tensor',
      (x, t, variance, full, eps, reduction) => gaussianOf(x, t, variance, full, eps, plain(reduction)),
    ),
    overload(
      'gaussian_nll_loss(Tensor input, Tensor target, float var, bool full=False, float eps=1e-06, str reduction=mean) -> Tensor',
      (x, t, variance, full, eps, reduction) => gaussianOf(x, t, variance, full, eps, plain(reduction)),
    ),
  ),
  binary_cross_entropy: declare(
    { doc: `Cross-entropy of probabilities. ${page('binary_cross_entropy')}`, as: 'function' },
    overload(
      'binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, t, weight, average, reduce, reduction) => bceOf(x, t, weight, reductionOf(average, reduce, reduction)),
    ),
  ),
  binary_cross_entropy_with_logits: declare(
    { doc: `Cross-entropy of logits. ${page('binary_cross_entropy_with_logits')}`, as: 'function' },
    overload(
      'binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str reduction=mean, Tensor? pos_weight=None) -> Tensor',
      (x, t, weight, average, reduce, reduction, positive) => bceLogitsOf(x, t, weight, positive, reductionOf(average, reduce, reduction)),
    ),
  ),
  hinge_embedding_loss: declare(
    { doc: `Hinge loss of distances. ${page('hinge_embedding_loss')}`, as: 'function' },
    overload(
      'hinge_embedding_loss(Tensor input, Tensor target, float margin=1.0, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, t, margin, average, reduce, reduction) => hingeEmbedding([x, t], reductionOf(average, reduce, reduction), { params: [margin] }),
    ),
  ),
  margin_ranking_loss: declare(
    { doc: `Which of two should be the larger. ${page('margin_ranking_loss')}`, as: 'function' },
    overload(
      'margin_ranking_loss(Tensor input1, Tensor input2, Tensor target, float margin=0, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (a, b, t, margin, average, reduce, reduction) => rankingOf(a, b, t, margin, reductionOf(average, reduce, reduction)),
    ),
  ),
  multi_margin_loss: declare(
    { doc: `Hinge loss of the right class against all others. ${page('multi_margin_loss')}`, as: 'function' },
    overload(
      'multi_margin_loss(Tensor input, Tensor target, int p=1, float margin=1.0, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, target, p, margin, weight, average, reduce, reduction) =>
        multiMarginOf(x, target, p, margin, weight, reductionOf(average, reduce, reduction)),
    ),
  ),
  multilabel_margin_loss: declare(
    { doc: `Hinge loss of several classes against all others. ${page('multilabel_margin_loss')}`, as: 'function' },
    overload(
      'multilabel_margin_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, target, average, reduce, reduction) => multilabelMarginOf(x, target, reductionOf(average, reduce, reduction)),
    ),
  ),
  multilabel_soft_margin_loss: declare(
    { doc: `Mean logistic loss over classes. ${page('multilabel_soft_margin_loss')}`, as: 'function' },
    overload(
      'multilabel_soft_margin_loss(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, t, weight, average, reduce, reduction) => multilabelSoftMargin(present(x, t, weight), reductionOf(average, reduce, reduction)),
    ),
  ),
  soft_margin_loss: declare(
    { doc: `log(1 + exp(-y x)). ${page('soft_margin_loss')}`, as: 'function' },
    overload(
      'soft_margin_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (x, t, average, reduce, reduction) => softMargin([x, t], reductionOf(average, reduce, reduction)),
    ),
  ),
  cosine_embedding_loss: declare(
    { doc: `Whether two vectors should be alike. ${page('cosine_embedding_loss')}`, as: 'function' },
    overload(
      'cosine_embedding_loss(Tensor input1, Tensor input2, Tensor target, float margin=0, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (a, b, t, margin, average, reduce, reduction) => cosineOf(a, b, t, margin, reductionOf(average, reduce, reduction)),
    ),
  ),
  triplet_margin_loss: declare(
    { doc: `A positive nearer than a negative. ${page('triplet_margin_loss')}`, as: 'function' },
    overload(
      'triplet_margin_loss(Tensor anchor, Tensor positive, Tensor negative, float margin=1.0, float p=2, float eps=1e-06, bool swap=False, bool? size_average=None, bool? reduce=None, str reduction=mean) -> Tensor',
      (a, p, n, margin, norm, eps, swap, average, reduce, reduction) => {
        checkTriplet(a, p, n, margin);
        const distance: Distance = (x, y) => pairwiseDistance(x, y, norm, eps, false);
        return tripletOf(a, p, n, distance, margin, swap, reductionOf(average, reduce, reduction));
      },
    ),
  ),
  triplet_margin_with_distance_loss: declare(
    { doc: `The same with a distance of one's own. ${page('triplet_margin_with_distance_loss')}`, as: 'function' },
    overload(
      'triplet_margin_with_distance_loss(Tensor anchor, Tensor positive, Tensor negative, *, Callable? distance_function=None, float margin=1.0, bool swap=False, str reduction=mean) -> Tensor',
      (a, p, n, distance, margin, swap, reduction) => {
        checkTriplet(a, p, n, margin);
        const own = distance as Distance | null;
        return tripletOf(a, p, n, own ?? ((x, y) => pairwiseDistance(x, y, 2, 1e-6, false)), margin, swap, plain(reduction));
      },
    ),
  ),
  ctc_loss: declare(
    { doc: `Connectionist temporal classification. ${page('ctc_loss')}`, as: 'function' },
    overload(
      'ctc_loss.IntList(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, int blank=0, str reduction=mean, bool zero_infinity=False) -> Tensor',
      (x, targets, ins, outs, blank, reduction, zeroInfinity) => ctcLoss(x, targets, ins, outs, blank, plain(reduction), zeroInfinity),
    ),
    overload(
      'ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, str reduction=mean, bool zero_infinity=False) -> Tensor',
      (x, targets, ins, outs, blank, reduction, zeroInfinity) => ctcLoss(x, targets, ins, outs, blank, plain(reduction), zeroInfinity),
    ),
  ),
};
