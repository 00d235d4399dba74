/** Formulas of the losses that compare an input with a target, entry by entry or row by row. */
import type { DType } from '../dtype/dtype.ts';
import { constant, iota, type Prim } from '../graph/prim.ts';
import { requireFloating } from './activation-bodies.ts';
import { lossCall } from './loss-call.ts';

const logSigmoid = (x: Prim): Prim => x.minimum(0).sub(x.scalar('abs').neg().exp().scalar('log1p'));
const sigmoid = (x: Prim): Prim => constant(1, x.dtype).expand(x.shape).div(x.neg().exp().add(1));
/** PyTorch's clamp_min(0): at zero the gradient passes. */
const clampLow = (x: Prim): Prim => x.ge(0).where(x, 0);
const signOf = (x: Prim): Prim =>
  x.gt(0).where(constant(1, x.dtype).expand(x.shape), x.lt(0).where(constant(-1, x.dtype).expand(x.shape), 0));
const floating =
  (kernel: string) =>
  (compute: DType): void =>
    requireFloating(kernel, compute);

// ---- distances between input and target

export const l1Loss = lossCall({ name: 'l1_loss', kind: 'COMPLEX_TO_FLOAT', body: ([x, t]) => x.sub(t).scalar('abs').real });
export const mseLoss = lossCall({
  name: 'mse_loss',
  kind: 'DEFAULT',
  body: ([x, t]) => x.sub(t).mul(x.sub(t)),
  check: (compute) => {
    if (!compute.is_complex) requireFloating('mse_cpu', compute);
  },
});
export const smoothL1Loss = lossCall({
  name: 'smooth_l1_loss',
  kind: 'DEFAULT',
  body: ([x, t], [beta]) => {
    const z = x.sub(t).scalar('abs');
    return z.lt(beta).where(z.mul(0.5).mul(z).div(beta), z.sub(beta.mul(0.5)));
  },
  gradient: (g, [x, t], [beta]) => {
    const d = x.sub(t);
    const slope = d.scalar('abs').lt(beta).where(d.div(beta), signOf(d)).mul(g);
    return [slope, slope.neg()];
  },
  check: floating('smooth_l1_cpu'),
});
export const huberLoss = lossCall({
  name: 'huber_loss',
  kind: 'DEFAULT',
  body: ([x, t], [delta]) => {
    const z = x.sub(t).scalar('abs');
    return z.le(delta).where(z.mul(0.5).mul(z), delta.mul(z.sub(delta.mul(0.5))));
  },
  gradient: (g, [x, t], [delta]) => {
    const d = x.sub(t);
    const slope = d.scalar('abs').lt(delta).where(d, signOf(d).mul(delta)).mul(g);
    return [slope, slope.neg()];
  },
  check: floating('huber_cpu'),
});

// ---- likelihoods

