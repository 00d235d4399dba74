/** https://docs.pytorch.org/docs/stable/distributions.html#continuousbernoulli; near p = 0.5, where its formulas are 0 / 0, Taylor series. */
import { no_grad } from '../autograd/modes.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import { binaryCrossEntropy } from './bernoulli.ts';
import * as constraints from './constraints.ts';
import { ExponentialFamily } from './exponential-family.ts';
import { givenOf, type ProbsLogits } from './probs-or-logits.ts';
import { broadcast_all, clamp_probs, isAllTrue, logits_to_probs, oneMinus, probs_to_logits, type Size, uniform } from './utils.ts';

interface ContinuousBernoulliArguments extends ProbsLogits {
  readonly lims?: readonly [number, number];
}
export class ContinuousBernoulli extends ExponentialFamily {
  static override readonly arg_constraints = { probs: constraints.unit_interval, logits: constraints.real };
  static override readonly support = constraints.unit_interval;
  static override readonly has_rsample: boolean = true;
  protected static override readonly lazyParameters = ['probs', 'logits'];
  protected readonly given: 'probs' | 'logits';
  protected readonly lims: readonly [number, number];

  constructor(...args: ConstructorArguments<ContinuousBernoulliArguments, ['probs', 'logits', 'lims', 'validate_args']>) {
    const order = ['probs', 'logits', 'lims', 'validate_args'] as const;
    const defaults = { probs: null, logits: null, lims: [0.499, 0.501] as const, validate_args: null };
    const a = bindConstructor<ContinuousBernoulliArguments>('ContinuousBernoulli', order, defaults, args);
    const { name, value } = givenOf(a.probs, a.logits);
    if (name === 'probs' && a.validate_args !== null && !isAllTrue(constraints.unit_interval.check(value)))
      throw new Error('The parameter probs has invalid values');
    super(value.shape, [], a);
    this.given = name;
    this.lims = a.lims;
    this.own(name, name === 'probs' ? clamp_probs(value) : value);
    this.validateArguments();
  }
  get probs(): Tensor {
    return this.remember('probs', () => clamp_probs(logits_to_probs(this.logits, true)));
  }
  get logits(): Tensor {
    return this.remember('logits', () => probs_to_logits(this.probs, true));
  }
  get param_shape(): number[] {
    return this.param.shape;
  }
  /** What was given. */
  protected get param(): Tensor {
    return this[this.given];
  }
  private unstable(x: Tensor, low: number, high: number): Tensor {
    return x.gt(low).logical_and(x.le(high));
  }
  /** The formula where it is stable, the series elsewhere. */
  private pick(formula: Tensor, series: Tensor): Tensor {
    return torch.where(this.unstable(this.probs, ...this.lims), series, formula);
  }
  /** Probabilities that the formulas can be asked for. */
  private cut(): Tensor {
    return this.probs.masked_fill(this.unstable(this.probs, ...this.lims), this.lims[0]);
  }
  /** log(1 - p) - log(p) */
  private logOdds(cut: Tensor): Tensor {
    return cut.neg().log1p().sub(cut.log());
  }
  _cont_bern_log_norm(): Tensor {
    const cut = this.cut();
    const isBelow = cut.le(0.5);
    const below = cut.masked_fill(isBelow.logical_not(), 0);
    const above = cut.masked_fill(cut.ge(0.5).logical_not(), 1);
    const scale = torch.where(isBelow, below.mul(-2).log1p(), above.mul(2).sub(1).log());
    const x = this.probs.sub(0.5).pow(2);
    const series = x
      .mul(104 / 45)
      .add(4 / 3)
      .mul(x)
      .add(Math.LN2);
    return this.pick(this.logOdds(cut).abs().log().sub(scale), series);
  }
  override get mean(): Tensor {
    const cut = this.cut();
    const x = this.probs.sub(0.5);
    const formula = cut.div(cut.mul(2).sub(1)).add(this.logOdds(cut).reciprocal());
    return this.pick(
      formula,
      x
        .pow(2)
        .mul(16 / 45)
        .add(1 / 3)
        .mul(x)
        .add(0.5),
    );
  }
  override get variance(): Tensor {
    const cut = this.cut();
    const x = this.probs.sub(0.5).pow(2);
    const formula = cut
      .mul(cut.sub(1))
      .div(oneMinus(cut.mul(2)).pow(2))
      .add(this.logOdds(cut).pow(2).reciprocal());
    return this.pick(formula, torch.rsub(torch.rsub(x.mul(128 / 945), 1 / 15).mul(x), 1 / 12));
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => this.rsample(sample_shape));
  }
  override rsample(sample_shape: Size = []): Tensor {
    return this.icdf(uniform(this.extendedShape(sample_shape), this.probs));
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    const [logits, target] = broadcast_all(this.logits, value);
    return binaryCrossEntropy(logits, target).neg().add(this._cont_bern_log_norm());
  }
  override cdf(value: Tensor): Tensor {
    this.validateSample(value);
    const cut = this.cut();
    const formula = cut
      .pow(value)
      .mul(oneMinus(cut).pow(oneMinus(value)))
      .add(cut)
      .sub(1)
      .div(cut.mul(2).sub(1));
    const inside = this.pick(formula, value);
    return torch.where(value.le(0), torch.zeros_like(value), torch.where(value.ge(1), torch.ones_like(value), inside));
  }
  override icdf(value: Tensor): Tensor {
    const cut = this.cut();
    const log0 = cut.neg().log1p();
    const formula = value.mul(cut.mul(2).sub(1)).sub(cut).log1p().sub(log0).div(cut.log().sub(log0));
    return this.pick(formula, value);
  }
  override entropy(): Tensor {
    const log0 = this.probs.neg().log1p();
    const log1 = this.probs.log();
    return this.mean.mul(log0.sub(log1)).sub(this._cont_bern_log_norm()).sub(log0);
  }
  override get _natural_params(): readonly Tensor[] {
    return [this.logits];
  }
  override _log_normalizer(x: Tensor): Tensor {
    const unstable = this.unstable(x, this.lims[0] - 0.5, this.lims[1] - 0.5);
    const cut = x.masked_fill(unstable, this.lims[0] - 0.5);
    const series = x.mul(0.5).add(x.pow(2).div(24)).sub(x.pow(4).div(2880));
    return torch.where(unstable, series, cut.expm1().abs().log().sub(cut.abs().log()));
  }
  override get _mean_carrier_measure(): number {
    return 0;
  }
}
