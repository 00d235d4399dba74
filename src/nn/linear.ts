/** Linear maps: https://docs.pytorch.org/docs/stable/nn.html#linear-layers */
import { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { bindForward } from './forward.ts';
import { functional } from './functional.ts';
import { kaiming_uniform_, uniform_ } from './init.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, moveInPlace, type Parameter } from './parameter.ts';
import { pythonBool } from './repr.ts';

/** Takes any arguments and returns its input. https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html */
export class Identity extends Module {
  constructor(..._args: unknown[]) {
    super();
  }
  override forward(input: Tensor): Tensor {
    return input;
  }
}

interface LinearArguments extends FactoryOptions {
  readonly in_features: number;
  readonly out_features: number;
  readonly bias?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html */
export class Linear extends Module {
  in_features: number;
  readonly out_features: number;
  weight: Parameter;
  bias: Parameter | null;
  constructor(...args: ConstructorArguments<LinearArguments, ['in_features', 'out_features', 'bias', 'device', 'dtype']>) {
    super();
    const a = bindConstructor<LinearArguments>(
      'Linear',
      ['in_features', 'out_features', 'bias', 'device', 'dtype'],
      { bias: true, device: null, dtype: null },
      args,
    );
    this.in_features = a.in_features;
    this.out_features = a.out_features;
    this.weight = emptyParameter([a.out_features, a.in_features], a);
    this.bias = a.bias ? emptyParameter([a.out_features], a) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    if (this.weight.numel() > 0) kaiming_uniform_(this.weight, { a: Math.sqrt(5) });
    const bound = this.in_features > 0 ? 1 / Math.sqrt(this.in_features) : 0;
    if (this.bias !== null) uniform_(this.bias, -bound, bound);
  }
  override forward(input: Tensor | { readonly input: Tensor }): Tensor {
    const x = input instanceof Tensor ? input : bindForward<{ input: Tensor }>(['input'], {}, [input]).input;
    return functional.linear(x, this.weight, this.bias);
  }
  override extra_repr(): string {
    return `in_features=${this.in_features}, out_features=${this.out_features}, bias=${pythonBool(this.bias !== null)}`;
  }
}

/** The output projection of MultiheadAttention: a Linear under PyTorch's name for it. */
export class NonDynamicallyQuantizableLinear extends Linear {}

interface LazyLinearArguments extends FactoryOptions {
  readonly out_features: number;
  readonly bias?: boolean;
}
/** A Linear that takes its input size from the first input, and is a Linear from then on. https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyLinear.html */
export class LazyLinear extends Linear {
  constructor(...args: ConstructorArguments<LazyLinearArguments, ['out_features', 'bias', 'device', 'dtype']>) {
    const a = bindConstructor<LazyLinearArguments>(
      'LazyLinear',
      ['out_features', 'bias', 'device', 'dtype'],
      { bias: true, device: null, dtype: null },
      args,
    );
    super({ in_features: 0, ...a });
  }
  override forward(input: Tensor | { readonly input: Tensor }): Tensor {
    const x = 'input' in input ? input.input : input;
    this.in_features = x.size(-1);
    const { dtype, device } = this.weight;
    moveInPlace(this.weight, emptyParameter([this.out_features, this.in_features], { dtype, device }));
    this.reset_parameters();
    Object.setPrototypeOf(this, Linear.prototype);
    return Linear.prototype.forward.call(this, x);
  }
}

interface BilinearArguments extends FactoryOptions {
  readonly in1_features: number;
  readonly in2_features: number;
  readonly out_features: number;
  readonly bias?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Bilinear.html */
export class Bilinear extends Module {
  readonly in1_features: number;
  readonly in2_features: number;
  readonly out_features: number;
  weight: Parameter;
  bias: Parameter | null;
  constructor(
    ...args: ConstructorArguments<BilinearArguments, ['in1_features', 'in2_features', 'out_features', 'bias', 'device', 'dtype']>
  ) {
    super();
    const a = bindConstructor<BilinearArguments>(
      'Bilinear',
      ['in1_features', 'in2_features', 'out_features', 'bias', 'device', 'dtype'],
      { bias: true, device: null, dtype: null },
      args,
    );
    if (a.in1_features <= 0) throw new Error(`in1_features must be > 0, but got ${a.in1_features}`);
    this.in1_features = a.in1_features;
    this.in2_features = a.in2_features;
    this.out_features = a.out_features;
    this.weight = emptyParameter([a.out_features, a.in1_features, a.in2_features], a);
    this.bias = a.bias ? emptyParameter([a.out_features], a) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    const bound = 1 / Math.sqrt(this.in1_features);
    uniform_(this.weight, -bound, bound);
    if (this.bias !== null) uniform_(this.bias, -bound, bound);
  }
  override forward(input1: Tensor, input2: Tensor): Tensor {
    return functional.bilinear(input1, input2, this.weight, this.bias);
  }
  override extra_repr(): string {
    const { in1_features, in2_features, out_features, bias } = this;
    return `in1_features=${in1_features}, in2_features=${in2_features}, out_features=${out_features}, bias=${pythonBool(bias !== null)}`;
  }
}
