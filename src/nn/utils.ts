/** torch.nn.utils: gradient clipping, and what its other files hold. The usual norm is one call over all gradients, so no squares are stored. */
import { no_grad } from '../autograd/modes.ts';
import { float32, float64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { constant } from '../graph/prim.ts';
import { fromBytes } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';
import { record } from '../tensor/record.ts';
import type { Tensor as CoreTensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';

const totalNorm: Operator<null> = {
  name: 'total_norm',
  body: (grads) => {
    const squares = grads.map((g) => g.mul(g).sum());
    return [
      squares
        .slice(1)
        .reduce((sum, s) => sum.add(s.cast(sum.dtype)), squares[0])
        .sqrt(),
    ];
  },
};
const clipByNorm: Operator<null> = {
  name: 'clip_by_norm',
  paramTypes: () => [float64],
  body: ([g, total], { params: [max] }) => {
    const ratio = max.cast(total.dtype).div(total.add(1e-6));
    const one = constant(1, total.dtype);
    return [g.mul(ratio.gt(1).where(one, ratio).cast(g.dtype))];
  },
};
const clipByValue: Operator<null> = {
  name: 'clip_by_value',
  paramTypes: () => [float64],
  body: ([g], { params: [limit] }) => {
    const high = limit.cast(g.dtype);
    const low = high.neg();
    return [g.gt(high).where(high, g.lt(low).where(low, g))];
  },
};

const gradsOf = (parameters: Tensor | Iterable<Tensor>, single: boolean): CoreTensor[] =>
  (single ? [parameters as Tensor] : [...(parameters as Iterable<Tensor>)]).flatMap((p) => (p.grad_ === null ? [] : [p.grad_]));
const isSingle = (x: object): boolean => 'storage' in x;

interface NormOptions {
  readonly error_if_nonfinite?: boolean;
  /** There is one implementation. */
  readonly foreach?: boolean | null;
}

function normOf(tensors: readonly CoreTensor[], norm_type: number, check: boolean): CoreTensor {
  if (tensors.length === 0) return fromBytes(new Uint8Array(new Float32Array(1).buffer), [], float32);
  const total =
    norm_type === 2
      ? record(totalNorm as never, tensors)[0]
      : use(
          'linalg.vector_norm',
          use(
            'stack',
            tensors.map((t) => use('linalg.vector_norm', t, norm_type)),
          ),
          norm_type,
        );
  if (check && !(use('isfinite', total) as Tensor).item())
    throw new Error(
      `The total norm of order ${norm_type} for gradients from \`parameters\` is non-finite, so it cannot be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set \`error_if_nonfinite=False\``,
    );
  return total;
}
function clip(grads: readonly CoreTensor[], max_norm: number, total: CoreTensor): void {
  for (const g of grads) writeInto(g, () => record(clipByNorm as never, [g, total], { params: [max_norm] })[0]);
}

/** The norm of all tensors as one vector. */
export function get_total_norm(tensors: Tensor | Iterable<Tensor>, norm_type = 2, options: NormOptions = {}): Tensor {
  const list = isSingle(tensors) ? [tensors as Tensor] : [...(tensors as Iterable<Tensor>)];
  return normOf(list, norm_type, options.error_if_nonfinite ?? false) as Tensor;
}
/** Scales all gradients so that a norm that is known is at most `max_norm`. */
export function clip_grads_with_norm_(parameters: Tensor | Iterable<Tensor>, max_norm: number, total_norm: Tensor): void {
  no_grad(() => clip(gradsOf(parameters, isSingle(parameters)), max_norm, total_norm));
}
/** Scales all gradients so that their common norm is at most `max_norm`; returns the norm before. */
export function clip_grad_norm_(
  parameters: Tensor | Iterable<Tensor>,
  max_norm: number,
  norm_type: number | (NormOptions & { readonly norm_type?: number }) = 2,
  options: NormOptions = {},
): Tensor {
  const { norm_type: order = 2, error_if_nonfinite = false } = typeof norm_type === 'number' ? { norm_type, ...options } : norm_type;
  return no_grad(() => {
    const grads = gradsOf(parameters, isSingle(parameters));
    const total = normOf(grads, order, error_if_nonfinite);
    clip(grads, max_norm, total);
    return total as Tensor;
  });
}
/** The name before 2017. */
export { clip_grad_norm_ as clip_grad_norm };

export function clip_grad_value_(parameters: Tensor | Iterable<Tensor>, clip_value: number): void {
  no_grad(() => {
    for (const g of gradsOf(parameters, isSingle(parameters)))
      writeInto(g, () => record(clipByValue as never, [g], { params: [clip_value] })[0]);
  });
}

export {
  fuse_conv_bn_eval,
  fuse_conv_bn_weights,
  fuse_linear_bn_eval,
  fuse_linear_bn_weights,
} from './fusion.ts';
/** torch.nn.utils.rnn */
export * as rnn from './packed.ts';
export {
  convert_conv2d_weight_memory_format,
  convert_conv3d_weight_memory_format,
  parameters_to_vector,
  skip_init,
  vector_to_parameters,
} from './parameter-vectors.ts';
export { remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm } from './reparametrization.ts';
