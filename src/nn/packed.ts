/**
 * torch.nn.utils.rnn: sequences of different lengths in one tensor, padded or packed.
 *
 * A packed sequence holds the rows of all steps one after the other, longest sequences first: `batch_sizes[t]` rows at step t. Lengths are numbers
 * on the host, as in PyTorch.
 */
import { viewBytes } from '../dtype/codec.ts';
import { int64 } from '../dtype/dtype.ts';
import { fromBytes, fullOf } from '../ops/creation.ts';
import { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.PackedSequence.html */
export class PackedSequence {
  readonly data: Tensor;
  readonly batch_sizes: Tensor;
  readonly sorted_indices: Tensor | null;
  readonly unsorted_indices: Tensor | null;
  /** `batch_sizes` as numbers. */
  readonly sizes: readonly number[];
  constructor(data: Tensor, sizes: readonly number[], sorted_indices: Tensor | null = null, unsorted_indices: Tensor | null = null) {
    this.data = data;
    this.sizes = sizes;
    this.batch_sizes = indexTensor(sizes, 'cpu');
    this.sorted_indices = sorted_indices;
    this.unsorted_indices = unsorted_indices;
  }
  with(data: Tensor): PackedSequence {
    return new PackedSequence(data, this.sizes, this.sorted_indices, this.unsorted_indices);
  }
}

const indexTensor = (values: readonly number[], device: string): Tensor =>
  fromBytes(viewBytes(BigInt64Array.from(values, BigInt)), [values.length], int64, device) as Tensor;
const numbersOf = (x: Tensor | readonly number[]): number[] =>
  x instanceof Tensor ? Array.from(x.detach().numpy() as ArrayLike<number | bigint>, Number) : [...x];
/** Rows of `t` in this order. */
const reordered = (t: Tensor, order: Tensor, dim: number): Tensor => use('index_select', t, dim, order) as Tensor;
const narrowed = (t: Tensor, dim: number, start: number, length: number): Tensor => use('narrow', t, dim, start, length) as Tensor;
const joined = (parts: readonly Tensor[], dim = 0): Tensor => use('cat', parts, dim) as Tensor;

/** The order that undoes an order. */
export const invert_permutation = (permutation: Tensor | null): Tensor | null =>
  permutation === null ? null : (use('argsort', permutation) as Tensor);

/** `[T, B, *]` (or `[B, T, *]`) with padding to a packed sequence. https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html */
export function pack_padded_sequence(
  input: Tensor,
  lengths: Tensor | readonly number[],
  batch_first = false,
  enforce_sorted = true,
): PackedSequence {
  let counts = numbersOf(lengths);
  let x = batch_first ? (use('transpose', input, 0, 1) as Tensor) : input;
  if (counts.length !== x.size(1))
    throw new Error(`Expected \`len(lengths)\` to be equal to batch_size, but got ${counts.length} (batch_size=${x.size(1)})`);
  let sorted: Tensor | null = null;
  let unsorted: Tensor | null = null;
  if (!enforce_sorted) {
    const order = [...counts.keys()].sort((a, b) => counts[b] - counts[a]);
    const back = new Array<number>(order.length);
    order.forEach((from, to) => {
      back[from] = to;
    });
    sorted = indexTensor(order, x.device);
    unsorted = indexTensor(back, x.device);
    counts = order.map((i) => counts[i]);
    x = reordered(x, sorted, 1);
  } else if (counts.some((n, i) => i > 0 && n > counts[i - 1]))
    throw new Error(
      '`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not need ONNX exportability.',
    );
  if (counts[counts.length - 1] <= 0)
    throw new Error('Length of all samples has to be greater than 0, but found an element in `lengths` that is <= 0');
  const sizes = Array.from({ length: counts[0] }, (_, t) => counts.filter((n) => n > t).length);
  const rows = sizes.map((n, t) => narrowed(use('select', x, 0, t) as Tensor, 0, 0, n));
  return new PackedSequence(joined(rows), sizes, sorted, unsorted);
}

/** Back to a padded tensor and the lengths. https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_packed_sequence.html */
export function pad_packed_sequence(
  sequence: PackedSequence,
  batch_first = false,
  padding_value = 0,
  total_length: number | null = null,
): [Tensor, Tensor] {
  const { sizes, data } = sequence;
  const steps = total_length ?? sizes.length;
  if (steps < sizes.length)
    throw new Error(
      `Expected total_length to be at least the length of the longest sequence in input, but got total_length=${steps} and max sequence length being ${sizes.length}`,
    );
  const batch = sizes[0];
  const padding = (rows: number): Tensor => fullOf([rows, ...data.shape.slice(1)], padding_value, data.dtype, data.device) as Tensor;
  let at = 0;
  const rows = Array.from({ length: steps }, (_, t) => {
    const n = sizes[t] ?? 0;
    const part = narrowed(data, 0, at, n);
    at += n;
    return n === batch ? part : n === 0 ? padding(batch) : joined([part, padding(batch - n)]);
  });
  let out = use('stack', rows, 0) as Tensor;
  let lengths = Array.from({ length: batch }, (_, i) => sizes.filter((n) => n > i).length);
  if (sequence.unsorted_indices !== null) {
    out = reordered(out, sequence.unsorted_indices, 1);
    lengths = numbersOf(sequence.unsorted_indices).map((i) => lengths[i]);
  }
  return [batch_first ? (use('transpose', out, 0, 1) as Tensor) : out, indexTensor(lengths, 'cpu')];
}

/** Sequences `[L, *]` side by side, the shorter ones padded. https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_sequence.html */
export function pad_sequence(
  sequences: readonly Tensor[],
  batch_first = false,
  padding_value = 0,
  padding_side: 'left' | 'right' = 'right',
): Tensor {
  const longest = Math.max(...sequences.map((s) => s.size(0)));
  const padded = sequences.map((s) => {
    const missing = longest - s.size(0);
    if (missing === 0) return s;
    const padding = fullOf([missing, ...s.shape.slice(1)], padding_value, s.dtype, s.device) as Tensor;
    return joined(padding_side === 'right' ? [s, padding] : [padding, s]);
  });
  return use('stack', padded, batch_first ? 0 : 1) as Tensor;
}
/** The sequences that `pad_sequence` padded. */
export function unpad_sequence(padded: Tensor, lengths: Tensor | readonly number[], batch_first = false): Tensor[] {
  return numbersOf(lengths).map((n, i) => narrowed(use('select', padded, batch_first ? 0 : 1, i) as Tensor, 0, 0, n));
}
export function pack_sequence(sequences: readonly Tensor[], enforce_sorted = true): PackedSequence {
  return pack_padded_sequence(
    pad_sequence(sequences),
    sequences.map((s) => s.size(0)),
    false,
    enforce_sorted,
  );
}
export function unpack_sequence(packed: PackedSequence): Tensor[] {
  const [padded, lengths] = pad_packed_sequence(packed);
  return unpad_sequence(padded, lengths);
}
