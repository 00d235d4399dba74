/** Pointwise operators against numbers from PyTorch 2.11: gradients at ties and zeros, in-place and out= forms, strided operands, errors of data. */
import { afterEach, describe, expect, test } from 'vitest';
import torch from '../index.ts';
import type { Tensor } from './methods.ts';

const leaf = (data: number[], dtype = torch.float32): Tensor => torch.tensor(data, { dtype, requires_grad: true });
const gradients = (out: Tensor, ...inputs: Tensor[]): unknown[] => {
  out.sum().backward();
  return inputs.map((t) => t.grad!.tolist());
};
const close = (actual: unknown, expected: readonly number[], digits = 6): void => {
  (actual as number[]).forEach((x, i) => {
    expect(x).toBeCloseTo(expected[i], digits);
  });
};

afterEach(() => torch.set_default_device('cpu'));

describe.each(['cpu', 'wasm'])('on %s', (device) => {
  test('the larger of two shares its gradient at ties, fmax does not, and a NaN takes all of one and none of the other', () => {
    torch.set_default_device(device);
    const pair = (): [Tensor, Tensor] => [leaf([2, 2, Number.NaN]), leaf([2, 3, 1])];
    const [a, b] = pair();
    expect(gradients(torch.maximum(a, b), a, b)).toEqual([
      [0.5, 0, 1],
      [0.5, 1, 1],
    ]);
    const [c, d] = pair();
    expect(gradients(torch.fmax(c, d), c, d)).toEqual([
      [1, 0, 0],
      [0, 1, 1],
    ]);
  });

  test('powers have no gradient through a zero exponent or a zero base', () => {
    torch.set_default_device(device);
    const [x, e] = [leaf([0, 2, -2]), leaf([0, 3, 2])];
    const [gx, ge] = gradients(torch.pow(x, e), x, e) as number[][];
    expect(gx).toEqual([0, 12, -4]);
    expect(ge[0]).toBe(0);
    expect(ge[1]).toBeCloseTo(5.545177459716797, 5);
    expect(ge[2]).toBeNaN();
  });

  test('clamp gives the gradient to the bound that is in force', () => {
    torch.set_default_device(device);
    const [x, low, high] = [leaf([-1, 0.5, 2]), leaf([0, 0, 3]), leaf([1, 1, 1])];
    expect(gradients(torch.clamp(x, low, high), x, low, high)).toEqual([
      [0, 1, 0],
      [1, 0, 0],
      [0, 0, 1],
    ]);
  });

  test('remainders of floats pass the gradient on, and minus the floored quotient to the divisor', () => {
    torch.set_default_device(device);
    const [x, d] = [leaf([5.5, -5.5]), leaf([3, 3])];
    expect(gradients(torch.remainder(x, d), x, d)).toEqual([
      [1, 1],
      [-1, 2],
    ]);
  });

  test('integers wrap, divide towards zero or down, and shift to nothing', () => {
    torch.set_default_device(device);
    const x = torch.tensor([-7, 7, 100], { dtype: torch.int8 });
    expect(x.add(100).tolist()).toEqual([93, 107, -56]);
    expect(torch.div(x, 2, { rounding_mode: 'trunc' }).tolist()).toEqual([-3, 3, 50]);
    expect(torch.div(x, 2, { rounding_mode: 'floor' }).tolist()).toEqual([-4, 3, 50]);
    expect(x.remainder(-4).tolist()).toEqual([-3, -1, 0]);
    expect(x.fmod(-4).tolist()).toEqual([-3, 3, 0]);
    expect(torch.bitwise_left_shift(x, 9).tolist()).toEqual([0, 0, 0]);
    expect(torch.bitwise_right_shift(x, 9).tolist()).toEqual([-1, 0, 0]);
    expect(torch.gcd(x, torch.tensor([21, 14, 75], { dtype: torch.int8 })).tolist()).toEqual([7, 7, 25]);
  });

  test('operands may be transposed, expanded and broadcast', () => {
    torch.set_default_device(device);
    const x = torch.arange(6, { dtype: torch.float32 }).reshape([2, 3]);
    const y = torch.tensor([1, 2]).expand([3, 2]).t();
    expect(torch.hypot(x.t(), torch.tensor([3, 4], { dtype: torch.float32 })).tolist()).toEqual([
      [3, 5],
      [Math.fround(Math.sqrt(10)), Math.fround(Math.sqrt(32))],
      [Math.fround(Math.sqrt(13)), Math.fround(Math.sqrt(41))],
    ]);
    expect(torch.where(x.gt(2), x, y).tolist()).toEqual([
      [1, 1, 1],
      [3, 4, 5],
    ]);
  });

  test('mantissa and exponent give the number back, subnormals and halves too', () => {
    torch.set_default_device(device);
    for (const dtype of [torch.float64, torch.float32, torch.float16]) {
      const x = torch.tensor([0.75, -6, 1e-7, 0, 2 ** -24], { dtype });
      const { mantissa, exponent } = torch.frexp(x);
      expect(exponent.dtype).toBe(torch.int32);
      expect(torch.ldexp(mantissa, exponent).tolist()).toEqual(x.tolist());
      expect(mantissa.abs().lt(1).all().item()).toBe(true);
    }
  });
});

