/** Library functions inside programs, on every device of this machine and in the flush modes. */
import { afterEach, describe, expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from '../ops/methods.ts';
import { use } from '../ops/use.ts';
import { record } from '../tensor/record.ts';
import { flags } from '../util/flags.ts';
import type { LibraryFunction } from './library.ts';
import type { Operator } from './operator.ts';
import { callLibrary } from './prim.ts';

/** Row sums running from the right, and the input reversed: two results, one of which may be unused. */
const runningFromRight: LibraryFunction<null> = {
  name: 'running_from_right',
  vjp: ([g]) => {
    if (g === null || g === undefined) return [null];
    const n = g.ndim;
    const flipped = (p: typeof g): typeof g => p.view(p.shape, [p.shape[1], -1], (p.shape[1] as number) - 1);
    if (n !== 2) throw new Error('internal: rank');
    return [
      flipped(
        callLibrary(
          runningFromRight,
          [flipped(g)],
          [
            { shape: g.shape, dtype: g.dtype },
            { shape: g.shape, dtype: g.dtype },
          ],
          null,
        )[0],
      ),
    ];
  },
  run: ([x], [sums, reversed]) => {
    const [rows, cols] = x.shape;
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (let j = cols - 1; j >= 0; j--) {
        sum += Number(x.data[i * cols + j]);
        sums.data[i * cols + j] = sum;
        reversed.data[i * cols + (cols - 1 - j)] = x.data[i * cols + j];
      }
    }
  },
};
const operator: Operator<null> = {
  name: 'running_from_right',
  body: ([x]) => callLibrary(runningFromRight, [x], [x, x], null),
};

afterEach(() => {
  flags.flush = 'lazy';
  torch.set_default_device('cpu');
});

describe.each(['reference', 'cpu', 'wasm'])('on %s', (device) => {
  test.each(['lazy', 'eager', 'random:3'] as const)('runs between kernels, reads strided operands and has a gradient (%s)', (mode) => {
    flags.flush = mode;
    torch.set_default_device(device);
    const x = torch.tensor(
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      { requires_grad: true },
    );
    const [sums, reversed] = record(operator as never, [x.mul(2).t() as Tensor]) as [Tensor, Tensor];
    const y = use<Tensor>('add', sums, reversed);
    expect(y.tolist()).toEqual([
      [18 + 10, 16 + 6, 10 + 2],
      [24 + 12, 20 + 8, 12 + 4],
    ]);
    sums
      .mul(
        torch.tensor([
          [1, 0, 0],
          [0, 1, 2],
        ]),
      )
      .sum()
      .backward();
    // d sums[0, 0] = all of row 0; d (sums[1, 1] + 2 sums[1, 2]) = 1 on column 1, 3 on column 2; times 2.
    expect(x.grad!.tolist()).toEqual([
      [2, 0],
      [2, 2],
      [2, 6],
    ]);
  });
});
