/**
 * `x.at(...parts)` and `x.set(parts, value)`: what Python writes as x[...] and x[...] = value.
 *
 * Integers, slices, `...`, new dims and booleans make a view; tensors and lists then index that view (`indexing-advanced.ts`). Only a mask that is
 * read (not one that is written through with a number) needs its data at the call.
 */

import { bool, int64 } from '../dtype/dtype.ts';
import { type ParsedIndex, type IndexPart as Part, parseIndex } from '../shape/index-parser.ts';
import { item } from '../tensor/read.ts';
import { Tensor } from '../tensor/tensor.ts';
import { detached, viewOf } from '../tensor/view-tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { toTensor } from './conversion.ts';
import { copyInto } from './copy-into.ts';
import { fullOf, type TensorData, tensor } from './creation.ts';
import { indexOf, indexPutOf, tooMany } from './indexing-advanced.ts';
import type { ScalarArgument } from './scalar-argument.ts';
import { expandTo, selectOf, sliceOf, unsqueezeOf } from './shape-base.ts';

export type IndexPart = Part<Tensor>;

const isTensor = (x: unknown): x is Tensor => x instanceof Tensor;
const isMask = (t: Tensor): boolean => t.dtype.kind === 'bool' || t.dtype.name === 'uint8';

/** The view that the basic parts make, and the index tensors for its dims (null: the whole dim). */
interface Applied {
  readonly view: Tensor;
  readonly indices: (Tensor | null)[];
}

function apply(x: Tensor, parts: readonly IndexPart[]): Applied {
  const items = parseIndex(parts, isTensor).map((p) => (p.kind === 'list' ? listIndex(p.value, x.device) : p));
  const specified = items.reduce((n, p) => n + dimsOf(p), 0);
  const indices: (Tensor | null)[] = [];
  let view = x;
  let dim = 0;
  const choose = (index: Tensor, span: number): void => {
    while (indices.length < dim) indices.push(null);
    indices[dim] = index;
    dim += span;
  };
  const flag = (value: boolean): void => {
    view = unsqueezeOf(view, dim);
    choose(value ? fullOf([1], 0, int64, x.device) : fullOf([0], 0, int64, x.device), 1);
  };
  // Errors count the parts, as PyTorch's do.
  let position = -1;
  const pick = (value: number): void => {
    if (x.ndim === 0)
      throw new RangeError(
        'invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number',
      );
    if (dim >= view.ndim) throw tooMany(x);
    const size = view.view_.shape[dim];
    if (value < -size || value >= size) throw new RangeError(`index ${value} is out of bounds for dimension ${position} with size ${size}`);
    view = selectOf(view, dim, value);
  };
  if (specified > x.ndim && !(x.ndim === 0 && items.some((p) => p.kind === 'int'))) {
    if (x.ndim === 0 && items.some((p) => p.kind === 'slice')) throw new RangeError('slice() cannot be applied to a 0-dim tensor.');
    throw tooMany(x);
  }
  for (const p of items) {
    position++;
    switch (p.kind) {
      case 'int':
        pick(p.value);
        break;
      case 'slice':
        view = sliceOf(view, dim, p.start, p.stop, p.step);
        dim++;
        break;
      case 'ellipsis':
        // A second one stands for no dims.
        if (items.findIndex((q) => q.kind === 'ellipsis') === position) dim += x.ndim - specified;
        break;
      case 'newaxis':
        view = unsqueezeOf(view, dim++);
        break;
      case 'bool':
        flag(p.value);
        break;
      case 'tensor':
        if (p.value.ndim === 0 && isMask(p.value)) flag(Boolean(item(detached(p.value))));
        else if (p.value.ndim === 0 && p.value.dtype.kind === 'int') pick(Number(item(detached(p.value))));
        else choose(p.value, isMask(p.value) ? p.value.ndim : 1);
        break;
      default:
        throw new Error('internal: lists have become tensors');
    }
  }
  return { view, indices: compact(indices) };
}

/** Dims of the tensor that a part uses up. */
function dimsOf(p: ParsedIndex<Tensor>): number {
  if (p.kind === 'int' || p.kind === 'slice') return 1;
  if (p.kind !== 'tensor') return 0;
  return isMask(p.value) ? p.value.ndim : 1;
}

/** A mask of several dims is one entry, so the holes behind it go. */
function compact(indices: readonly (Tensor | null | undefined)[]): (Tensor | null)[] {
  const out: (Tensor | null)[] = [];
  for (let i = 0; i < indices.length; i++) {
    const t = indices[i] ?? null;
    out.push(t);
    if (t !== null && isMask(t)) i += Math.max(t.ndim, 1) - 1;
  }
  return out;
}

/** Nested arrays of integers are int64, of booleans a mask. */
function listIndex(list: TensorData, device: string): { readonly kind: 'tensor'; readonly value: Tensor } {
  const deepest = (x: TensorData): TensorData | undefined => (Array.isArray(x) ? deepest(x[0] as TensorData) : x);
  const element = ArrayBuffer.isView(list) ? 0 : deepest(list);
  const hasTensors = Array.isArray(list) && list.some((e) => e instanceof Tensor);
  if (typeof element === 'number' && !Number.isInteger(element) && !hasTensors)
    throw new RangeError('tensors used as indices must be long, int, byte or bool tensors');
  const dtype = typeof element === 'boolean' ? bool : int64;
  return { kind: 'tensor', value: tensor(list, { dtype, device }) };
}

/** x[parts] */
export function at(x: Tensor, parts: readonly IndexPart[]): Tensor {
  const { view, indices } = apply(x, parts);
  if (indices.every((i) => i === null)) return view === x ? viewOf(x, x.view_.shape, x.view_.strides) : view;
  return indexOf(view, indices);
}

/** x[parts] = value */
export function set(x: Tensor, parts: IndexPart | readonly IndexPart[], value: Tensor | ScalarArgument): Tensor {
  const list = Array.isArray(parts) ? (parts as readonly IndexPart[]) : [parts as IndexPart];
  const { view, indices } = apply(x, list);
  const given = value instanceof Tensor ? value : fullOf([], value, x.dtype, x.device);
  const here = given.device === x.device ? given : toTensor(given, x.device);
  if (indices.every((i) => i === null)) {
    copyInto(view, expandTo(withoutLead(here), view.view_.shape));
    return x;
  }
  writeInto(view, () => indexPutOf(view, indices, withoutLead(here)));
  return x;
}

/** Leading dims of size 1 go, as in PyTorch. */
function withoutLead(value: Tensor): Tensor {
  const { shape, strides } = value.view_;
  const first = shape.findIndex((d) => d !== 1);
  const lead = first < 0 ? shape.length : first;
  return lead === 0 ? value : viewOf(value, shape.slice(lead), strides.slice(lead));
}
