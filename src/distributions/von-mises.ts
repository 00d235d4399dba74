/** https://docs.pytorch.org/docs/stable/distributions.html#vonmises: angles around `loc`; samples by rejection, in float64. */
import { no_grad } from '../autograd/modes.ts';
import { bool, float64 } from '../dtype/dtype.ts';
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import { type Tensor, torchFunctions as torch } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import { Distribution, type DistributionOptions } from './distribution.ts';
import { broadcast_all, isAllTrue, oneMinus, type Parameter, type Size } from './utils.ts';

/** Polynomials of the modified Bessel functions I0 and I1 (Abramowitz and Stegun 9.8.1-9.8.4), below 3.75 and above. */
const small = [
  [1, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813],
  [0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411],
] as const;
const large = [
  [0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377],
  [0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555, 0.02282967, -0.02895312, 0.01787654, -0.00420059],
] as const;

function polynomial(y: Tensor, coefficients: readonly number[]): Tensor {
  const [highest, ...others] = [...coefficients].reverse();
  const [next, ...rest] = others;
  return rest.reduce((sum, c) => y.mul(sum).add(c), y.mul(highest).add(next));
}

function logBessel(x: Tensor, order: 0 | 1): Tensor {
  const low = polynomial(x.div(3.75).square(), small[order]);
  const below = (order === 1 ? x.abs().mul(low) : low).log();
  const above = x.sub(x.log().mul(0.5)).add(polynomial(x.reciprocal().mul(3.75), large[order]).log());
  return torch.where(x.lt(3.75), below, above);
}

interface VonMisesArguments extends DistributionOptions {
  readonly loc: Parameter;
  readonly concentration: Parameter;
}
export class VonMises extends Distribution {
  static override readonly arg_constraints = { loc: constraints.real, concentration: constraints.positive };
  static override readonly support = constraints.real;
  readonly loc: Tensor;
  readonly concentration: Tensor;

  constructor(...args: ConstructorArguments<VonMisesArguments, ['loc', 'concentration', 'validate_args']>) {
    const a = bindConstructor<VonMisesArguments>('VonMises', ['loc', 'concentration', 'validate_args'], { validate_args: null }, args);
    const [loc, concentration] = broadcast_all(a.loc, a.concentration);
    super(loc.shape, [], a);
    this.loc = loc;
    this.concentration = concentration;
    this.validateArguments();
  }
  override log_prob(value: Tensor): Tensor {
    this.validateSample(value);
    return this.concentration
      .mul(value.sub(this.loc).cos())
      .sub(Math.log(2 * Math.PI))
      .sub(logBessel(this.concentration, 0));
  }
  /** The proposal's parameter of Best and Fisher, 1979. */
  private proposal(kappa: Tensor): Tensor {
    const tau = kappa.pow(2).mul(4).add(1).sqrt().add(1);
    const rho = tau.sub(tau.mul(2).sqrt()).div(kappa.mul(2));
    const exact = rho.pow(2).add(1).div(rho.mul(2));
    return torch.where(kappa.lt(1e-5), kappa.reciprocal().add(kappa), exact);
  }
  override sample(sample_shape: Size = []): Tensor {
    return no_grad(() => {
      const shape = this.extendedShape(sample_shape);
      const { device } = this.loc;
      const loc = this.loc.to(float64);
      const kappa = this.concentration.to(float64);
      const r = this.proposal(kappa);
      let x = torch.zeros(shape, { dtype: float64, device });
      let done = torch.zeros(shape, { dtype: bool, device });
      while (!isAllTrue(done)) {
        const [u1, u2, u3] = torch.rand([3, ...shape], { dtype: float64, device }).unbind();
        const z = u1.mul(Math.PI).cos();
        const f = r.mul(z).add(1).div(r.add(z));
        const c = kappa.mul(r.sub(f));
        const accept = c.mul(torch.rsub(c, 2)).sub(u2).gt(0).logical_or(c.div(u2).log().add(1).sub(c).ge(0));
        x = torch.where(accept, u3.sub(0.5).sign().mul(f.acos()), x);
        done = done.logical_or(accept);
      }
      return x
        .add(Math.PI)
        .add(loc)
        .remainder(2 * Math.PI)
        .sub(Math.PI)
        .to(this.loc.dtype);
    });
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  /** The circular variance. */
  override get variance(): Tensor {
    return this.remember('variance', () => oneMinus(logBessel(this.concentration, 1).sub(logBessel(this.concentration, 0)).exp()));
  }
}
