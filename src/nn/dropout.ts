/** Dropout as modules: https://docs.pytorch.org/docs/stable/nn.html#dropout-layers */
import { checkProbability } from '../ops/dropout.ts';
import type { Tensor } from '../ops/methods.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { functional } from './functional.ts';
import { Module } from './module.ts';

interface DropoutArguments {
  readonly p?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html */
export class Dropout extends Module {
  p: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<DropoutArguments, ['p', 'inplace']>) {
    super();
    const a = bindConstructor<DropoutArguments>('Dropout', ['p', 'inplace'], { p: 0.5, inplace: false }, args);
    checkProbability(a.p);
    this.p = a.p;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.dropout(input, this.p, this.training, this.inplace);
  }
  override extra_repr(): string {
    return `p=${this.p}, inplace=${this.inplace ? 'True' : 'False'}`;
  }
}

interface Dropout1dArguments {
  readonly p?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html */
export class Dropout1d extends Module {
  p: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<Dropout1dArguments, ['p', 'inplace']>) {
    super();
    const a = bindConstructor<Dropout1dArguments>('Dropout1d', ['p', 'inplace'], { p: 0.5, inplace: false }, args);
    checkProbability(a.p);
    this.p = a.p;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.dropout1d(input, this.p, this.training, this.inplace);
  }
  override extra_repr(): string {
    return `p=${this.p}, inplace=${this.inplace ? 'True' : 'False'}`;
  }
}

interface Dropout2dArguments {
  readonly p?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html */
export class Dropout2d extends Module {
  p: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<Dropout2dArguments, ['p', 'inplace']>) {
    super();
    const a = bindConstructor<Dropout2dArguments>('Dropout2d', ['p', 'inplace'], { p: 0.5, inplace: false }, args);
    checkProbability(a.p);
    this.p = a.p;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.dropout2d(input, this.p, this.training, this.inplace);
  }
  override extra_repr(): string {
    return `p=${this.p}, inplace=${this.inplace ? 'True' : 'False'}`;
  }
}

interface Dropout3dArguments {
  readonly p?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout3d.html */
export class Dropout3d extends Module {
  p: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<Dropout3dArguments, ['p', 'inplace']>) {
    super();
    const a = bindConstructor<Dropout3dArguments>('Dropout3d', ['p', 'inplace'], { p: 0.5, inplace: false }, args);
    checkProbability(a.p);
    this.p = a.p;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.dropout3d(input, this.p, this.training, this.inplace);
  }
  override extra_repr(): string {
    return `p=${this.p}, inplace=${this.inplace ? 'True' : 'False'}`;
  }
}

interface AlphaDropoutArguments {
  readonly p?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html */
export class AlphaDropout extends Module {
  p: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<AlphaDropoutArguments, ['p', 'inplace']>) {
    super();
    const a = bindConstructor<AlphaDropoutArguments>('AlphaDropout', ['p', 'inplace'], { p: 0.5, inplace: false }, args);
    checkProbability(a.p);
    this.p = a.p;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.alpha_dropout(input, this.p, this.training, this.inplace);
  }
  override extra_repr(): string {
    return `p=${this.p}, inplace=${this.inplace ? 'True' : 'False'}`;
  }
}

interface FeatureAlphaDropoutArguments {
  readonly p?: number;
  readonly inplace?: boolean;
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.FeatureAlphaDropout.html */
export class FeatureAlphaDropout extends Module {
  p: number;
  inplace: boolean;
  constructor(...args: ConstructorArguments<FeatureAlphaDropoutArguments, ['p', 'inplace']>) {
    super();
    const a = bindConstructor<FeatureAlphaDropoutArguments>('FeatureAlphaDropout', ['p', 'inplace'], { p: 0.5, inplace: false }, args);
    checkProbability(a.p);
    this.p = a.p;
    this.inplace = a.inplace;
  }
  override forward(input: Tensor): Tensor {
    return functional.feature_alpha_dropout(input, this.p, this.training, this.inplace);
  }
  override extra_repr(): string {
    return `p=${this.p}, inplace=${this.inplace ? 'True' : 'False'}`;
  }
}
