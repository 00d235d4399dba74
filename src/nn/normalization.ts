/** Layer, group, root mean square and local response normalization: https://docs.pytorch.org/docs/stable/nn.html#normalization-layers */
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { ones_, zeros_ } from './init.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, type Parameter } from './parameter.ts';
import { pythonBool, pythonFloat, pythonTuple } from './repr.ts';

type Shape = number | readonly number[];
const shapeOf = (shape: Shape): readonly number[] => (typeof shape === 'number' ? [shape] : [...shape]);
function resetAffine({ weight, bias }: { readonly weight: Parameter | null; readonly bias: Parameter | null }): void {
  if (weight !== null) ones_(weight);
  if (bias !== null) zeros_(bias);
}

interface LayerNormArguments extends FactoryOptions {
  readonly normalized_shape: Shape;
  readonly eps?: number;
  readonly elementwise_affine?: boolean;
  readonly bias?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html */
export class LayerNorm extends Module {
  normalized_shape: readonly number[];
  eps: number;
  elementwise_affine: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  constructor(
    ...args: ConstructorArguments<LayerNormArguments, ['normalized_shape', 'eps', 'elementwise_affine', 'bias', 'device', 'dtype']>
  ) {
    super();
    const a = bindConstructor<LayerNormArguments>(
      'LayerNorm',
      ['normalized_shape', 'eps', 'elementwise_affine', 'bias', 'device', 'dtype'],
      { eps: 1e-5, elementwise_affine: true, bias: true, device: null, dtype: null },
      args,
    );
    this.normalized_shape = shapeOf(a.normalized_shape);
    this.eps = a.eps;
    this.elementwise_affine = a.elementwise_affine;
    this.weight = a.elementwise_affine ? emptyParameter(this.normalized_shape, a) : null;
    this.bias = a.elementwise_affine && a.bias ? emptyParameter(this.normalized_shape, a) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    resetAffine(this);
  }
  override forward(input: Tensor): Tensor {
    return functional.layer_norm(input, [...this.normalized_shape], this.weight, this.bias, this.eps);
  }
  override extra_repr(): string {
    return `${pythonTuple(this.normalized_shape)}, eps=${pythonFloat(this.eps)}, elementwise_affine=${pythonBool(this.elementwise_affine)}`;
  }
}

interface RMSNormArguments extends FactoryOptions {
  readonly normalized_shape: Shape;
  readonly eps?: number | null;
  readonly elementwise_affine?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html */
export class RMSNorm extends Module {
  normalized_shape: readonly number[];
  eps: number | null;
  elementwise_affine: boolean;
  weight: Parameter | null;
  constructor(...args: ConstructorArguments<RMSNormArguments, ['normalized_shape', 'eps', 'elementwise_affine', 'device', 'dtype']>) {
    super();
    const a = bindConstructor<RMSNormArguments>(
      'RMSNorm',
      ['normalized_shape', 'eps', 'elementwise_affine', 'device', 'dtype'],
      { eps: null, elementwise_affine: true, device: null, dtype: null },
      args,
    );
    this.normalized_shape = shapeOf(a.normalized_shape);
    this.eps = a.eps;
    this.elementwise_affine = a.elementwise_affine;
    this.weight = a.elementwise_affine ? emptyParameter(this.normalized_shape, a) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    if (this.weight !== null) ones_(this.weight);
  }
  override forward(x: Tensor): Tensor {
    return functional.rms_norm(x, this.normalized_shape as number[], this.weight, this.eps);
  }
  override extra_repr(): string {
    const eps = this.eps === null ? 'None' : pythonFloat(this.eps);
    return `${pythonTuple(this.normalized_shape)}, eps=${eps}, elementwise_affine=${pythonBool(this.elementwise_affine)}`;
  }
}

interface GroupNormArguments extends FactoryOptions {
  readonly num_groups: number;
  readonly num_channels: number;
  readonly eps?: number;
  readonly affine?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html */
export class GroupNorm extends Module {
  num_groups: number;
  num_channels: number;
  eps: number;
  affine: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  constructor(...args: ConstructorArguments<GroupNormArguments, ['num_groups', 'num_channels', 'eps', 'affine', 'device', 'dtype']>) {
    super();
    const a = bindConstructor<GroupNormArguments>(
      'GroupNorm',
      ['num_groups', 'num_channels', 'eps', 'affine', 'device', 'dtype'],
      { eps: 1e-5, affine: true, device: null, dtype: null },
      args,
    );
    if (a.num_channels % a.num_groups !== 0)
      throw new Error(`num_channels (${a.num_channels}) must be divisible by num_groups (${a.num_groups})`);
    this.num_groups = a.num_groups;
    this.num_channels = a.num_channels;
    this.eps = a.eps;
    this.affine = a.affine;
    this.weight = a.affine ? emptyParameter([a.num_channels], a) : null;
    this.bias = a.affine ? emptyParameter([a.num_channels], a) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    resetAffine(this);
  }
  override forward(input: Tensor): Tensor {
    return functional.group_norm(input, this.num_groups, this.weight, this.bias, this.eps);
  }
  override extra_repr(): string {
    return `${this.num_groups}, ${this.num_channels}, eps=${pythonFloat(this.eps)}, affine=${pythonBool(this.affine)}`;
  }
}

interface LocalResponseNormArguments {
  readonly size: number;
  readonly alpha?: number;
  readonly beta?: number;
  readonly k?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html */
export class LocalResponseNorm extends Module {
  size: number;
  alpha: number;
  beta: number;
  k: number;
  constructor(...args: ConstructorArguments<LocalResponseNormArguments, ['size', 'alpha', 'beta', 'k']>) {
    super();
    const a = bindConstructor<LocalResponseNormArguments>(
      'LocalResponseNorm',
      ['size', 'alpha', 'beta', 'k'],
      { alpha: 1e-4, beta: 0.75, k: 1 },
      args,
    );
    this.size = a.size;
    this.alpha = a.alpha;
    this.beta = a.beta;
    this.k = a.k;
  }
  override forward(input: Tensor): Tensor {
    return functional.local_response_norm(input, this.size, this.alpha, this.beta, this.k);
  }
  override extra_repr(): string {
    return `${this.size}, alpha=${this.alpha}, beta=${this.beta}, k=${pythonFloat(this.k)}`;
  }
}