/** `true`: the target is a log probability. */
export const klDiv = lossCall<boolean>({
  name: 'kl_div',
  body: ([x, t], _, logTarget) => {
    if (logTarget) return t.exp().mul(t.sub(x));
    const zero = t.eq(0);
    const entropy = zero.where(0, t.mul(zero.where(1, t).log()));
    return entropy.sub(t.mul(x));
  },
});
interface PoissonExtra {
  readonly logInput: boolean;
  readonly full: boolean;
}
export const poissonNll = lossCall<PoissonExtra>({
  name: 'poisson_nll_loss',
  body: ([x, t], [eps], { logInput, full }) => {
    const loss = logInput ? x.exp().sub(t.mul(x)) : x.sub(t.mul(x.add(eps).log()));
    if (!full) return loss;
    // Stirling's approximation of log t!, for t > 1.
    const stirling = t
      .mul(t.log())
      .sub(t)
      .add(
        t
          .mul(2 * Math.PI)
          .log()
          .mul(0.5),
      );
    return loss.add(t.le(1).where(0, stirling));
  },
});
/** The variance is at least eps; its gradient passes there all the same. */
export const gaussianNll = lossCall<boolean>({
  name: 'gaussian_nll_loss',
  body: ([x, t, variance], [eps], full) => {
    const v = variance.lt(eps).where(eps.expand(variance.shape), variance);
    const d = x.sub(t);
    const loss = v.log().add(d.mul(d).div(v)).mul(0.5);
    return full ? loss.add(0.5 * Math.log(2 * Math.PI)) : loss;
  },
  gradient: (g, [x, t, variance], [eps]) => {
    const v = variance.lt(eps).where(eps.expand(variance.shape), variance);
    const z = x.sub(t).div(v);
    return [g.mul(z), g.mul(z).neg(), g.mul(constant(1, v.dtype).expand(v.shape).div(v).sub(z.mul(z))).mul(0.5)];
  },
});
/** Probabilities; logarithms are at least -100. Operands: input, target, and a weight if there is one. */
export const bceLoss = lossCall({
  name: 'binary_cross_entropy',
  kind: 'DEFAULT',
  body: ([x, t, weight]) => {
    const [yes, no] = bceLogs(x);
    const loss = t.sub(1).mul(no).sub(t.mul(yes));
    return weight === undefined ? loss : loss.mul(weight);
  },
  gradient: (g, [x, t, weight]) => {
    const [yes, no] = bceLogs(x);
    const scaled = weight === undefined ? g : g.mul(weight);
    const spread = x.neg().add(1).mul(x).maximum(1e-12);
    return [scaled.mul(x.sub(t)).div(spread), scaled.mul(no.sub(yes))];
  },
  check: floating('binary_cross_entropy'),
});
function bceLogs(x: Prim): [Prim, Prim] {
  const limit = (p: Prim): Prim => p.maximum(-100);
  return [limit(x.log()), limit(x.neg().scalar('log1p'))];
}
interface LogitsExtra {
  readonly weight: boolean;
  readonly positive: boolean;
}
/** Operands: input, target, then weight and the weight of positives if there are any. */
export const bceWithLogits = lossCall<LogitsExtra>({
  name: 'binary_cross_entropy_with_logits',
  kind: 'DEFAULT',
  body: (operands, _, extra) => {
    const { x, t, weight, positive } = logitsOperands(operands, extra);
    let log = logSigmoid(x);
    if (positive !== null) log = log.mul(positive.sub(1).mul(t).add(1));
    const loss = t.neg().add(1).mul(x).sub(log);
    return weight === null ? loss : loss.mul(weight);
  },
  gradient: (g, operands, _, extra) => {
    const { x, t, weight, positive } = logitsOperands(operands, extra);
    const scaled = weight === null ? g : g.mul(weight);
    if (positive === null) return [scaled.mul(sigmoid(x).sub(t)), scaled.mul(x).neg()];
    const pt = positive.mul(t);
    const slope = pt.add(1).sub(t).mul(sigmoid(x)).sub(pt);
    return [scaled.mul(slope), scaled.mul(logSigmoid(x.neg()).sub(positive.mul(logSigmoid(x))))];
  },
  constantOperands: [2, 3],
});
function logitsOperands(
  [x, t, ...rest]: readonly Prim[],
  { weight, positive }: LogitsExtra,
): Record<'x' | 't', Prim> & Record<'weight' | 'positive', Prim | null> {
  return { x, t, weight: weight ? rest[0] : null, positive: positive ? rest[weight ? 1 : 0] : null };
}

// ---- margins

