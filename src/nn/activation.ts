/** Activations as modules: https://docs.pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity. MultiheadAttention is in `attention.ts`. */
import { implicitDim } from '../ops/activation.ts';
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { constant_ } from './init.ts';
import { Module } from './module.ts';
import { emptyParameter, type FactoryOptions, type Parameter } from './parameter.ts';
import { pythonFloat } from './repr.ts';

interface ThresholdArguments {
  readonly threshold: number;
  readonly value: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html */
export class Threshold extends Module {
  threshold: number;
  value: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<ThresholdArguments, ['threshold', 'value', 'inplace']>) {
    super();
    const a = bindConstructor<ThresholdArguments>('Threshold', ['threshold', 'value', 'inplace'], { inplace: false }, args);
    this.threshold = a.threshold;
    this.value = a.value;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.threshold(input, this.threshold, this.value, this.inplace);
  }
  override extra_repr(): string {
    return `threshold=${this.threshold}, value=${this.value}${this.inplace ? ', inplace=True' : ''}`;
  }
}

interface ReLUArguments {
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html */
export class ReLU extends Module {
  inplace: boolean;
  constructor(...args: ConstructorArguments<ReLUArguments, ['inplace']>) {
    super();
    const a = bindConstructor<ReLUArguments>('ReLU', ['inplace'], { inplace: false }, args);
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.relu(input, this.inplace);
  }
  override extra_repr(): string {
    return this.inplace ? 'inplace=True' : '';
  }
}

interface ReLU6Arguments {
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html */
export class ReLU6 extends Module {
  inplace: boolean;
  constructor(...args: ConstructorArguments<ReLU6Arguments, ['inplace']>) {
    super();
    const a = bindConstructor<ReLU6Arguments>('ReLU6', ['inplace'], { inplace: false }, args);
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.relu6(input, this.inplace);
  }
  override extra_repr(): string {
    return this.inplace ? 'inplace=True' : '';
  }
}

interface HardsigmoidArguments {
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html */
export class Hardsigmoid extends Module {
  inplace: boolean;
  constructor(...args: ConstructorArguments<HardsigmoidArguments, ['inplace']>) {
    super();
    const a = bindConstructor<HardsigmoidArguments>('Hardsigmoid', ['inplace'], { inplace: false }, args);
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.hardsigmoid(input, this.inplace);
  }
}

interface SiLUArguments {
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.SiLU.html */
export class SiLU extends Module {
  inplace: boolean;
  constructor(...args: ConstructorArguments<SiLUArguments, ['inplace']>) {
    super();
    const a = bindConstructor<SiLUArguments>('SiLU', ['inplace'], { inplace: false }, args);
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.silu(input, this.inplace);
  }
  override extra_repr(): string {
    return this.inplace ? 'inplace=True' : '';
  }
}

interface MishArguments {
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Mish.html */
export class Mish extends Module {
  inplace: boolean;
  constructor(...args: ConstructorArguments<MishArguments, ['inplace']>) {
    super();
    const a = bindConstructor<MishArguments>('Mish', ['inplace'], { inplace: false }, args);
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.mish(input, this.inplace);
  }
  override extra_repr(): string {
    return this.inplace ? 'inplace=True' : '';
  }
}

interface HardswishArguments {
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html */
export class Hardswish extends Module {
  inplace: boolean;
  constructor(...args: ConstructorArguments<HardswishArguments, ['inplace']>) {
    super();
    const a = bindConstructor<HardswishArguments>('Hardswish', ['inplace'], { inplace: false }, args);
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.hardswish(input, this.inplace);
  }
}

interface SELUArguments {
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html */
export class SELU extends Module {
  inplace: boolean;
  constructor(...args: ConstructorArguments<SELUArguments, ['inplace']>) {
    super();
    const a = bindConstructor<SELUArguments>('SELU', ['inplace'], { inplace: false }, args);
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.selu(input, this.inplace);
  }
  override extra_repr(): string {
    return this.inplace ? 'inplace=True' : '';
  }
}

interface RReLUArguments {
  readonly lower?: number;
  readonly upper?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.RReLU.html */
export class RReLU extends Module {
  lower: number;
  upper: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<RReLUArguments, ['lower', 'upper', 'inplace']>) {
    super();
    const a = bindConstructor<RReLUArguments>('RReLU', ['lower', 'upper', 'inplace'], { lower: 1 / 8, upper: 1 / 3, inplace: false }, args);
    this.lower = a.lower;
    this.upper = a.upper;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.rrelu(input, this.lower, this.upper, this.training, this.inplace);
  }
  override extra_repr(): string {
    return `lower=${this.lower}, upper=${this.upper}${this.inplace ? ', inplace=True' : ''}`;
  }
}

interface HardtanhArguments {
  readonly min_val?: number;
  readonly max_val?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html */
export class Hardtanh extends Module {
  min_val: number;
  max_val: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<HardtanhArguments, ['min_val', 'max_val', 'inplace']>) {
    super();
    const a = bindConstructor<HardtanhArguments>(
      'Hardtanh',
      ['min_val', 'max_val', 'inplace'],
      { min_val: -1, max_val: 1, inplace: false },
      args,
    );
    if (a.max_val <= a.min_val) throw new Error('max_val must be larger than min_val');
    this.min_val = a.min_val;
    this.max_val = a.max_val;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.hardtanh(input, this.min_val, this.max_val, this.inplace);
  }
  override extra_repr(): string {
    return `min_val=${pythonFloat(this.min_val)}, max_val=${pythonFloat(this.max_val)}${this.inplace ? ', inplace=True' : ''}`;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html */
export class Sigmoid extends Module {
  override forward(input: Tensor): Tensor {
    return functional.sigmoid(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html */
export class Tanh extends Module {
  override forward(input: Tensor): Tensor {
    return functional.tanh(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html */
export class LogSigmoid extends Module {
  override forward(input: Tensor): Tensor {
    return functional.logsigmoid(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html */
export class Softsign extends Module {
  override forward(input: Tensor): Tensor {
    return functional.softsign(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html */
export class Tanhshrink extends Module {
  override forward(input: Tensor): Tensor {
    return functional.tanhshrink(input);
  }
}

interface ELUArguments {
  readonly alpha?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html */
export class ELU extends Module {
  alpha: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<ELUArguments, ['alpha', 'inplace']>) {
    super();
    const a = bindConstructor<ELUArguments>('ELU', ['alpha', 'inplace'], { alpha: 1, inplace: false }, args);
    this.alpha = a.alpha;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.elu(input, this.alpha, this.inplace);
  }
  override extra_repr(): string {
    return `alpha=${pythonFloat(this.alpha)}${this.inplace ? ', inplace=True' : ''}`;
  }
}

interface CELUArguments {
  readonly alpha?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.CELU.html */
export class CELU extends Module {
  alpha: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<CELUArguments, ['alpha', 'inplace']>) {
    super();
    const a = bindConstructor<CELUArguments>('CELU', ['alpha', 'inplace'], { alpha: 1, inplace: false }, args);
    this.alpha = a.alpha;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.celu(input, this.alpha, this.inplace);
  }
  override extra_repr(): string {
    return `alpha=${pythonFloat(this.alpha)}${this.inplace ? ', inplace=True' : ''}`;
  }
}

interface GLUArguments {
  readonly dim?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.GLU.html */
export class GLU extends Module {
  dim: number;
  constructor(...args: ConstructorArguments<GLUArguments, ['dim']>) {
    super();
    const a = bindConstructor<GLUArguments>('GLU', ['dim'], { dim: -1 }, args);
    this.dim = a.dim;
  }
  override forward(input: Tensor): Tensor {
    return functional.glu(input, this.dim);
  }
  override extra_repr(): string {
    return `dim=${this.dim}`;
  }
}

interface GELUArguments {
  readonly approximate?: 'none' | 'tanh';
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.GELU.html */
export class GELU extends Module {
  approximate: 'none' | 'tanh';
  constructor(...args: ConstructorArguments<GELUArguments, ['approximate']>) {
    super();
    const a = bindConstructor<GELUArguments>('GELU', ['approximate'], { approximate: 'none' }, args);
    this.approximate = a.approximate;
  }
  override forward(input: Tensor): Tensor {
    return functional.gelu(input, { approximate: this.approximate });
  }
  override extra_repr(): string {
    return `approximate='${this.approximate}'`;
  }
}

interface HardshrinkArguments {
  readonly lambd?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html */
export class Hardshrink extends Module {
  lambd: number;
  constructor(...args: ConstructorArguments<HardshrinkArguments, ['lambd']>) {
    super();
    const a = bindConstructor<HardshrinkArguments>('Hardshrink', ['lambd'], { lambd: 0.5 }, args);
    this.lambd = a.lambd;
  }
  override forward(input: Tensor): Tensor {
    return functional.hardshrink(input, this.lambd);
  }
  override extra_repr(): string {
    return pythonFloat(this.lambd);
  }
}

interface LeakyReLUArguments {
  readonly negative_slope?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html */
export class LeakyReLU extends Module {
  negative_slope: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<LeakyReLUArguments, ['negative_slope', 'inplace']>) {
    super();
    const a = bindConstructor<LeakyReLUArguments>(
      'LeakyReLU',
      ['negative_slope', 'inplace'],
      { negative_slope: 0.01, inplace: false },
      args,
    );
    this.negative_slope = a.negative_slope;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.leaky_relu(input, this.negative_slope, this.inplace);
  }
  override extra_repr(): string {
    return `negative_slope=${pythonFloat(this.negative_slope)}${this.inplace ? ', inplace=True' : ''}`;
  }
}

interface SoftplusArguments {
  readonly beta?: number;
  readonly threshold?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html */
export class Softplus extends Module {
  beta: number;
  threshold: number;
  constructor(...args: ConstructorArguments<SoftplusArguments, ['beta', 'threshold']>) {
    super();
    const a = bindConstructor<SoftplusArguments>('Softplus', ['beta', 'threshold'], { beta: 1, threshold: 20 }, args);
    this.beta = a.beta;
    this.threshold = a.threshold;
  }
  override forward(input: Tensor): Tensor {
    return functional.softplus(input, this.beta, this.threshold);
  }
  override extra_repr(): string {
    return `beta=${pythonFloat(this.beta)}, threshold=${pythonFloat(this.threshold)}`;
  }
}

interface SoftshrinkArguments {
  readonly lambd?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html */
export class Softshrink extends Module {
  lambd: number;
  constructor(...args: ConstructorArguments<SoftshrinkArguments, ['lambd']>) {
    super();
    const a = bindConstructor<SoftshrinkArguments>('Softshrink', ['lambd'], { lambd: 0.5 }, args);
    this.lambd = a.lambd;
  }
  override forward(input: Tensor): Tensor {
    return functional.softshrink(input, this.lambd);
  }
  override extra_repr(): string {
    return pythonFloat(this.lambd);
  }
}

interface SoftminArguments {
  readonly dim?: number | null;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html */
export class Softmin extends Module {
  dim: number | null;
  constructor(...args: ConstructorArguments<SoftminArguments, ['dim']>) {
    super();
    const a = bindConstructor<SoftminArguments>('Softmin', ['dim'], { dim: null }, args);
    this.dim = a.dim;
  }
  override forward(input: Tensor): Tensor {
    return functional.softmin(input, this.dim ?? implicitDim(input.ndim));
  }
}

interface SoftmaxArguments {
  readonly dim?: number | null;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html */
export class Softmax extends Module {
  dim: number | null;
  constructor(...args: ConstructorArguments<SoftmaxArguments, ['dim']>) {
    super();
    const a = bindConstructor<SoftmaxArguments>('Softmax', ['dim'], { dim: null }, args);
    this.dim = a.dim;
  }
  override forward(input: Tensor): Tensor {
    return functional.softmax(input, this.dim ?? implicitDim(input.ndim));
  }
  override extra_repr(): string {
    return `dim=${this.dim ?? 'None'}`;
  }
}

interface LogSoftmaxArguments {
  readonly dim?: number | null;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html */
export class LogSoftmax extends Module {
  dim: number | null;
  constructor(...args: ConstructorArguments<LogSoftmaxArguments, ['dim']>) {
    super();
    const a = bindConstructor<LogSoftmaxArguments>('LogSoftmax', ['dim'], { dim: null }, args);
    this.dim = a.dim;
  }
  override forward(input: Tensor): Tensor {
    return functional.log_softmax(input, this.dim ?? implicitDim(input.ndim));
  }
  override extra_repr(): string {
    return `dim=${this.dim ?? 'None'}`;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html */
export class Softmax2d extends Module {
  override forward(input: Tensor): Tensor {
    if (input.ndim !== 3 && input.ndim !== 4) throw new Error(`Softmax2d: expected input to be 3D or 4D, got ${input.ndim}D instead`);
    return functional.softmax(input, -3);
  }
}

interface PReLUArguments extends FactoryOptions {
  readonly num_parameters?: number;
  readonly init?: number;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html */
export class PReLU extends Module {
  readonly num_parameters: number;
  readonly init: number;
  weight: Parameter;
  constructor(...args: ConstructorArguments<PReLUArguments, ['num_parameters', 'init', 'device', 'dtype']>) {
    super();
    const a = bindConstructor<PReLUArguments>(
      'PReLU',
      ['num_parameters', 'init', 'device', 'dtype'],
      { num_parameters: 1, init: 0.25, device: null, dtype: null },
      args,
    );
    this.num_parameters = a.num_parameters;
    this.init = a.init;
    this.weight = emptyParameter([a.num_parameters], a);
    this.reset_parameters();
  }
  reset_parameters(): void {
    constant_(this.weight, this.init);
  }
  override forward(input: Tensor): Tensor {
    return functional.prelu(input, this.weight);
  }
  override extra_repr(): string {
    return `num_parameters=${this.num_parameters}`;
  }
}
