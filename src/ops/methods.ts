/**
 * The assembled table: every section's operators, installed on the Tensor prototype and typed there by the same declarations.
 * A new section is one import and one line in `sections`.
 */
import { withoutAutocast } from '../autograd/autocast-mode.ts';
import { type BackwardOptions, provideOperators, backward as runBackward } from '../autograd/backward.ts';
import { registerHook, retainGrad, retainsGrad } from '../autograd/hooks.ts';
import type { GradientHook } from '../autograd/tape.ts';
import type { StorageArray } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import { broadcastShapes } from '../shape/view.ts';
import { describe, item, itemAsync, type Nested, tolist, tolistAsync, toTypedArray, toTypedArrayAsync } from '../tensor/read.ts';
import { Tensor as CoreTensor } from '../tensor/tensor.ts';
import { assign, writeInto } from '../tensor/write.ts';
import { activations, torchActivations } from './activation.ts';
import { atenOps } from './aten.ts';
import { attention } from './attention.ts';
import { bitwise } from './bitwise.ts';
import { blas } from './blas.ts';
import { comparison } from './comparison.ts';
import { complexOps, imagOf, realOf } from './complex.ts';
import { castTo, dtypeMethods, type ToOptions, toTensor } from './conversion.ts';
import { convolutions, torchConvolution, torchConvolutions } from './convolution.ts';
import { copyInto } from './copy-into.ts';
import { type CreationOptions, fullOf, tensor as makeTensor, type TensorData } from './creation.ts';
import { type FunctionalTwins, install, type TableFunctions, type TableMethods } from './declare.ts';
import { torchDistances } from './distance.ts';
import { dropouts, torchDropouts } from './dropout.ts';
import { embeddings, torchEmbeddings } from './embedding.ts';
import { creation } from './factories.ts';
import { fftOps } from './fft.ts';
import { magpieOps } from './ggml.ts';
import { type IndexPart, at as indexAt, set as indexSet } from './index-parts.ts';
import { indexing } from './indexing.ts';
import { joining } from './joining.ts';
import { linalgOps } from './linalg.ts';
import { losses, torchLosses } from './loss.ts';
import { maskedOps } from './masked.ts';
import { matmul } from './matmul.ts';
import { normalizations, torchNormalizations } from './normalization.ts';
import { padding, torchPadding } from './padding.ts';
import { pointwise } from './pointwise.ts';
import { pooling, torchPooling } from './pooling.ts';
import { randomOps } from './random-ops.ts';
import { recurrent } from './recurrent.ts';
import { reductions } from './reduction.ts';
import type { ScalarArgument } from './scalar-argument.ts';
import { scans } from './scan.ts';
import { segmentReductions } from './segment-reduce.ts';
import { cloneOf, reshapeTo, shape } from './shape.ts';
import { isContiguousIn } from './shape-base.ts';
import { signalWindows } from './signal.ts';
import { softmaxes } from './softmax.ts';
import { sorting } from './sort.ts';
import { specialOps } from './special.ts';
import { spectral } from './spectral.ts';
import { statistics } from './statistics.ts';
import { tensorFacts } from './tensor-facts.ts';
import { torchSampling, torchVision, vision } from './vision.ts';

/** Sections of `torch` (functions and methods). */
export const torchTable = {
  ...creation,
  ...randomOps,
  ...pointwise,
  ...comparison,
  ...bitwise,
  ...complexOps,
  ...reductions,
  ...statistics,
  ...scans,
  ...segmentReductions,
  ...sorting,
  ...shape,
  ...tensorFacts,
  ...joining,
  ...indexing,
  ...matmul,
  ...blas,
  ...spectral,
  ...softmaxes,
  ...torchActivations,
  ...torchDropouts,
  ...torchNormalizations,
  ...torchLosses,
  ...torchDistances,
  ...torchEmbeddings,
  ...recurrent,
  ...torchConvolutions,
  ...torchConvolution,
  ...torchPooling,
  ...torchPadding,
  ...torchVision,
  ...torchSampling,
};
/** Operators of `torch.nn.functional`; those that are methods too say so. */
export const functionalTable = {
  ...convolutions,
  ...pooling,
  ...vision,
  ...padding,
  ...activations,
  ...normalizations,
  ...losses,
  ...dropouts,
  ...attention,
  ...embeddings,
};

