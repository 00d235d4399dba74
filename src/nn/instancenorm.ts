/** Instance normalization: https://docs.pytorch.org/docs/stable/nn.html#normalization-layers */
import type { Tensor } from '../ops/methods.ts';
import type { ConstructorArguments } from './arguments.ts';
import { type LazyNormConstructor, lazyArguments, materialize, type NormArguments, NormBase, type normOrder } from './batchnorm.ts';
import { functional } from './functional.ts';

/** Normalization of each channel of each sample; a sample may come without a batch. */
export class InstanceNorm extends NormBase {
  protected get spatial(): number {
    return 0;
  }
  override forward(input: Tensor): Tensor {
    const { spatial } = this;
    if (input.ndim !== spatial + 1 && input.ndim !== spatial + 2)
      throw new Error(`expected ${spatial + 1}D or ${spatial + 2}D input (got ${input.ndim}D input)`);
    const dim = input.ndim - spatial - 1;
    const channels = input.size(dim);
    if (channels !== this.num_features && this.affine)
      throw new Error(`expected input's size at dim=${dim} to match num_features (${this.num_features}), but got: ${channels}.`);
    const batch = dim === 0 ? input.unsqueeze(0) : input;
    const out = functional.instance_norm(
      batch,
      this.running_mean,
      this.running_var,
      this.weight,
      this.bias,
      this.training || !this.track_running_stats,
      this.momentum ?? 0,
      this.eps,
    );
    return dim === 0 ? out.squeeze(0) : out;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html */
export class InstanceNorm1d extends InstanceNorm {
  constructor(...args: ConstructorArguments<NormArguments, typeof normOrder>) {
    super('InstanceNorm1d', args, { affine: false, track_running_stats: false });
  }
  protected override get spatial(): number {
    return 1;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html */
export class InstanceNorm2d extends InstanceNorm {
  constructor(...args: ConstructorArguments<NormArguments, typeof normOrder>) {
    super('InstanceNorm2d', args, { affine: false, track_running_stats: false });
  }
  protected override get spatial(): number {
    return 2;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm3d.html */
export class InstanceNorm3d extends InstanceNorm {
  constructor(...args: ConstructorArguments<NormArguments, typeof normOrder>) {
    super('InstanceNorm3d', args, { affine: false, track_running_stats: false });
  }
  protected override get spatial(): number {
    return 3;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm1d.html */
export class LazyInstanceNorm1d extends InstanceNorm1d {
  constructor(...args: LazyNormConstructor) {
    super(...lazyArguments('LazyInstanceNorm1d', args, { affine: false, track_running_stats: false }));
  }
  override forward(input: Tensor): Tensor {
    materialize(this, input.size(-1 - 1), InstanceNorm1d.prototype);
    return this.forward(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm2d.html */
export class LazyInstanceNorm2d extends InstanceNorm2d {
  constructor(...args: LazyNormConstructor) {
    super(...lazyArguments('LazyInstanceNorm2d', args, { affine: false, track_running_stats: false }));
  }
  override forward(input: Tensor): Tensor {
    materialize(this, input.size(-2 - 1), InstanceNorm2d.prototype);
    return this.forward(input);
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.LazyInstanceNorm3d.html */
export class LazyInstanceNorm3d extends InstanceNorm3d {
  constructor(...args: LazyNormConstructor) {
    super(...lazyArguments('LazyInstanceNorm3d', args, { affine: false, track_running_stats: false }));
  }
  override forward(input: Tensor): Tensor {
    materialize(this, input.size(-3 - 1), InstanceNorm3d.prototype);
    return this.forward(input);
  }
}