describe('gradients of the gamma family', () => {
  test('lgamma has a second derivative, and polygamma the next one', () => {
    const x = leaf([0.5, 1.5, -2.25], torch.float64);
    const [first] = torch.autograd.grad([torch.lgamma(x).sum()], [x], null, { create_graph: true }) as Tensor[];
    close(first.tolist(), [-1.9635100260214229, 0.036489973978576194, 4.158583564657972], 9);
    const [second] = torch.autograd.grad([first.sum()], [x]) as Tensor[];
    close(second.tolist(), [4.934802202073678, 0.9348022009716718, 19.379410511803624], 6);
    const y = leaf([0.5, 1.5, -2.25], torch.float64);
    close(gradients(torch.polygamma(2, y), y)[0], [97.40909103400242, 1.4090910340024367, 1558.4550231887147], 6);
  });

  test('what PyTorch has no derivative for can be computed, and says so when its gradient is', () => {
    const a = leaf([2]);
    const out = torch.igamma(a, torch.tensor([1.5]));
    close(out.detach().tolist(), [0.44217461347579956]);
    out.sum().backward();
    expect(() => a.grad!.tolist()).toThrow("the derivative for 'igamma: input' is not implemented.");
  });
});

describe('forms', () => {
  test('in-place forms keep the dtype and refuse what it cannot hold', () => {
    const x = torch.tensor([1, 2, 3], { dtype: torch.int64 });
    expect(x.add_(1).mul_(2).tolist()).toEqual([4, 6, 8]);
    expect(x.bitwise_or_(1).tolist()).toEqual([5, 7, 9]);
    expect(x.lt_(7).tolist()).toEqual([1, 0, 0]);
    expect(() => x.div_(2)).toThrow("result type Float can't be cast to the desired output type Long");
    expect(x.fill_(torch.tensor(7)).tolist()).toEqual([7, 7, 7]);
    const f = torch.tensor([1.5]);
    expect(() => f.float_power_(2)).toThrow(
      "the base given to float_power_ has dtype Float but the operation's result requires dtype Double",
    );
  });

  test('out= takes the result, of both results where there are two', () => {
    const out = torch.zeros([2]);
    expect(torch.atan2(torch.tensor([0, 1]), torch.tensor([1, 0]), { out })).toBe(out);
    close(out.tolist(), [0, Math.PI / 2]);
    const [m, e] = [torch.zeros([1]), torch.zeros([1], { dtype: torch.int32 })];
    torch.frexp(torch.tensor([3.0]).double().float(), { out: [m, e] });
    expect([m.item(), e.item()]).toEqual([0.75, 2]);
  });

  test('some in-place forms are functions too, and Python has its own names for them', () => {
    const x = torch.tensor([4, 9], { dtype: torch.float32 });
    expect(torch.sqrt_(x)).toBe(x);
    expect(x.__iadd__(1).tolist()).toEqual([3, 4]);
    expect(x.__gt__(3).tolist()).toEqual([false, true]);
    expect(torch.clamp_(x, { max: 3 }).tolist()).toEqual([3, 3]);
  });

  test("Python's reflected operators and NumPy's names are there", () => {
    const x = torch.tensor([1, 2, 4]);
    expect(x.__rsub__(5).tolist()).toEqual([4, 3, 1]);
    expect(x.__rpow__(2).tolist()).toEqual([2, 4, 16]);
    expect(x.__rdiv__(8).tolist()).toEqual([8, 4, 2]);
    expect(torch.arctan2(x, x).tolist()).toEqual(torch.atan2(x, x).tolist());
    expect(torch.fix(torch.tensor([-1.5])).tolist()).toEqual([-1]);
  });

  test('where with a condition alone is where it is true', () => {
    const [rows, columns] = torch.where(
      torch
        .tensor([
          [0, 1, 0],
          [1, 0, 1],
        ])
        .ne(0),
    );
    expect([rows.tolist(), columns.tolist()]).toEqual([
      [0, 1, 1],
      [1, 0, 2],
    ]);
  });
});

describe('errors', () => {
  test('a zero among integer divisors is an error at every call, also after one without', () => {
    const x = torch.tensor([1, 2], { dtype: torch.int64 });
    const divisor = (last: number): Tensor => torch.tensor([1, last], { dtype: torch.int64 }) as Tensor;
    expect(torch.remainder(x, divisor(2)).tolist()).toEqual([0, 0]);
    expect(() => torch.remainder(x, divisor(0))).toThrow('ZeroDivisionError');
    expect(() => x.floor_divide_(0)).toThrow('ZeroDivisionError');
    expect(x.tolist()).toEqual([1, 2]);
    expect(torch.div(torch.tensor([1, -1]), 0).tolist()).toEqual([Infinity, -Infinity]);
  });

  test('shapes that do not broadcast', () => {
    expect(() => torch.lerp(torch.zeros([2]), torch.zeros([3]), 0.5)).toThrow(
      'The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0',
    );
  });
});