export const torchFunctions = {} as TableFunctions<typeof torchTable>;
export const functional = {} as TableFunctions<typeof functionalTable> & FunctionalTwins<typeof torchTable>;
export const linalg = {} as TableFunctions<typeof linalgOps>;
export const fft = {} as TableFunctions<typeof fftOps>;
export const special = {} as TableFunctions<typeof specialOps>;
export const masked = {} as TableFunctions<typeof maskedOps>;
export const windows = {} as TableFunctions<typeof signalWindows>;
export const aten = {} as TableFunctions<typeof atenOps>;
export const magpie = {} as TableFunctions<typeof magpieOps>;
install(torchTable, torchFunctions as Record<string, unknown>, '', functional as Record<string, unknown>);
install(functionalTable, functional as Record<string, unknown>, 'nn.functional.');
install(linalgOps, linalg as Record<string, unknown>, 'linalg.');
install(fftOps, fft as Record<string, unknown>, 'fft.');
install(specialOps, special as Record<string, unknown>, 'special.');
install(maskedOps, masked as Record<string, unknown>, 'masked.');
install(signalWindows, windows as Record<string, unknown>, 'signal.windows.');
install(atenOps, aten as Record<string, unknown>, 'aten.');
install(magpieOps, magpie as Record<string, unknown>, 'magpie.');

export type OperatorMethods = TableMethods<typeof torchTable>;

/** What is on a tensor beside operators. */
export interface TensorExtras {
  /** The one element as a number, bigint or boolean. Blocks. */
  item(): number;
  item_async(): Promise<number>;
  /** Nested arrays of the elements, of a shape that the caller knows: `x.tolist<number[]>()`. Blocks. */
  tolist<T extends Nested = Nested>(): T;
  tolist_async<T extends Nested = Nested>(): Promise<T>;
  /** For JSON.stringify: `tolist()`. */
  toJSON(): Nested;
  /** A copy of the elements, row-major, as a typed array. Blocks. */
  numpy(): StorageArray;
  numpy_async(): Promise<StorageArray>;
  backward(gradient?: Tensor | null, options?: BackwardOptions): void;
  to(...args: readonly (DType | string | Tensor | ToOptions | boolean | null)[]): Tensor;
  cpu(): Tensor;
  /** On a card: the current one, or `device`. */
  cuda(device?: number | string): Tensor;
  type(dtype: DType): Tensor;
  float(): Tensor;
  double(): Tensor;
  half(): Tensor;
  bfloat16(): Tensor;
  long(): Tensor;
  int(): Tensor;
  short(): Tensor;
  char(): Tensor;
  byte(): Tensor;
  bool(): Tensor;
  cfloat(): Tensor;
  cdouble(): Tensor;
  size(): number[];
  size(dim: number): number;
  stride(): number[];
  stride(dim: number): number;
  dim(): number;
  numel(): number;
  nelement(): number;
  element_size(): number;
  storage_offset(): number;
  data_ptr(): number;
  is_contiguous(options?: { readonly memory_format?: string | null }): boolean;
  /**
   * x[...]: integers, slices as text ('1:3', '::2', ':'), '...', null or 'None' (a new dim), booleans, index tensors and masks, nested arrays of
   * integers. One text may hold several parts: `x.at(':, 0')`. Integers and slices make a view.
   */
  at(...parts: readonly IndexPart[]): Tensor;
  /** x[parts] = value: one part, or an array of them. */
  set(parts: IndexPart | readonly IndexPart[], value: Tensor | ScalarArgument): this;
  /** A tensor of this one's dtype and device (unless others are given) with a copy of the data. */
  new_tensor(data: TensorData, options?: CreationOptions): Tensor;
  is_floating_point(): boolean;
  is_complex(): boolean;
  /** Overwrites with another tensor's (or number's) values, broadcast and cast. */
  copy_(src: Tensor | ScalarArgument, options?: { readonly non_blocking?: boolean }): this;
  register_hook(hook: GradientHook): { remove(): void };
  retain_grad(): void;
  /** Real parts, a view; assigning writes into them. */
  get real(): Tensor;
  set real(values: Tensor);
  /** Imaginary parts, a view; assigning writes into them. */
  get imag(): Tensor;
  set imag(values: Tensor);
  readonly T: Tensor;
  readonly mT: Tensor;
  readonly H: Tensor;
  readonly mH: Tensor;
  readonly data: Tensor;
  /** Will backward leave the gradient of this tensor, no leaf, in its `grad`? */
  readonly retains_grad: boolean;
  readonly is_cpu: boolean;
  readonly is_cuda: boolean;
  readonly is_sparse: boolean;
  readonly is_sparse_csr: boolean;
  readonly is_quantized: boolean;
  readonly is_mkldnn: boolean;
  readonly is_nested: boolean;
  readonly is_meta: boolean;
  readonly layout: string;
  readonly itemsize: number;
  readonly nbytes: number;
  ndimension(): number;
  /** Dims from the slowest to the fastest in memory. */
  dim_order(): number[];
  /** Host memory is not page-locked here: the tensor itself. */
  pin_memory(): Tensor;
  is_pinned(): boolean;
}