export const softMargin = lossCall({
  name: 'soft_margin_loss',
  body: ([x, t]) => t.neg().mul(x).exp().scalar('log1p'),
  constantOperands: [1],
});
export const hingeEmbedding = lossCall({
  name: 'hinge_embedding_loss',
  body: ([x, t], [margin]) =>
    t
      .ne(1)
      .where(clampLow(margin.expand(x.shape).sub(x)), 0)
      .add(t.ne(-1).where(x, 0)),
});
export const marginRanking = lossCall({
  name: 'margin_ranking_loss',
  body: ([a, b, t], [margin]) => clampLow(t.neg().mul(a.sub(b)).add(margin)),
});
/** Operands: distances to the positive and to the negative, and between both where they may be swapped. */
export const tripletMargin = lossCall({
  name: 'triplet_margin_loss',
  body: ([positive, negative, swapped], [margin]) => {
    const far = swapped === undefined ? negative : negative.minimum(swapped);
    return clampLow(positive.add(margin).sub(far));
  },
});
/** Operands: two rows (or batches of rows), and 1 or -1 for each. */
export const cosineEmbedding = lossCall({
  name: 'cosine_embedding_loss',
  arranged: true,
  body: ([a, b, t], [margin]) => {
    const axes = [t.ndim];
    const square = (x: Prim): Prim => x.mul(x).sum(axes).add(1e-12);
    const cosine = a
      .mul(b)
      .sum(axes)
      .div(square(a).mul(square(b)).sqrt());
    return t
      .eq(1)
      .where(cosine.neg().add(1), 0)
      .add(t.eq(-1).where(clampLow(cosine.sub(margin)), 0));
  },
});
/** Mean over classes. Operands: input, target of 0 and 1, and a weight of classes if there is one. */
export const multilabelSoftMargin = lossCall({
  name: 'multilabel_soft_margin_loss',
  body: ([x, t, weight]) => {
    const loss = t
      .mul(logSigmoid(x))
      .add(t.neg().add(1).mul(logSigmoid(x.neg())))
      .neg();
    return meanOfLast(weight === undefined ? loss : loss.mul(weight));
  },
});
function meanOfLast(x: Prim): Prim {
  const last = x.ndim - 1;
  const size = x.shape[last];
  if (typeof size !== 'number') throw new Error('internal: the number of classes is not a constant');
  return x.sum([last]).div(size);
}
/** Operands: input [N, C], the class of each row [N], and a weight of classes if there is one. */
export const multiMargin = lossCall<1 | 2>({
  name: 'multi_margin_loss',
  kind: 'DEFAULT',
  arranged: true,
  constantOperands: [2],
  body: ([x, target, weight], [margin], p) => {
    const hit = iota(x.shape, 1).cast(x.dtype).eq(target.unsqueeze(1));
    const own = hit.where(x, 0).sum([1], true);
    const z = margin.expand(x.shape).sub(own).add(x);
    const positive = hit.not().and(z.gt(0)).where(z, 0);
    const each = p === 1 ? positive : positive.mul(positive);
    const weighted = weight === undefined ? each : each.mul(hit.where(weight.unsqueeze(0).expand(x.shape), 0).sum([1], true));
    return meanOfLast(weighted);
  },
  check: floating('multi_margin_loss'),
});
/** Operands: input [N, C] and for each row its classes, ended by the first negative number. */
export const multilabelMargin = lossCall({
  name: 'multilabel_margin_loss',
  kind: 'DEFAULT',
  arranged: true,
  body: ([x, target]) => {
    const [rows, classes] = x.shape;
    const cube = [rows, classes, classes];
    const position = iota(target.shape, 1).cast(x.dtype);
    const end = target.lt(0).where(position, constant(Number.POSITIVE_INFINITY, x.dtype).expand(target.shape)).amin([1], true);
    // [row, which target, class]
    const valid = position.lt(end).unsqueeze(2).expand(cube);
    const same = valid.and(iota(cube, 2).cast(x.dtype).eq(target.unsqueeze(2)));
    const isTarget = same.reduce('any', [1], true).expand(cube);
    const own = same.where(x.unsqueeze(1).expand(cube), 0).sum([2], true);
    const z = x.unsqueeze(1).sub(own).add(1);
    return meanOfLast(valid.and(isTarget.not()).and(z.gt(0)).where(z, 0).sum([1]));
  },
  check: floating('multilabel_margin_loss'),
});
