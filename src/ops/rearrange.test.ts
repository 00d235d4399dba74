import { describe, expect, test } from 'vitest';
import { torch } from '../torch.ts';

const float = { dtype: torch.float32 };
const y = () => torch.arange(24, float).reshape(2, 3, 4);
const x = () => torch.arange(6, float).reshape(2, 3);
const long = (...v: number[]) => torch.tensor(v, { dtype: torch.int64 });

describe('views', () => {
  test('they alias: a write through one is seen in the base', () => {
    const a = y();
    a.movedim(0, -1).at(0, 0).fill_(-1);
    a.diagonal(0, 1, 2).at(0).zero_();
    expect(a.at(0).tolist()).toEqual([
      [0, 1, 2, 3],
      [4, 0, 6, 7],
      [8, 9, 0, 11],
    ]);
    expect(a.at(1, 0, 0).item()).toBe(-1);
  });
  test('strides are those of PyTorch', () => {
    expect(y().unfold(2, 3, 1).stride()).toEqual([12, 4, 1, 1]);
    expect(y().transpose(0, 1).flatten(1, 2).shape).toEqual([3, 8]);
    expect(torch.ones(1, 2, 3, 4).contiguous({ memory_format: torch.channels_last }).stride()).toEqual([24, 1, 8, 2]);
    expect(torch.ones(1, 2, 3, 4).to({ memory_format: torch.channels_last }).is_contiguous({ memory_format: torch.channels_last })).toBe(
      true,
    );
    expect(torch.zeros_like(y().permute(2, 0, 1)).stride()).toEqual([1, 12, 4]);
  });
  test('in-place forms change the handle', () => {
    const a = x();
    expect(a.t_()).toBe(a);
    expect(a.unsqueeze_(0).shape).toEqual([1, 3, 2]);
    expect(a.squeeze_().tolist()).toEqual([
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
  });
  test('copies of views share nothing', () => {
    const a = x();
    torch.transpose_copy(a, 0, 1).fill_(9);
    expect(a.tolist()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
  });
  test('errors', () => {
    expect(() => x().view(4)).toThrow("shape '[4]' is invalid for input of size 6");
    expect(() => x().t().view(6)).toThrow('Use .reshape(...) instead.');
    expect(() => x().unflatten(1, [2, 2])).toThrow(
      "unflatten: Provided sizes [2, 2] don't multiply up to the size of dim 1 (3) in the input tensor",
    );
    expect(() => x().expand(3)).toThrow('expand(torch.FloatTensor{[2, 3]}, size=[3]): the number of sizes provided (1)');
    expect(() => x().as_strided([20], [1])).toThrow('are out of bounds for storage of size 24');
    expect(() => x().split(0)).toThrow('split_size can only be 0 if dimension size is 0, but got dimension size of 2');
    expect(() => torch.broadcast_shapes([2], [3])).toThrow('Attempting to broadcast a dimension of length 3 at -1!');
  });
  test('as_strided reaches the whole storage and sums the gradients of overlaps', () => {
    const a = x().requires_grad_();
    const w = a.as_strided([3, 2], [1, 1], 1);
    expect(w.tolist()).toEqual([
      [1, 2],
      [2, 3],
      [3, 4],
    ]);
    w.sum().backward();
    expect(a.grad!.tolist()).toEqual([
      [0, 1, 2],
      [2, 1, 0],
    ]);
  });
});

describe('moved elements', () => {
  test('flips, rolls and quarter turns', () => {
    expect(x().t().flip(0).tolist()).toEqual([
      [2, 5],
      [1, 4],
      [0, 3],
    ]);
    expect(x().roll([1, -1], [0, 1]).tolist()).toEqual([
      [4, 5, 3],
      [1, 2, 0],
    ]);
    expect(x().roll(2).tolist()).toEqual([
      [4, 5, 0],
      [1, 2, 3],
    ]);
    expect(x().rot90(-1, [0, 1]).tolist()).toEqual([
      [3, 0],
      [4, 1],
      [5, 2],
    ]);
  });
  test('the gradient of a roll over two dims is the roll back, at any sizes', () => {
    for (const [p, q] of [
      [4, 6],
      [5, 7],
      [3, 4],
      [6, 5],
      [3, 4],
    ]) {
      const a = torch.zeros(2, p, q).requires_grad_();
      const w = torch.arange(2 * p * q, float).reshape(2, p, q);
      a.roll([1, 2], [1, 2]).mul(w).sum().backward();
      expect(a.grad!.tolist()).toEqual(w.roll([-1, -2], [1, 2]).tolist());
    }
  });
  test('repeats', () => {
    expect(torch.tensor([1, 2]).repeat(2, 2).tolist()).toEqual([
      [1, 2, 1, 2],
      [1, 2, 1, 2],
    ]);
    expect(x().repeat_interleave(long(0, 2), 0).tolist()).toEqual([
      [3, 4, 5],
      [3, 4, 5],
    ]);
    expect(torch.repeat_interleave(long(1, 0, 3)).tolist()).toEqual([0, 2, 2, 2]);
    expect(() => x().repeat(2)).toThrow('Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor');
  });
  test('triangles and diagonals, with gradients', () => {
    const a = x().requires_grad_();
    a.tril(-1).sum().add(a.diag(1).sum()).backward();
    expect(a.grad!.tolist()).toEqual([
      [0, 1, 0],
      [1, 0, 1],
    ]);
    expect(torch.diag_embed(torch.tensor([1, 2]), -1).tolist()).toEqual([
      [0, 0, 0],
      [1, 0, 0],
      [0, 2, 0],
    ]);
    expect(torch.zeros(4, 2).fill_diagonal_(5, true).tolist()).toEqual([
      [5, 0],
      [0, 5],
      [0, 0],
      [5, 0],
    ]);
  });
  test('resize_ keeps the memory and grows it with zeros', () => {
    const a = x();
    expect(a.resize_(2).tolist()).toEqual([0, 1]);
    expect(a.resize_(2, 4).tolist()).toEqual([
      [0, 1, 2, 3],
      [4, 5, 0, 0],
    ]);
  });
});

describe('joining', () => {
  test('dtypes are promoted and empty vectors pass', () => {
    const joined = torch.cat([torch.zeros(0), x(), torch.ones(1, 3, { dtype: torch.float64 })]);
    expect(joined.dtype).toBe(torch.float64);
    expect(joined.shape).toEqual([3, 3]);
  });
  test('grids, products and combinations', () => {
    const v = torch.tensor([1, 2, 3]);
    expect(torch.meshgrid(v, v.at(':2'), { indexing: 'xy' })[0].tolist()).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(torch.cartesian_prod(v.at(':2'), v.at('1:')).tolist()).toEqual([
      [1, 2],
      [1, 3],
      [2, 2],
      [2, 3],
    ]);
    expect(torch.combinations(v).tolist()).toEqual([
      [1, 2],
      [1, 3],
      [2, 3],
    ]);
    expect(torch.block_diag(v, torch.tensor([[4], [5]])).tolist()).toEqual([
      [1, 2, 3, 0],
      [0, 0, 0, 4],
      [0, 0, 0, 5],
    ]);
    expect(torch.atleast_3d(v).shape).toEqual([1, 3, 1]);
  });
  test('tracked pieces of split, chunk and unbind are not written in place', () => {
    const parts = torch.ones(4).requires_grad_().mul(1).split(2);
    expect(() => parts[1].add_(1)).toThrow('Output 1 of SplitBackward0 is a view and is being modified inplace.');
    expect(torch.ones(4).split(2)[1].add_(1).tolist()).toEqual([2, 2]);
  });
  test('pieces', () => {
    expect(
      y()
        .tensor_split([1, 3], 2)
        .map((t) => t.shape),
    ).toEqual([
      [2, 3, 1],
      [2, 3, 2],
      [2, 3, 1],
    ]);
    expect(
      torch
        .arange(5)
        .tensor_split(3)
        .map((t) => t.tolist()),
    ).toEqual([[0, 1], [2, 3], [4]]);
    expect(() => x().hsplit(2)).toThrow(
      'torch.hsplit attempted to split along dimension 1, but the size of the dimension 3 is not divisible by the split_size 2!',
    );
  });
});