/** A tensor as users see it: the handle, every operator of the table as a method, and the rest. */
export interface Tensor extends CoreTensor, OperatorMethods, TensorExtras {
  grad: Tensor | null;
}
export interface TensorClass {
  readonly prototype: Tensor;
  [Symbol.hasInstance](x: unknown): x is Tensor;
}
export const Tensor = CoreTensor as unknown as TensorClass;
/** The same handle with its operators in sight. */
const operatorsOf = (t: CoreTensor): Tensor => t as Tensor;

const extras: ThisType<Tensor> & Record<string, (...args: never[]) => unknown> = {
  item() {
    return item(this);
  },
  item_async() {
    return itemAsync(this);
  },
  tolist() {
    return tolist(this);
  },
  tolist_async() {
    return tolistAsync(this);
  },
  numpy() {
    return toTypedArray(this);
  },
  numpy_async() {
    return toTypedArrayAsync(this);
  },
  backward(gradient: Tensor | null = null, options: BackwardOptions = {}) {
    runBackward(this, gradient, options);
  },
  to(...args: never[]) {
    return toTensor(this, ...args);
  },
  cpu() {
    return toTensor(this, 'cpu');
  },
  cuda(device: number | string = 'cuda') {
    return toTensor(this, typeof device === 'number' ? `cuda:${device}` : device);
  },
  type(dtype: DType) {
    return castTo(this, dtype);
  },
  size(dim?: number) {
    return dim === undefined ? this.shape : this.view_.shape[dim < 0 ? dim + this.ndim : dim];
  },
  stride(dim?: number) {
    return dim === undefined ? [...this.view_.strides] : this.view_.strides[dim < 0 ? dim + this.ndim : dim];
  },
  dim() {
    return this.ndim;
  },
  numel() {
    return this.view_.numel;
  },
  ndimension() {
    return this.ndim;
  },
  dim_order() {
    const { strides } = this.view_;
    return [...strides.keys()].sort((a, b) => strides[b] - strides[a] || a - b);
  },
  pin_memory() {
    return this;
  },
  is_pinned() {
    return false;
  },
  nelement() {
    return this.view_.numel;
  },
  element_size() {
    return this.dtype.itemsize;
  },
  storage_offset() {
    return this.offset;
  },
  is_contiguous({ memory_format = null }: { memory_format?: string | null } = {}) {
    return isContiguousIn(this.view_, memory_format);
  },
  at(...parts: readonly IndexPart[]) {
    return indexAt(this, parts);
  },
  set(parts: IndexPart | readonly IndexPart[], value: Tensor | ScalarArgument) {
    return indexSet(this, parts, value);
  },
  new_tensor(data: TensorData, options: CreationOptions = {}) {
    return makeTensor(data, { ...options, dtype: options.dtype ?? this.dtype, device: options.device ?? this.device });
  },
  is_floating_point() {
    return this.dtype.is_floating_point;
  },
  is_complex() {
    return this.dtype.is_complex;
  },
  copy_(src: Tensor | ScalarArgument) {
    return copyInto(this, src instanceof CoreTensor ? src : fullOf([], src, this.dtype, this.device));
  },
  register_hook(hook: GradientHook) {
    return registerHook(this, hook);
  },
  retain_grad() {
    retainGrad(this);
  },
  toString() {
    return describe(this);
  },
  toJSON() {
    return tolist(this);
  },
};
for (const [name, f] of Object.entries(extras)) (Tensor.prototype as unknown as Record<string, unknown>)[name] = f;
for (const [name, dtype] of Object.entries(dtypeMethods))
  (Tensor.prototype as unknown as Record<string, unknown>)[name] = function (
    this: CoreTensor,
    { memory_format = null }: { memory_format?: string | null } = {},
  ): CoreTensor {
    return toTensor(this, { dtype, memory_format });
  };

