/** Distances as modules: https://docs.pytorch.org/docs/stable/nn.html#distance-functions */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';

interface PairwiseDistanceArguments {
  readonly p?: number;
  readonly eps?: number;
  readonly keepdim?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.PairwiseDistance.html */
export class PairwiseDistance extends Module {
  p: number;
  eps: number;
  keepdim: boolean;
  constructor(...args: ConstructorArguments<PairwiseDistanceArguments, ['p', 'eps', 'keepdim']>) {
    super();
    const a = bindConstructor<PairwiseDistanceArguments>(
      'PairwiseDistance',
      ['p', 'eps', 'keepdim'],
      { p: 2, eps: 1e-6, keepdim: false },
      args,
    );
    this.p = a.p;
    this.eps = a.eps;
    this.keepdim = a.keepdim;
  }
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return functional.pairwise_distance(x1, x2, this.p, this.eps, this.keepdim);
  }
}

interface CosineSimilarityArguments {
  readonly dim?: number;
  readonly eps?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html */
export class CosineSimilarity extends Module {
  dim: number;
  eps: number;
  constructor(...args: ConstructorArguments<CosineSimilarityArguments, ['dim', 'eps']>) {
    super();
    const a = bindConstructor<CosineSimilarityArguments>('CosineSimilarity', ['dim', 'eps'], { dim: 1, eps: 1e-8 }, args);
    this.dim = a.dim;
    this.eps = a.eps;
  }
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return functional.cosine_similarity(x1, x2, this.dim, this.eps);
  }
}
