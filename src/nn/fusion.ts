/** `torch.nn.utils.fuse_conv_bn_eval` and its like: a batch normalization in eval mode is a scale and a shift, which the layer before can take. */
import { no_grad } from '../autograd/modes.ts';
import type { Tensor } from '../ops/methods.ts';
import type { NormBase } from './batchnorm.ts';
import type { ConvNd } from './conv.ts';
import type { Linear } from './linear.ts';
import { Parameter } from './parameter.ts';

interface Normalization {
  readonly mean: Tensor;
  readonly variance: Tensor;
  readonly eps: number;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
}

function folded(weight: Tensor, bias: Tensor | null, n: Normalization, shape: (scale: Tensor) => Tensor): [Parameter, Parameter] {
  return no_grad(() => {
    const inverse = n.variance.add(n.eps).rsqrt();
    const scale = n.weight === null ? inverse : n.weight.mul(inverse);
    const centered = bias === null ? n.mean.neg() : bias.sub(n.mean);
    const shift = n.bias === null ? centered.mul(scale) : centered.mul(scale).add(n.bias);
    const grad = weight.requires_grad;
    return [
      new Parameter(weight.mul(shape(scale)).to(weight.dtype), grad),
      new Parameter(shift.to((bias ?? weight).dtype), bias?.requires_grad ?? grad),
    ];
  });
}

/** Weight and bias of a convolution that normalizes too. */
export function fuse_conv_bn_weights(
  conv_w: Tensor,
  conv_b: Tensor | null,
  bn_rm: Tensor,
  bn_rv: Tensor,
  bn_eps: number,
  bn_w: Tensor | null,
  bn_b: Tensor | null,
  transpose = false,
): [Parameter, Parameter] {
  const ones = new Array<number>(conv_w.ndim - 2).fill(1);
  return folded(conv_w, conv_b, { mean: bn_rm, variance: bn_rv, eps: bn_eps, weight: bn_w, bias: bn_b }, (scale) =>
    scale.reshape(transpose ? [1, -1, ...ones] : [-1, 1, ...ones]),
  );
}
export function fuse_linear_bn_weights(
  linear_w: Tensor,
  linear_b: Tensor | null,
  bn_rm: Tensor,
  bn_rv: Tensor,
  bn_eps: number,
  bn_w: Tensor | null,
  bn_b: Tensor | null,
): [Parameter, Parameter] {
  return folded(linear_w, linear_b, { mean: bn_rm, variance: bn_rv, eps: bn_eps, weight: bn_w, bias: bn_b }, (scale) =>
    scale.unsqueeze(-1),
  );
}

function statisticsOf(bn: NormBase): [Tensor, Tensor] {
  if (bn.running_mean === null || bn.running_var === null) throw new Error('Only support fusing batch norms that track running statistics');
  return [bn.running_mean, bn.running_var];
}

/** A copy of the convolution that does what both did. */
export function fuse_conv_bn_eval<C extends ConvNd>(conv: C, bn: NormBase, transpose = false): C {
  if (conv.training || bn.training) throw new Error('Fusion only for eval!');
  const [mean, variance] = statisticsOf(bn);
  const fused = conv.deepcopy();
  [fused.weight, fused.bias] = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, bn.eps, bn.weight, bn.bias, transpose);
  return fused;
}
export function fuse_linear_bn_eval<L extends Linear>(linear: L, bn: NormBase): L {
  if (linear.training || bn.training) throw new Error('Fusion only for eval!');
  if (linear.out_features !== bn.num_features && bn.num_features !== 1)
    throw new Error('To fuse, linear.out_features == bn.num_features or bn.num_features == 1');
  const [mean, variance] = statisticsOf(bn);
  const fused = linear.deepcopy();
  [fused.weight, fused.bias] = fuse_linear_bn_weights(linear.weight, linear.bias, mean, variance, bn.eps, bn.weight, bn.bias);
  return fused;
}