const getter = (name: string, get: (t: Tensor) => unknown): void => {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    get(this: Tensor) {
      return get(this);
    },
  });
};
getter('T', (t) => (t.ndim < 2 ? t : t.permute([...Array(t.ndim).keys()].reverse())));
getter('mT', (t) => batchTranspose(t, 'mT'));
getter('H', (t) => {
  if (t.ndim === 0) return t.conj();
  if (t.ndim === 2) return t.transpose(0, 1).conj();
  throw new Error(
    `tensor.H is only supported on matrices (2-D tensors). Got ${t.ndim}-D tensor.${t.ndim > 2 ? ' For batches of matrices, consider using tensor.mH' : ''}`,
  );
});
getter('mH', (t) => batchTranspose(t, 'mH').conj());
function batchTranspose(t: Tensor, name: 'mT' | 'mH'): Tensor {
  if (t.ndim === 1) throw new Error(`tensor.${name} is only supported on matrices or batches of matrices. Got 1-D tensor.`);
  return t.ndim === 0 ? t : t.transpose(-2, -1);
}
getter('data', (t) => {
  const out = t.detach();
  out.version = { count: 0 };
  return out;
});
for (const [name, part] of [
  ['real', realOf],
  ['imag', imagOf],
] as const)
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    get(this: CoreTensor) {
      return part(this);
    },
    set(this: CoreTensor, values: CoreTensor) {
      assign(part(this), values);
    },
  });
getter('is_cpu', (t) => t.device === 'cpu');
getter('is_cuda', (t) => t.device.startsWith('cuda'));
getter('retains_grad', (t) => !t.is_leaf && retainsGrad(t));
getter('layout', () => 'strided');
getter('itemsize', (t) => t.dtype.itemsize);
getter('nbytes', (t) => t.dtype.itemsize * t.view_.numel);
// Kinds of tensors that do not exist here.
for (const name of ['is_sparse', 'is_sparse_csr', 'is_quantized', 'is_mkldnn', 'is_nested', 'is_meta'] as const) getter(name, () => false);
Object.defineProperty(Tensor.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: Tensor) {
    return describe(this);
  },
});
Object.defineProperty(Tensor.prototype, Symbol.iterator, {
  value(this: Tensor) {
    if (this.ndim === 0) throw new TypeError('iteration over a 0-d tensor');
    return this.unbind(0)[Symbol.iterator]();
  },
});
Object.defineProperty(Tensor.prototype, Symbol.toPrimitive, {
  value(this: Tensor, hint: string) {
    if (hint === 'string') return this.view_.numel === 1 && !this.dtype.is_complex ? String(item(this)) : describe(this);
    throw new TypeError(
      'unsupported operand: JavaScript operators do not work on a Tensor; use its methods: a.add(b), a.mul(b), a.lt(b), a.item()',
    );
  },
});
// x[0] is a slip: name the method.
for (let i = 0; i < 16; i++)
  Object.defineProperty(Tensor.prototype, i, {
    configurable: true,
    get() {
      throw new TypeError(`a Tensor is indexed with .at(${i}), not [${i}]`);
    },
  });

/** Sums the dims that broadcasting added or widened. */
function sumToSize(t: CoreTensor, shape: readonly number[]): CoreTensor {
  const lead = t.ndim - shape.length;
  const dims = t.view_.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  return reshapeTo(dims.length === 0 ? t : withoutAutocast(() => operatorsOf(t).sum(dims)), shape);
}

provideOperators({
  ones: (like) => fullOf(like.view_.shape, 1, like.dtype, like.device),
  zeros: (like) => fullOf(like.view_.shape, 0, like.dtype, like.device),
  clone: (t) => cloneOf(t),
  cast: (t, dtype) => castTo(t, dtype),
  sumTo: (t, shape, otherwise) => {
    const common = broadcastShapes(shape, t.view_.shape);
    if (common === null || common.join() !== t.view_.shape.join()) throw otherwise();
    return sumToSize(t, shape);
  },
  anyNan: (t) => item(operatorsOf(t).ne(operatorsOf(t)).any()) as unknown as boolean,
  addToGrad: (target, grad) => {
    const present = operatorsOf(target.grad_!);
    writeInto(present, () => present.add(operatorsOf(grad)));
  },
});
