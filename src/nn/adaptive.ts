/**
 * Adaptive softmax: https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html
 *
 * Frequent classes have a place in the head; the others are in clusters, each with one place in the head and a smaller projection of its own.
 * Every cluster is computed for every row and the right one selected: no reads of the targets, and the numbers are those of PyTorch's gathered rows.
 */
import type { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';
import { bindConstructor, type ConstructorArguments } from './arguments.ts';
import { ModuleList, Sequential } from './container.ts';
import { functional } from './functional.ts';
import { Linear } from './linear.ts';
import { Module } from './module.ts';
import type { FactoryOptions } from './parameter.ts';

interface AdaptiveArguments extends FactoryOptions {
  readonly in_features: number;
  readonly n_classes: number;
  readonly cutoffs: readonly number[];
  readonly div_value?: number;
  readonly head_bias?: boolean;
}
const order = ['in_features', 'n_classes', 'cutoffs', 'div_value', 'head_bias', 'device', 'dtype'] as const;

const tensor = (name: string, ...args: unknown[]): Tensor => use(name, ...args) as Tensor;

export class AdaptiveLogSoftmaxWithLoss extends Module {
  in_features: number;
  n_classes: number;
  cutoffs: number[];
  div_value: number;
  head_bias: boolean;
  shortlist_size: number;
  n_clusters: number;
  head_size: number;
  head: Linear;
  tail: ModuleList<Sequential>;
  constructor(...args: ConstructorArguments<AdaptiveArguments, typeof order>) {
    super();
    const a = bindConstructor<AdaptiveArguments>(
      'AdaptiveLogSoftmaxWithLoss',
      order,
      { div_value: 4, head_bias: false, device: null, dtype: null },
      args,
    );
    const cutoffs = [...a.cutoffs];
    if (cutoffs.length === 0) throw new Error('cutoffs should be a sequence of length larger than 0');
    if (
      cutoffs.some((c, i) => c <= 0 || !Number.isInteger(c) || (i > 0 && c <= cutoffs[i - 1])) ||
      cutoffs[cutoffs.length - 1] > a.n_classes - 1
    )
      throw new Error(
        'cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is between 1 and n_classes-1',
      );
    this.in_features = a.in_features;
    this.n_classes = a.n_classes;
    this.cutoffs = [...cutoffs, a.n_classes];
    this.div_value = a.div_value;
    this.head_bias = a.head_bias;
    this.shortlist_size = cutoffs[0];
    this.n_clusters = this.cutoffs.length - 1;
    this.head_size = this.shortlist_size + this.n_clusters;
    const factory = { device: a.device, dtype: a.dtype };
    this.head = new Linear(a.in_features, this.head_size, { bias: a.head_bias, ...factory });
    this.tail = new ModuleList<Sequential>();
    for (let i = 0; i < this.n_clusters; i++) {
      const hidden = Math.floor(a.in_features / a.div_value ** (i + 1));
      const size = this.cutoffs[i + 1] - this.cutoffs[i];
      this.tail.append(
        new Sequential(
          new Linear(a.in_features, hidden, { bias: false, ...factory }),
          new Linear(hidden, size, { bias: false, ...factory }),
        ),
      );
    }
  }
  reset_parameters(): void {
    this.head.reset_parameters();
    for (const projection of this.tail) for (const layer of projection) (layer as unknown as Linear).reset_parameters();
  }
  /** The log probability of each target, and the mean loss. */
  override forward(input_: Tensor, target_: Tensor): { readonly output: Tensor; readonly loss: Tensor } {
    const batched = target_.ndim > 0;
    if (target_.ndim === 1 && input_.size(0) !== target_.size(0))
      throw new Error('Input and target should have the same size in the batch dimension.');
    if (target_.ndim === 1 ? input_.ndim !== 2 : target_.ndim !== 0 || input_.ndim !== 1)
      throw new Error(
        target_.ndim > 1
          ? '0D or 1D target tensor expected, multi-target not supported'
          : `${target_.ndim}D target tensor expects ${target_.ndim + 1}D input tensors, but found inputs with size torch.Size([${input_.shape.join(', ')}])`,
      );
    const input = batched ? input_ : input_.unsqueeze(0);
    const target = batched ? target_ : target_.unsqueeze(0);
    const head = functional.log_softmax(this.head(input), 1);
    const pick = (logs: Tensor, index: Tensor): Tensor => tensor('squeeze', tensor('gather', logs, 1, tensor('unsqueeze', index, 1)), 1);
    const within = (low: number, high: number): Tensor => tensor('clamp', tensor('sub', target, low), 0, high - low - 1);
    let output = pick(head, within(0, this.shortlist_size));
    this.cutoffs.slice(0, -1).forEach((low, i) => {
      const logs = functional.log_softmax(this.tail.at(i)(input), 1);
      const here = tensor('add', pick(logs, within(low, this.cutoffs[i + 1])), tensor('select', head, 1, this.shortlist_size + i));
      output = tensor('where', tensor('ge', target, low), here, output);
    });
    const loss = tensor('mean', tensor('neg', output));
    return { output: batched ? output : output.squeeze(0), loss };
  }
  /** Log probabilities of all classes. */
  log_prob(input: Tensor): Tensor {
    const head = functional.log_softmax(this.head(input), 1);
    const clusters = [...this.tail].map((projection, i) => {
      const own = tensor('select', head, 1, this.shortlist_size + i);
      return tensor('add', functional.log_softmax(projection(input), 1), tensor('unsqueeze', own, 1));
    });
    return tensor('cat', [tensor('narrow', head, 1, 0, this.shortlist_size), ...clusters], 1);
  }
  predict(input: Tensor): Tensor {
    return tensor('argmax', this.log_prob(input), 1);
  }
}
