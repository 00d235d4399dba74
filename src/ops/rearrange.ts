/**
 * Operators that move elements to a new tensor: flips, rolls, repeats, triangles and diagonals. Each records one node whose body is views of its
 * input; the gradients follow from them.
 */
import { int64 } from '../dtype/dtype.ts';
import type { Operator } from '../graph/operator.ts';
import { cat, full, iota, type Prim, rowMajor } from '../graph/prim.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { shapeList, wrapDim } from './dims.ts';
import { repeatInterleave, repeatsToIndex } from './repeat-interleave.ts';
import { resizeTo } from './resize.ts';
import { cloneOf, copyOf, diagonalOf, reshapeTo, transposeOf } from './shape-base.ts';

// ---- flips and rolls

const flipOperator: Operator<{ axes: readonly number[] }> = {
  name: 'flip',
  layout: 'elementwise',
  body: ([x], { constants: { axes } }) => {
    const strides = rowMajor(x.shape);
    const offset = axes.reduce<Dim>((sum, a) => dimsOf.add(sum, dimsOf.mul(dimsOf.sub(x.shape[a], 1), strides[a])), 0);
    return [
      x.view(
        x.shape,
        strides.map((s, i) => (axes.includes(i) ? dimsOf.mul(s, -1) : s)),
        offset,
      ),
    ];
  },
};

export function flipOf(x: Tensor, dims: readonly number[]): Tensor {
  const wrapped = dims.map((d) => wrapDim(d, x.ndim));
  wrapped.forEach((d, i) => {
    if (wrapped.indexOf(d) !== i) throw new Error(`dim ${d} appears multiple times in the list of dims`);
  });
  const axes = wrapped.filter((d) => d < x.ndim && x.view_.shape[d] > 1).sort((a, b) => a - b);
  if (axes.length === 0 || x.view_.numel === 0) return cloneOf(x);
  return record(flipOperator as never, [x], { constants: constantsOf(`flip:${axes}`, () => ({ axes })) })[0];
}

function rot90Of(x: Tensor, k: number, dims: readonly number[]): Tensor {
  if (dims.length !== 2) throw new Error(`expected total rotation dims == 2, but got dims = ${dims.length}`);
  if (x.ndim < 2) throw new Error(`expected total dims >= 2, but got total dims = ${x.ndim}`);
  const [a, b] = dims;
  if (a === b || Math.abs(a - b) === x.ndim) throw new Error(`expected rotation dims to be different, but got dim0 = ${a} and dim1 = ${b}`);
  dims.forEach((d, i) => {
    if (d >= x.ndim || d < -x.ndim) throw new Error(`Rotation dim${i} out of range, dim${i} = ${d}`);
  });
  switch (((k % 4) + 4) % 4) {
    case 1:
      return transposeOf(flipOf(x, [b]), a, b);
    case 2:
      return flipOf(x, dims);
    case 3:
      return transposeOf(flipOf(x, [a]), a, b);
    default:
      return copyOf(x);
  }
}

/** dims: the position along the axis that comes first. */
const rollOperator: Operator<{ axis: number }> = {
  name: 'roll',
  body: ([x], { constants: { axis }, dims: [start] }) => [
    cat([x.slice(axis, start, dimsOf.sub(x.shape[axis], start)), x.slice(axis, 0, start)], axis),
  ],
};

function rollOf(x: Tensor, shifts: readonly number[], dims: readonly number[]): Tensor {
  if (shifts.length === 0) throw new Error('`shifts` required');
  if (dims.length === 0 && shifts.length === 1) return reshapeTo(rollOf(reshapeTo(x, [-1]), shifts, [0]), x.view_.shape);
  if (dims.length !== shifts.length) throw new Error(`shifts and dimensions must align. shifts: ${shifts.length}, dims:${dims.length}`);
  const wrapped = dims.map((d) => wrapDim(d, x.ndim));
  if (x.view_.numel === 0) return cloneOf(x);
  // One node an axis: they fuse.
  return wrapped.reduce(
    (out, axis, i) => {
      const size = x.view_.shape[axis] ?? 1;
      const start = (((size - shifts[i]) % size) + size) % size;
      if (start === 0) return out;
      return record(rollOperator as never, [out], { constants: constantsOf(`roll:${axis}`, () => ({ axis })), dims: [start] })[0];
    },
    wrapped.every((d, i) => shifts[i] % (x.view_.shape[d] ?? 1) === 0) ? cloneOf(x) : x,
  );
}

