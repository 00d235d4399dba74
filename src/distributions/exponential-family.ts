/**
 * Exponential families: densities exp(<natural parameters, T(x)> - log normalizer + k(x)). Their entropy and the divergence of two members
 * follow from derivatives of the log normalizer (Bregman divergences), for classes that have no closed form of their own.
 */

import { grad } from '../autograd/backward.ts';
import { enable_grad } from '../autograd/modes.ts';
import type { Tensor } from '../ops/methods.ts';
import { Distribution } from './distribution.ts';
import { NotImplementedError } from './utils.ts';

export abstract class ExponentialFamily extends Distribution {
  get _natural_params(): readonly Tensor[] {
    throw new NotImplementedError();
  }
  _log_normalizer(..._natural: readonly Tensor[]): Tensor {
    throw new NotImplementedError();
  }
  /** The mean of k(x). */
  get _mean_carrier_measure(): number {
    throw new NotImplementedError();
  }
  override entropy(): Tensor {
    const measure = this._mean_carrier_measure;
    const { natural, normalizer, slopes } = normalizerSlopes(this);
    let result = normalizer.sub(measure);
    natural.forEach((p, i) => {
      result = result.sub(
        p
          .mul(slopes[i])
          .reshape([...this.batch_shape, -1])
          .sum(-1),
      );
    });
    return result;
  }
}

/** The log normalizer at the natural parameters, and its derivatives there. */
export function normalizerSlopes(d: ExponentialFamily): {
  readonly natural: readonly Tensor[];
  readonly normalizer: Tensor;
  readonly slopes: readonly Tensor[];
} {
  return enable_grad(() => {
    const natural = d._natural_params.map((p) => p.detach().requires_grad_() as Tensor);
    const normalizer = d._log_normalizer(...natural);
    const slopes = grad([normalizer.sum()], [...natural], null, { create_graph: true }) as unknown as readonly Tensor[];
    return { natural, normalizer, slopes };
  });
}
