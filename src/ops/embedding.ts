/** Embeddings and linear maps: https://docs.pytorch.org/docs/stable/nn.functional.html#sparse-functions */
import { no_grad } from '../autograd/modes.ts';
import { int64 } from '../dtype/dtype.ts';
import { computationDtype, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { iota } from '../graph/prim.ts';
import { item } from '../tensor/read.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { detached } from '../tensor/view-tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { fullOf } from './creation.ts';
import { declare, overload } from './declare.ts';
import { distances } from './distance.ts';
import { normPrim } from './distance-bodies.ts';
import {
  type BagConstants,
  bagOperator,
  bilinearOperator,
  type EmbeddingConstants,
  embeddingOperator,
  renormOperator,
} from './embedding-bodies.ts';
import { requireInside } from './host-index.ts';
import { linearOf } from './matmul.ts';
import { reshapeTo } from './shape.ts';
import { use } from './use.ts';

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.${name}.html`;

function checkIndices(name: string, input: Tensor, argument: string): void {
  if (input.dtype === int64 || input.dtype.name === 'int32') return;
  throw new Error(
    `Expected tensor for argument #1 '${argument}' to have one of the following scalar types: Long, Int; but got torch.${scalarTypeName(
      input.dtype,
    )}Tensor instead (while checking arguments for ${name})\nhint: indices are integers: make them with { dtype: torch.int64 } or bigint literals`,
  );
}

/** Rows that are looked up and longer than `max` are scaled down in the table itself. */
function renorm(weight: Tensor, indices: Tensor, max: number, p: number): Tensor {
  const constants = constantsOf(`renorm:${p}`, () => ({ norm: (rows: Parameters<typeof normPrim>[0]) => normPrim(rows, p, [1]) }));
  return no_grad(() =>
    writeInto(weight, () => {
      const limit = fullOf([], max, weight.dtype, weight.device);
      return record(renormOperator as never, [detached(weight), indices, limit], { constants })[0];
    }),
  );
}

function embeddingOf(input: Tensor, weight: Tensor, padding: number | null, byFrequency: boolean): Tensor {
  checkIndices('embedding', input, 'indices');
  if (weight.ndim !== 2) throw new Error("'weight' must be 2-D");
  requireInside(input, 0, weight.view_.shape[0], () => new RangeError('index out of range in self'));
  const constants = constantsOf(`embedding:${padding}:${byFrequency}`, (): EmbeddingConstants => ({ padding, byFrequency }));
  return record(embeddingOperator as never, [weight, input], { constants })[0];
}
function paddingOf(padding: number | null, rows: number): number | null {
  if (padding === null) return null;
  if (padding >= rows || padding < -rows) throw new Error('Padding_idx must be within num_embeddings');
  return padding < 0 ? padding + rows : padding;
}

const bags = bagOperator(computationDtype);
interface BagOptions {
  readonly mode: 'sum' | 'mean' | 'max';
  readonly byFrequency: boolean;
  readonly sampleWeights: Tensor | null;
  readonly includeLast: boolean;
  readonly padding: number | null;
}
function bagOf(weight: Tensor, indices: Tensor, offsets: Tensor, o: BagOptions): Tensor {
  checkIndices('embedding_bag', indices, 'indices');
  const rows = weight.view_.shape[0];
  requireInside(
    indices,
    0,
    rows,
    () => new RangeError(`embedding_bag: Expected idx >= 0 && idx < num_embeddings but found an index outside of [0, ${rows})`),
  );
  const count = offsets.view_.shape[0] - (o.includeLast ? 1 : 0);
  const padding = paddingOf(o.padding, rows);
  const weighted = o.sampleWeights !== null;
  const constants = constantsOf(
    `bag:${o.mode}:${o.byFrequency}:${padding}:${weighted}:${count}`,
    (): BagConstants => ({ mode: o.mode, byFrequency: o.byFrequency, padding, weighted, bags: count }),
  );
  const inputs = [weight, indices, offsets, ...(o.sampleWeights === null ? [] : [o.sampleWeights])];
  return record(bags as never, inputs, { constants })[0];
}

function functionalBag(
  input: Tensor,
  weight: Tensor,
  offsets: Tensor | null,
  maxNorm: number | null,
  normType: number,
  byFrequency: boolean,
  mode: string,
  sparse: boolean,
  sampleWeights: Tensor | null,
  includeLast: boolean,
  padding: number | null,
): Tensor {
  const size = (t: Tensor): string => `torch.Size([${t.view_.shape.join(', ')}])`;
  if (sampleWeights !== null && sampleWeights.view_.shape.join() !== input.view_.shape.join())
    throw new Error(
      `embedding_bag: If per_sample_weights (${size(sampleWeights)}) is not None, then it must have the same shape as the input (${size(input)})`,
    );
  if (weight.ndim !== 2) throw new Error(`weight has to be a 2D Tensor, but got Tensor of dimension ${weight.ndim}`);
  let indices = input;
  let begins = offsets;
  let samples = sampleWeights;
  let last = includeLast;
  if (input.ndim === 2) {
    if (offsets !== null)
      throw new Error(
        "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences. However, found offsets of type <class 'torch.Tensor'>",
      );
    const [rows, width] = input.view_.shape;
    begins = use('arange', 0, rows * width, width, { dtype: input.dtype, device: input.device });
    last = false;
    indices = reshapeTo(input, [-1]);
    samples = sampleWeights === null ? null : reshapeTo(sampleWeights, [-1]);
  } else if (input.ndim === 1) {
    if (begins === null) throw new Error('offsets has to be a 1D Tensor but got None');
    if (begins.ndim !== 1) throw new Error('offsets has to be a 1D Tensor');
  } else throw new Error(`input has to be 1D or 2D Tensor, but got Tensor of dimension ${input.ndim}`);
  if (mode !== 'sum' && mode !== 'mean' && mode !== 'max') throw new Error('mode has to be one of sum, mean or max');
  if (mode === 'max' && byFrequency) throw new Error('max mode does not support scaling the gradient by the frequency');
  if (mode === 'max' && sparse) throw new Error('max mode does not support sparse weights');
  if (maxNorm !== null) renorm(weight, indices, maxNorm, normType);
  if (samples !== null && mode !== 'sum')
    throw new Error(
      `embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got mode='${mode}'). Please open a feature request on GitHub.`,
    );
  return bagOf(weight, indices, begins!, { mode, byFrequency, sampleWeights: samples, includeLast: last, padding });
}

const oneHotOperator: Operator<{ classes: number }> = {
  name: 'one_hot',
  body: ([index], { constants: { classes } }) => {
    const shape = [...index.shape, classes];
    return [iota(shape, index.ndim).eq(index.unsqueeze(index.ndim)).cast(int64)];
  },
};
/** The number of classes may depend on the data, and the data are checked: they are read. */
function oneHot(index: Tensor, classes: number): Tensor {
  if (index.dtype !== int64) throw new Error('one_hot is only applicable to index tensor of type LongTensor.');
  if (index.view_.numel === 0) {
    if (classes <= 0) throw new Error('Can not infer total number of classes from empty tensor.');
    return fullOf([...index.view_.shape, classes], 0, int64, index.device);
  }
  const axes = [...Array(index.ndim).keys()];
  const extreme = (name: 'amin' | 'amax'): number => Number(item(use(name, index, axes)));
  if (extreme('amin') < 0) throw new Error('Class values must be non-negative.');
  const highest = extreme('amax');
  if (classes !== -1 && classes < 1) throw new Error('num_classes should be positive');
  if (classes !== -1 && highest >= classes) throw new Error('Class values must be smaller than num_classes.');
  const count = classes === -1 ? highest + 1 : classes;
  return record(oneHotOperator as never, [index], { constants: constantsOf(`one_hot:${count}`, () => ({ classes: count })) })[0];
}

function bilinearOf(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  if (x1.ndim !== x2.ndim) throw new Error(`bilinear(): input dimensions do not match: got ${x1.ndim} and ${x2.ndim}`);
  for (let i = 0; i < x1.ndim - 1; i++)
    if (x1.view_.shape[i] !== x2.view_.shape[i])
      throw new Error(`bilinear(): input batch dimensions do not match at dim ${i}: got ${x1.view_.shape[i]} and ${x2.view_.shape[i]}`);
  [x1, x2].forEach((x, i) => {
    const size = x.view_.shape[x.ndim - 1];
    if (size !== weight.view_.shape[i + 1])
      throw new Error(`bilinear(): input${i + 1} size does not match weight size: got ${size} but expected ${weight.view_.shape[i + 1]}`);
  });
  if (bias !== null && bias.view_.shape[0] !== weight.view_.shape[0])
    throw new Error(`bilinear(): bias size does not match weight size: got ${bias.view_.shape[0]} but expected ${weight.view_.shape[0]}`);
  const inputs = [x1, x2, weight, ...(bias === null ? [] : [bias])];
  return record(bilinearOperator as never, inputs, {
    constants: constantsOf(`bilinear:${bias !== null}`, () => ({ bias: bias !== null })),
  })[0];
}

const bagModes = ['sum', 'mean', 'max'] as const;

/** Of `torch`. */
export const torchEmbeddings = {
  bilinear: declare(
    { doc: `x1^T W x2 + b. ${page('bilinear')}`, as: 'function', functional: true },
    overload('bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor', (x1, x2, weight, bias) =>
      bilinearOf(x1, x2, weight, bias),
    ),
  ),
  embedding: declare(
    { doc: `Rows of a table. ${page('embedding')}`, as: 'function' },
    overload(
      'embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor',
      (weight, indices, padding, byFrequency, _sparse) => embeddingOf(indices, weight, padding < 0 ? null : padding, byFrequency),
    ),
  ),
  embedding_renorm_: declare(
    { doc: 'Scales looked-up rows of a table to a largest norm, in place.', as: 'function' },
    overload('embedding_renorm_(Tensor self, Tensor indices, float max_norm, float norm_type) -> Tensor', (weight, indices, max, p) =>
      renorm(weight, indices, max, p),
    ),
  ),
  embedding_bag: declare(
    { doc: `Reduced bags of rows; the last three results are for its own backward. ${page('embedding_bag')}`, as: 'function' },
    overload(
      'embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int? padding_idx=None) -> (Tensor, Tensor, Tensor, Tensor)',
      (weight, indices, offsets, byFrequency, mode, _sparse, sampleWeights, includeLast, padding) => {
        const out = bagOf(weight, indices, offsets, { mode: bagModes[mode], byFrequency, sampleWeights, includeLast, padding });
        const none = (): Tensor => fullOf([0], 0, indices.dtype, indices.device);
        return [out, none(), none(), none()];
      },
    ),
  ),
};

/** Of `nn.functional`. */
export const embeddings = {
  ...distances,
  linear: declare(
    { doc: `x W^T + b. ${page('linear')}`, as: 'function' },
    overload('linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor', (x, weight, bias) => linearOf(x, weight, bias)),
  ),
  embedding: declare(
    { doc: `Rows of a table. ${page('embedding')}`, as: 'function' },
    overload(
      'embedding(Tensor input, Tensor weight, int? padding_idx=None, float? max_norm=None, float norm_type=2.0, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor',
      (input, weight, padding, maxNorm, normType, byFrequency, _sparse) => {
        if (maxNorm !== null) renorm(weight, input, maxNorm, normType);
        return embeddingOf(input, weight, paddingOf(padding, weight.view_.shape[0]), byFrequency);
      },
    ),
  ),
  embedding_bag: declare(
    { doc: `Sums, means or maxima of bags of rows. ${page('embedding_bag')}`, as: 'function' },
    overload(
      'embedding_bag(Tensor input, Tensor weight, Tensor? offsets=None, float? max_norm=None, float norm_type=2, bool scale_grad_by_freq=False, str mode=mean, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int? padding_idx=None) -> Tensor',
      (input, weight, offsets, maxNorm, normType, byFrequency, mode, sparse, sampleWeights, includeLast, padding) =>
        functionalBag(input, weight, offsets, maxNorm, normType, byFrequency, mode, sparse, sampleWeights, includeLast, padding),
    ),
  ),
  one_hot: declare(
    { doc: `Indices as rows of zeros with a one. ${page('one_hot')}`, as: 'function' },
    overload('one_hot(Tensor tensor, int num_classes=-1) -> Tensor', (index, classes) => oneHot(index, classes)),
  ),
};