// ---- repeats

const repeatOperator: Operator<null> = {
  name: 'repeat',
  body: ([x], { dims: repeats }) => {
    const lead = repeats.length - x.ndim;
    const sizes = repeats.map<Dim>((_, i) => (i < lead ? 1 : x.shape[i - lead]));
    const apart = sizes.flatMap<Dim>((s) => [1, s]);
    const wide = sizes.flatMap<Dim>((s, i) => [repeats[i], s]);
    return [
      x
        .reshape(apart)
        .expand(wide)
        .reshape(sizes.map((s, i) => dimsOf.mul(s, repeats[i]))),
    ];
  },
};

function repeatOf(x: Tensor, repeats: readonly number[]): Tensor {
  if (repeats.length < x.ndim)
    throw new Error('Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor');
  const lead = repeats.length - x.ndim;
  const size = repeats.map((r, i) => (i < lead ? r : r * x.view_.shape[i - lead]));
  const bad = size.find((d) => d < 0);
  if (bad !== undefined) throw new Error(`Trying to create tensor with negative dimension ${bad}: ${shapeList(size)}`);
  return record(repeatOperator as never, [x], { dims: [...repeats] })[0];
}

function tileOf(x: Tensor, repeats: readonly number[]): Tensor {
  return repeatOf(x, [...new Array<number>(Math.max(0, x.ndim - repeats.length)).fill(1), ...repeats]);
}

// ---- triangles and diagonals

const triangleOperator: Operator<{ upper: boolean }> = {
  name: 'tril',
  paramTypes: () => [int64],
  body: ([x], { constants: { upper }, params: [k] }) => {
    const n = x.ndim;
    const ahead = iota(x.shape, n - 1).sub(iota(x.shape, n - 2));
    return [(upper ? ahead.ge(k) : ahead.le(k)).where(x, 0)];
  },
};

function triangleOf(x: Tensor, diagonal: number, upper: boolean): Tensor {
  if (x.ndim < 2) throw new Error(`${upper ? 'triu' : 'tril'}: input tensor must have at least 2 dimensions`);
  return record(triangleOperator as never, [x], {
    constants: constantsOf(`triangle:${upper}`, () => ({ upper })),
    params: [BigInt(diagonal)],
  })[0];
}

/** The last dim on the diagonal of two new dims `a` < or > `b`. */
const diagEmbedOperator: Operator<{ a: number; b: number; offset: number }> = {
  name: 'diag_embed',
  body: ([x], { constants: { a, b, offset } }) => {
    const size = dimsOf.add(x.shape[x.ndim - 1], Math.abs(offset));
    const rest = [...x.shape.slice(0, -1)];
    const shape = [...Array(x.ndim + 1).keys()].map((i) => (i === a || i === b ? size : rest.shift()!));
    const strides = rowMajor(shape);
    const start = dimsOf.mul(strides[offset >= 0 ? b : a], Math.abs(offset));
    const window = [...strides.filter((_, i) => i !== a && i !== b), dimsOf.add(strides[a], strides[b])];
    return [zeros(shape, x).store(x, window, start)];
  },
};
const zeros = (shape: readonly Dim[], like: Prim): Prim => full(shape, 0, like.dtype);

export function diagEmbedOf(x: Tensor, offset: number, dim1: number, dim2: number): Tensor {
  const a = wrapDim(dim1, x.ndim + 1);
  const b = wrapDim(dim2, x.ndim + 1);
  if (a === b) throw new Error(`diagonal dimensions cannot be identical ${dim1}, ${dim2}`);
  return record(diagEmbedOperator as never, [x], {
    constants: constantsOf(`diag_embed:${a}:${b}:${offset}`, () => ({ a, b, offset })),
  })[0];
}

function diagOf(x: Tensor, offset: number): Tensor {
  if (x.ndim === 1) return diagEmbedOf(x, offset, 0, 1);
  if (x.ndim === 2) return copyOf(diagonalOf(x, offset, 0, 1));
  throw new Error(`diag(): Supports 1D or 2D tensors. Got ${x.ndim}D`);
}

const page = (name: string): string => `https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`;

