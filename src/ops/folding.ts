/** Sliding blocks as columns and back. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html */
import { type DType, int64 } from '../dtype/dtype.ts';
import { computationDtype } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import type { Dim } from '../shape/dim.ts';
import * as dimsOf from '../shape/dim.ts';
import { constantsOf, record } from '../tensor/record.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { shapeList } from './dims.ts';
import { type Sizes, spread, times, tuple, unbatched } from './window-arguments.ts';
import { addWindows, takeWindows, type Windows, windowCounts, windowKey } from './windows.ts';

interface FoldConstants {
  readonly windows: Windows;
  readonly compute: DType;
}
const size = (w: Windows): number => w.kernel.reduce((a, b) => a * b, 1);

/** [N, C, *spatial] -> [N, C * kernel, windows]. */
const unfoldOperator: Operator<FoldConstants> = {
  name: 'im2col',
  body: ([x], { constants: c }) => {
    const counts = windowCounts(x.shape.slice(2), c.windows);
    const columns = [x.shape[0], dimsOf.mul(x.shape[1], size(c.windows)), dimsOf.productOf(counts)];
    return [takeWindows(x, c.windows, counts).reshape(columns)];
  },
  gradient: ([g], [x], _, { constants: c }) => {
    if (g === null) return [null];
    const spatial = x.shape.slice(2);
    const blocks = g.cast(c.compute).reshape([x.shape[0], x.shape[1], ...c.windows.kernel, ...windowCounts(spatial, c.windows)]);
    return [addWindows(blocks, c.windows, spatial).cast(x.dtype)];
  },
};

/** [N, C * kernel, windows] -> [N, C, *spatial], overlapping blocks added; the dims are the spatial sizes. */
const foldOperator: Operator<FoldConstants> = {
  name: 'col2im',
  body: ([x], { constants: c, dims: spatial }) => {
    const channels = dimsOf.quotient(x.shape[1], size(c.windows));
    // Blocks of booleans are counted.
    const type = x.dtype.kind === 'bool' ? int64 : c.compute;
    const blocks = x.cast(type).reshape([x.shape[0], channels, ...c.windows.kernel, ...windowCounts(spatial, c.windows)]);
    return [addWindows(blocks, c.windows, spatial).cast(x.dtype)];
  },
  gradient: ([g], [x], _, { constants: c, dims: spatial }) => [
    g === null ? null : takeWindows(g, c.windows, windowCounts(spatial, c.windows)).reshape(x.shape),
  ],
};

interface BlockArguments {
  readonly kernel: Sizes;
  readonly dilation: Sizes;
  readonly padding: Sizes;
  readonly stride: Sizes;
}

function blocksOf(a: BlockArguments): Windows {
  const two = (what: string, v: Sizes): number[] =>
    spread(v, 2, (given) => new Error(`It is expected ${what} equals to 2, but got size ${given.length}`));
  const kernel = two('kernel_size', a.kernel);
  const dilation = two('dilation', a.dilation);
  const padding = two('padding', a.padding);
  const stride = two('stride', a.stride);
  const pair = (what: string, [h, w]: readonly number[]): string => `${what}_height: ${h} ${what}_width: ${w}`;
  if (kernel.some((k) => k <= 0)) throw new Error(`kernel size should be greater than zero, but got ${pair('kernel', kernel)}`);
  if (dilation.some((d) => d <= 0)) throw new Error(`dilation should be greater than zero, but got ${pair('dilation', dilation)}`);
  if (padding.some((p) => p < 0)) throw new Error(`padding should be non-negative, but got ${pair('pad', padding)}`);
  if (stride.some((s) => s <= 0)) throw new Error(`stride should be greater than zero, but got ${pair('stride', stride)}`);
  return { kernel, stride, dilation, left: padding, right: padding };
}

const constantsFor = (x: Tensor, windows: Windows) =>
  constantsOf(
    `fold:${windowKey(windows)}:${computationDtype(x.dtype).name}`,
    (): FoldConstants => ({ windows, compute: computationDtype(x.dtype) }),
  );
