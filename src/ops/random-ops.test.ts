import { beforeEach, describe, expect, test } from 'vitest';
import { torch } from '../torch.ts';

// Numbers from PyTorch 2.11 after torch.manual_seed(7).
const near = (got: unknown, want: number[]): void => {
  (got as number[]).forEach((v, i) => {
    expect(v).toBeCloseTo(want[i], 6);
  });
  expect((got as number[]).length).toBe(want.length);
};
beforeEach(() => {
  torch.manual_seed(7);
});

describe('draws', () => {
  test('one after the other continue the stream', () => {
    near(torch.rand(3).tolist(), [0.5349225401878357, 0.19880318641662598, 0.6592116951942444]);
    near(torch.randn(20).at(':2').tolist(), [-1.3884038925170898, -0.16699601709842682]);
    expect(torch.randint(-3, 5, [4]).tolist()).toEqual([-3, 0, 2, -3]);
    expect(torch.randperm(6).tolist()).toEqual([2, 3, 1, 4, 0, 5]);
  });
  test('narrow floats and complex numbers', () => {
    near(torch.randn(17, { dtype: torch.bfloat16 }).at(':3').tolist(), [-0.97265625, 1.234375, -0.392578125]);
    const z = torch.randn(2, { dtype: torch.complex64 });
    near(torch.view_as_real(z).flatten().tolist(), [-1.0010846853256226, -0.34332090616226196, 0.12278351187705994, -0.9003387689590454]);
  });
  test('in place they follow the memory, as functions the rows', () => {
    near(
      torch.zeros(2, 3).t().uniform_(2, 3).flatten().tolist(),
      [2.5349225997924805, 2.656890392303467, 2.198803186416626, 2.2327616214752197, 2.6592116355895996, 2.4250614643096924],
    );
    torch.manual_seed(7);
    expect(torch.bernoulli(torch.full([3, 4], 0.3).t()).tolist()).toEqual([
      [0, 1, 0],
      [0, 1, 0],
      [1, 0, 0],
      [0, 0, 0],
    ]);
  });
  test('normal of tensors', () => {
    near(torch.normal(torch.tensor([0, 10]), torch.tensor([1, 2])).tolist(), [-0.1467950940132141, 11.572282791137695]);
  });
  test('draws whose number depends on the data', () => {
    near(torch._standard_gamma(torch.tensor([0.5, 2])).tolist(), [0.45486846566200256, 5.718629360198975]);
    expect(torch.poisson(torch.tensor([3, 20])).tolist()).toEqual([5, 11]);
    expect(torch.binomial(torch.tensor([10, 50]), torch.tensor([0.3, 0.5])).tolist()).toEqual([1, 29]);
    expect(torch.tensor([0.1, 0.2, 0.7]).multinomial(2).tolist()).toEqual([1, 2]);
  });
  test('random_ over all of a dtype and up to a number', () => {
    expect(torch.zeros(3, { dtype: torch.int32 }).random_().tolist()).toEqual([327741615, 976413892, 1202242073]);
    expect(torch.zeros(3, { dtype: torch.int64 }).random_(5).tolist()).toEqual([1, 3, 2]);
  });
  test('a generator of its own leaves the default one alone', () => {
    const own = new torch.Generator().manual_seed(7);
    near(torch.rand(3, { generator: own }).tolist(), [0.5349225401878357, 0.19880318641662598, 0.6592116951942444]);
    near(torch.rand(1).tolist(), [0.5349225401878357]);
  });
  test('they pass on zeros as gradients, gamma its slope', () => {
    const p = torch.tensor([0.5, 0.5]).requires_grad_();
    torch.bernoulli(p).sum().backward();
    expect(p.grad!.tolist()).toEqual([0, 0]);
    const a = torch.tensor([0.5, 2, 3, 20, 20, 20]);
    const slopes = torch._standard_gamma_grad(a, torch.tensor([0.3, 1.5, 4, 19, 10, 35])).tolist() as number[];
    // As PyTorch prints them.
    expect(slopes.map((v) => v.toFixed(4))).toEqual(['1.0098', '0.9366', '1.2165', '0.9827', '0.6989', '1.3167']);
  });
  test('the same numbers on another device', () => {
    near(torch.rand(2, { device: 'wasm' }).tolist(), [0.5349225401878357, 0.19880318641662598]);
  });
  test('errors', () => {
    expect(() => torch.randint(5, 5, [2])).toThrow("random_ expects 'from' to be less than 'to', but got from=5 >= to=5");
    expect(() => torch.randint(0, 500, [2], { dtype: torch.uint8 })).toThrow('to - 1 is out of bounds for unsigned char');
    expect(() => torch.rand(2, { dtype: torch.int64 })).toThrow('"check_uniform_bounds" not implemented for \'Long\'');
    expect(() => torch.ones(2).normal_(0, -1)).toThrow('normal expects std >= 0.0, but found std -1');
    expect(() => torch.multinomial(torch.tensor([1, 2]), 3)).toThrow(
      'cannot sample n_sample > prob_dist.size(-1) samples without replacement',
    );
  });
});
