import { describe, expect, test } from 'vitest';
import { torch } from '../torch.ts';

const float = { dtype: torch.float32 };
const long = (...v: number[]) => torch.tensor(v, { dtype: torch.int64 });
const y = () => torch.arange(24, float).reshape(2, 3, 4);
const x = () => torch.arange(6, float).reshape(2, 3);
const mask = () =>
  torch.tensor([
    [true, false, true],
    [false, true, false],
  ]);

describe('at', () => {
  test('integers, slices, new dims and ellipses make views', () => {
    const base = y();
    const view = base.at(':', null, '1:', '::2');
    expect(view.shape).toEqual([2, 1, 2, 2]);
    expect(view.tolist()).toEqual([
      [
        [
          [4, 6],
          [8, 10],
        ],
      ],
      [
        [
          [16, 18],
          [20, 22],
        ],
      ],
    ]);
    expect(base.at(': , None, 1:, ::2').tolist()).toEqual(view.tolist());
    base.at('...', -1).fill_(0);
    expect(base.at(0).tolist()).toEqual([
      [0, 1, 2, 0],
      [4, 5, 6, 0],
      [8, 9, 10, 0],
    ]);
  });
  test('dims of adjacent index tensors stay in place, of others they come first', () => {
    expect(y().at(':', long(0, 2), long(1, 2)).tolist()).toEqual([
      [1, 10],
      [13, 22],
    ]);
    expect(y().at(long(0, 1), ':', long(1, 2)).tolist()).toEqual([
      [1, 5, 9],
      [14, 18, 22],
    ]);
    expect(y().at(0, ':', [1, 2]).tolist()).toEqual([
      [1, 2],
      [5, 6],
      [9, 10],
    ]);
  });
  test('masks choose, of one dim or several, and mix with slices', () => {
    expect(y().at(mask(), '1:3').tolist()).toEqual([
      [1, 2],
      [9, 10],
      [17, 18],
    ]);
    expect(y().at(true, 0, ':', true).shape).toEqual([1, 3, 4]);
    expect(y().at(false).shape).toEqual([0, 2, 3, 4]);
  });
  test('errors are those of PyTorch', () => {
    expect(() => y().at(0, 0, 0, 0)).toThrow('too many indices for tensor of dimension 3');
    expect(() => y().at(null, ':', null, 4)).toThrow('index 4 is out of bounds for dimension 3 with size 3');
    expect(() => y().at(long(0, 2))).toThrow('index 2 is out of bounds for dimension 0 with size 2');
    expect(() => y().at(torch.ones(2, 2).gt(0))).toThrow(
      'The shape of the mask [2, 2] at index 1 does not match the shape of the indexed tensor [2, 3, 4] at index 1',
    );
    expect(() => y().at(long(0, 1), long(0, 1, 2))).toThrow(
      'shape mismatch: indexing tensors could not be broadcast together with shapes [2], [3]',
    );
    expect(() => torch.tensor(1).at(0)).toThrow('invalid index of a 0-dim tensor');
    expect(() => y().at('::-1')).toThrow('step must be greater than zero');
    expect(() => y().at(torch.tensor([0.5]))).toThrow('tensors used as indices must be long, int, byte or bool tensors');
  });
  test('the gradient of one element is right wherever it lies, in one program for all places', () => {
    for (const [rows, columns, i, j] of [
      [4, 3, 1, -1],
      [4, 4, 0, -1],
      [3, 3, 1, -1],
      [5, 3, 3, -1],
      [4, 3, 1, 0],
    ]) {
      const a = torch.zeros(rows, columns).requires_grad_();
      a.at(i, j).mul(3).backward();
      const want = Array.from({ length: rows }, (_, r) =>
        Array.from({ length: columns }, (_, c) => (r === i && c === (j + columns) % columns ? 3 : 0)),
      );
      expect(a.grad!.tolist()).toEqual(want);
    }
  });
  test('repeated indices add up their gradients', () => {
    const a = x().requires_grad_();
    a.at(long(0, 0, 1))
      .sum()
      .backward();
    expect(a.grad!.tolist()).toEqual([
      [2, 2, 2],
      [1, 1, 1],
    ]);
  });
});

describe('set', () => {
  test('writes through views, masks and index tensors', () => {
    const a = y();
    a.set([':', '1:', '::2'], -1);
    a.set([long(0, 1), long(0, 0)], torch.tensor([7, 8, 9, 10]));
    expect(a.at(0).tolist()).toEqual([
      [7, 8, 9, 10],
      [-1, 5, -1, 7],
      [-1, 9, -1, 11],
    ]);
    const b = x();
    b.set([b.gt(2)], 0);
    b.set([mask()], torch.tensor([5, 6, 7]));
    expect(b.tolist()).toEqual([
      [5, 1, 6],
      [0, 7, 0],
    ]);
    const c = x();
    c.t().set([long(2, 0)], torch.tensor([[1], [2]]));
    expect(c.tolist()).toEqual([
      [2, 1, 1],
      [2, 4, 1],
    ]);
  });
  test('a mask with a number needs no reading: the write is one node of the graph', () => {
    const a = x().requires_grad_();
    const b = a.mul(2);
    b.set([mask()], torch.tensor(3));
    b.sum().backward();
    expect(a.grad!.tolist()).toEqual([
      [0, 2, 0],
      [2, 0, 2],
    ]);
  });
  test('gradients reach the value, and what was overwritten gets zeros', () => {
    const a = x().requires_grad_();
    const v = torch.tensor([1, 1, 1]).requires_grad_();
    const b = a.mul(1);
    b.set(0, v);
    b.mul(b).sum().backward();
    expect(v.grad!.tolist()).toEqual([2, 2, 2]);
    expect(a.grad!.tolist()).toEqual([
      [0, 0, 0],
      [6, 8, 10],
    ]);
    const w = x().requires_grad_();
    const whole = w.mul(1);
    whole.set(':', v.detach().requires_grad_());
    whole.sum().backward();
    expect(w.grad!.tolist()).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });
  test('errors are those of PyTorch', () => {
    expect(() => y().set(0, torch.ones(5))).toThrow('The expanded size of the tensor (4) must match the existing size (5)');
    expect(() => y().set([mask()], torch.ones(2, 4))).toThrow(
      'shape mismatch: value tensor of shape [2, 4] cannot be broadcast to indexing result of shape [3, 4]',
    );
    expect(() => y().set([long(0)], long(1, 2, 3, 4))).toThrow(
      'Index put requires the source and destination dtypes match, got Float for the destination and Long for the source.',
    );
  });
});

