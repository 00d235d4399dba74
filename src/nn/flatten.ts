/** Reshaping as modules: https://docs.pytorch.org/docs/stable/nn.html#utilities */
import type { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { Module } from './module.ts';
import { pythonTuple } from './repr.ts';

interface FlattenArguments {
  readonly start_dim?: number;
  readonly end_dim?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html */
export class Flatten extends Module {
  start_dim: number;
  end_dim: number;
  constructor(...args: ConstructorArguments<FlattenArguments, ['start_dim', 'end_dim']>) {
    super();
    const a = bindConstructor<FlattenArguments>('Flatten', ['start_dim', 'end_dim'], { start_dim: 1, end_dim: -1 }, args);
    this.start_dim = a.start_dim;
    this.end_dim = a.end_dim;
  }
  override forward(input: Tensor): Tensor {
    return use('flatten', input, this.start_dim, this.end_dim) as Tensor;
  }
  override extra_repr(): string {
    return `start_dim=${this.start_dim}, end_dim=${this.end_dim}`;
  }
}

interface UnflattenArguments {
  readonly dim: number;
  readonly unflattened_size: readonly number[];
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html */
export class Unflatten extends Module {
  dim: number;
  unflattened_size: readonly number[];
  constructor(...args: ConstructorArguments<UnflattenArguments, ['dim', 'unflattened_size']>) {
    super();
    const a = bindConstructor<UnflattenArguments>('Unflatten', ['dim', 'unflattened_size'], {}, args);
    this.dim = a.dim;
    this.unflattened_size = [...a.unflattened_size];
  }
  override forward(input: Tensor): Tensor {
    return use('unflatten', input, this.dim, [...this.unflattened_size]) as Tensor;
  }
  override extra_repr(): string {
    return `dim=${this.dim}, unflattened_size=${pythonTuple(this.unflattened_size)}`;
  }
}