export const rearranging = {
  flip: declare(
    { doc: `Reversed along dims. ${page('flip')}` },
    overload('flip(Tensor self, int[] dims) -> Tensor', (x, dims) => flipOf(x, dims)),
  ),
  fliplr: declare(
    { doc: `Columns reversed. ${page('fliplr')}` },
    overload('fliplr(Tensor self) -> Tensor', (x) => {
      if (x.ndim < 2) throw new Error('Input must be >= 2-d.');
      return flipOf(x, [1]);
    }),
  ),
  flipud: declare(
    { doc: `Rows reversed. ${page('flipud')}` },
    overload('flipud(Tensor self) -> Tensor', (x) => {
      if (x.ndim < 1) throw new Error('Input must be >= 1-d.');
      return flipOf(x, [0]);
    }),
  ),
  rot90: declare(
    { doc: `Turned by k quarter turns in the plane of two dims. ${page('rot90')}` },
    overload('rot90(Tensor self, int k=1, int[] dims=[0,1]) -> Tensor', (x, k, dims) => rot90Of(x, k, dims)),
  ),
  roll: declare(
    { doc: `Shifted cyclically along dims (of the flattened tensor without dims). ${page('roll')}` },
    overload('roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor', (x, shifts, dims) => rollOf(x, shifts, dims)),
  ),
  repeat: declare(
    { doc: `Copies side by side along each dim. ${page('Tensor.repeat')}`, as: 'method' },
    overload('repeat(Tensor self, SymInt[] repeats) -> Tensor', (x, repeats) => repeatOf(x, repeats)),
  ),
  tile: declare(
    { doc: `Copies side by side along the last dims. ${page('tile')}` },
    overload('tile(Tensor self, SymInt[] dims) -> Tensor', (x, dims) => tileOf(x, dims)),
  ),
  repeat_interleave: declare(
    { doc: `Each element several times in a row. ${page('repeat_interleave')}`, dynamic: true },
    overload(
      'repeat_interleave.self_int(Tensor self, SymInt repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor',
      (x, repeats, dim, output) => repeatInterleave(x, repeats, dim, output),
    ),
    overload(
      'repeat_interleave.self_Tensor(Tensor self, Tensor repeats, int? dim=None, *, SymInt? output_size=None) -> Tensor',
      (x, repeats, dim, output) => repeatInterleave(x, repeats, dim, output),
    ),
    overload('repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor', (repeats, output) =>
      repeatsToIndex(repeats, output),
    ),
  ),
  tril: declareInplace(
    { doc: `The lower triangle, zeros elsewhere. ${page('tril')}` },
    overload('tril(Tensor self, SymInt diagonal=0) -> Tensor', (x, k) => triangleOf(x, k, false)),
  ),
  triu: declareInplace(
    { doc: `The upper triangle, zeros elsewhere. ${page('triu')}` },
    overload('triu(Tensor self, SymInt diagonal=0) -> Tensor', (x, k) => triangleOf(x, k, true)),
  ),
  diag: declare(
    { doc: `A vector as a diagonal matrix, or a copy of a matrix's diagonal. ${page('diag')}` },
    overload('diag(Tensor self, int diagonal=0) -> Tensor', (x, offset) => diagOf(x, offset)),
  ),
  diag_embed: declare(
    { doc: `The last dim on diagonals of matrices. ${page('diag_embed')}` },
    overload('diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor', (x, offset, a, b) =>
      diagEmbedOf(x, offset, a, b),
    ),
  ),
  diagflat: declare(
    { doc: `All elements on the diagonal of a matrix. ${page('diagflat')}` },
    overload('diagflat(Tensor self, int offset=0) -> Tensor', (x, offset) => diagEmbedOf(reshapeTo(x, [-1]), offset, 0, 1)),
  ),
  resize_: declare(
    { doc: `Another shape over the same storage, which grows where it must. ${page('Tensor.resize_')}`, as: 'method' },
    overload('resize_(Tensor self, SymInt[] size, *, MemoryFormat? memory_format=None) -> Tensor', (x, size, format) =>
      resizeTo(x, size, format),
    ),
  ),
  resize_as_: declare(
    { doc: `The shape of another tensor over the same storage. ${page('Tensor.resize_as_')}` },
    overload('resize_as_(Tensor self, Tensor the_template, *, MemoryFormat? memory_format=None) -> Tensor', (x, other, format) =>
      resizeTo(x, other.view_.shape, format),
    ),
  ),
};