describe('scattering and gathering', () => {
  const index = () =>
    torch.tensor([
      [1n, 0n],
      [0n, 1n],
    ]);
  test('scatter, with a number, with a reduction, in place', () => {
    expect(x().scatter(1, index(), 9).tolist()).toEqual([
      [9, 9, 2],
      [9, 9, 5],
    ]);
    expect(x().scatter(1, index(), 2, { reduce: 'multiply' }).tolist()).toEqual([
      [0, 2, 2],
      [6, 8, 5],
    ]);
    const a = x();
    expect(a.scatter_add_(1, torch.zeros(2, 3, { dtype: torch.int64 }), x())).toBe(a);
    expect(a.tolist()).toEqual([
      [3, 1, 2],
      [15, 4, 5],
    ]);
  });
  test('integer means round down', () => {
    const a = torch.tensor([-7n, 5n]);
    expect(a.scatter_reduce(0, long(0, 0), long(2, 1), 'mean').tolist()).toEqual([-2, 5]);
    expect(a.scatter_reduce(0, long(0, 0), long(2, 1), 'amax', { include_self: false }).tolist()).toEqual([2, 5]);
  });
  test('the gradient of a product with one zero goes to the zero', () => {
    const base = torch.tensor([2, 3], float).requires_grad_();
    const src = torch.tensor([0, 4, 5], float).requires_grad_();
    base
      .scatter_reduce(0, long(0, 0, 1), src, 'prod')
      .sum()
      .backward();
    expect(src.grad!.tolist()).toEqual([8, 0, 3]);
    expect(base.grad!.tolist()).toEqual([0, 5]);
  });
  test('equal extremes share the gradient', () => {
    const base = torch.tensor([4], float).requires_grad_();
    const src = torch.tensor([4, 1, 4], float).requires_grad_();
    base.index_reduce(0, long(0, 0, 0), src, 'amax').backward(torch.tensor([3]));
    expect(base.grad!.tolist()).toEqual([1]);
    expect(src.grad!.tolist()).toEqual([1, 0, 1]);
  });
  test('index errors at the call', () => {
    expect(() => x().gather(1, torch.tensor([[3n], [0n]]))).toThrow('index 3 is out of bounds for dimension 1 with size 3');
    expect(() => x().index_select(0, long(7))).toThrow('index out of range in self');
    expect(() => x().index_add(0, long(0, 1), torch.ones(1, 3))).toThrow(
      'index_add_(): Number of indices (2) should be equal to source.size(dim): (1), for dim: 0',
    );
    expect(() => x().put(long(7), torch.ones(1))).toThrow('out of range: tried to access index 7 on a tensor of 6 elements.');
  });
  test('take and put count from the end, take_along_dim wraps', () => {
    expect(x().take(long(0, -1)).tolist()).toEqual([0, 5]);
    expect(
      x()
        .put(long(0, 0), torch.tensor([9, 8]), true)
        .tolist(),
    ).toEqual([
      [17, 1, 2],
      [3, 4, 5],
    ]);
    expect(torch.take_along_dim(x(), torch.tensor([[-1n], [-4n]]), 1).tolist()).toEqual([[2], [5]]);
  });
});

describe('masks and nonzero', () => {
  test('masked_fill, masked_select and masked_scatter broadcast', () => {
    expect(x().masked_fill(mask().at(0), -1).tolist()).toEqual([
      [-1, 1, -1],
      [-1, 4, -1],
    ]);
    expect(x().masked_select(mask()).tolist()).toEqual([0, 2, 4]);
    expect(
      x()
        .masked_scatter(mask(), torch.tensor([9, 8, 7, 6]))
        .tolist(),
    ).toEqual([
      [9, 1, 8],
      [3, 7, 5],
    ]);
    expect(() => x().masked_fill(x(), 1)).toThrow('masked_fill_ only supports boolean masks, but got mask with dtype float');
  });
  test('a source that is too short is an error of the flush', () => {
    expect(() =>
      x()
        .masked_scatter(mask(), torch.tensor([9]))
        .tolist(),
    ).toThrow('number of ones in mask');
  });
  test('nonzero has rows, or one tensor a dim', () => {
    expect(mask().nonzero().tolist()).toEqual([
      [0, 0],
      [0, 2],
      [1, 1],
    ]);
    expect(
      mask()
        .nonzero({ as_tuple: true })
        .map((t) => t.tolist()),
    ).toEqual([
      [0, 0, 1],
      [0, 2, 1],
    ]);
    expect(torch.nonzero_static(mask(), { size: 4, fill_value: 9 }).tolist()).toEqual([
      [0, 0],
      [0, 2],
      [1, 1],
      [9, 9],
    ]);
    expect(torch.argwhere(torch.tensor(3)).shape).toEqual([1, 0]);
  });
});
