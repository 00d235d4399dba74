/** https://docs.pytorch.org/docs/stable/distributions.html#chi2 */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import * as constraints from './constraints.ts';
import type { DistributionOptions } from './distribution.ts';
import { Gamma } from './gamma.ts';
import type { Parameter } from './utils.ts';

interface Chi2Arguments extends DistributionOptions {
  readonly df: Parameter;
}
export class Chi2 extends Gamma {
  static override readonly arg_constraints = { df: constraints.positive };
  constructor(...args: ConstructorArguments<Chi2Arguments, ['df', 'validate_args']>) {
    const { df, validate_args } = bindConstructor<Chi2Arguments>('Chi2', ['df', 'validate_args'], { validate_args: null }, args);
    super(typeof df === 'number' ? 0.5 * df : df.mul(0.5), 0.5, { validate_args });
  }
  get df(): Tensor {
    return this.concentration.mul(2);
  }
}