const described = (w: Windows): string => `kernel_size=${tuple(w.kernel)}, dilation=${tuple(w.dilation)}, padding=${tuple(w.left)}`;

function unfoldOf(x: Tensor, args: BlockArguments): Tensor {
  const windows = blocksOf(args);
  const { shape } = x.view_;
  const usable = (x.ndim === 3 && shape.every((d) => d > 0)) || (x.ndim === 4 && shape.slice(1).every((d) => d > 0));
  if (!usable)
    throw new Error(
      `Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: ${shapeList(shape)}`,
    );
  const spatial = shape.slice(-2);
  const counts = windowCounts(spatial, windows) as number[];
  if (counts.some((c) => c < 1))
    throw new Error(
      `Given input with spatial size ${tuple(spatial)}, ${described(windows)}, calculated shape of the array of sliding blocks as ${tuple(counts)}, but its components must be at least one.`,
    );
  const call = (batched: Tensor): Tensor => record(unfoldOperator as never, [batched], { constants: constantsFor(x, windows) })[0];
  return x.ndim === 3 ? unbatched(x, call) : call(x);
}

function foldOf(x: Tensor, outputSize: Sizes, args: BlockArguments): Tensor {
  const out = spread(outputSize, 2, (v) => new Error(`It is expected output_size equals to 2, but got size ${v.length}`));
  const windows = blocksOf(args);
  const { shape } = x.view_;
  const usable = (x.ndim === 2 && shape.every((d) => d > 0)) || (x.ndim === 3 && shape.slice(1).every((d) => d > 0));
  if (!usable)
    throw new Error(
      `Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, but got: ${shapeList(shape)}`,
    );
  const at = x.ndim - 2;
  if (shape[at] % size(windows) !== 0)
    throw new Error(
      `Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)=${shape[at]} and kernel_size=${tuple(windows.kernel)}.`,
    );
  const counts: readonly Dim[] = windowCounts(out, windows);
  const all = dimsOf.productOf(counts);
  const given = `Given output_size=${tuple(out)}, ${described(windows)}, stride=${tuple(windows.stride)}`;
  if (shape[at + 1] !== all)
    throw new Error(
      `${given}, expected size of input's dimension 2 to match the calculated number of sliding blocks ${times(counts as number[], ' * ')} = ${all as number}, but got input.size(2)=${shape[at + 1]}.`,
    );
  const call = (batched: Tensor): Tensor => record(foldOperator as never, [batched], { constants: constantsFor(x, windows), dims: out })[0];
  return x.ndim === 2 ? unbatched(x, call) : call(x);
}

export const folding = {
  unfold: declare(
    { doc: 'Sliding blocks as columns. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html', as: 'function' },
    overload(
      'unfold(Tensor input, int[2] kernel_size, int[2] dilation=1, int[2] padding=0, int[2] stride=1) -> Tensor',
      (x, kernel, dilation, padding, stride) => unfoldOf(x, { kernel, dilation, padding, stride }),
    ),
  ),
  fold: declare(
    {
      doc: 'Columns added up as sliding blocks. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fold.html',
      as: 'function',
    },
    overload(
      'fold(Tensor input, SymInt[2] output_size, int[2] kernel_size, int[2] dilation=1, int[2] padding=0, int[2] stride=1) -> Tensor',
      (x, out, kernel, dilation, padding, stride) => foldOf(x, out, { kernel, dilation, padding, stride }),
    ),
  ),
};

/** The same under their names in `torch.ops.aten`. */
export const atenFolding = {
  im2col: declare(
    { doc: 'Sliding blocks as columns. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html' },
    overload(
      'im2col(Tensor self, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor',
      (x, kernel, dilation, padding, stride) => unfoldOf(x, { kernel, dilation, padding, stride }),
    ),
  ),
  col2im: declare(
    { doc: 'Columns added up as sliding blocks. https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fold.html' },
    overload(
      'col2im(Tensor self, SymInt[2] output_size, int[2] kernel_size, int[2] dilation, int[2] padding, int[2] stride) -> Tensor',
      (x, out, kernel, dilation, padding, stride) => foldOf(x, out, { kernel, dilation, padding, stride }),
    ),
  ),
};
