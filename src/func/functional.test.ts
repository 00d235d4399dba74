/** Products with Jacobians and Hessians against numbers derived by hand. */
import { describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';

const { vjp, jvp, jacobian, hessian, hvp, vhp } = torch.autograd.functional;
const x = (): Tensor => torch.tensor([1, 2]) as Tensor;

/** f(a, b) = (a^2 b, 5 a + sin b); J = [[2ab, a^2], [5, cos b]]. */
const f = (t: Tensor): Tensor => {
  const [a, b] = t.unbind(0) as Tensor[];
  return torch.stack([a.mul(a).mul(b), a.mul(5).add(b.sin())]) as Tensor;
};
const cos2 = Math.cos(2);
/** g(a, b) = a^3 b; H = [[6ab, 3a^2], [3a^2, 0]]. */
const g = (t: Tensor): Tensor => {
  const [a, b] = t.unbind(0) as Tensor[];
  return a.pow(3).mul(b) as Tensor;
};
function near(got: Tensor, want: unknown): void {
  expect(
    got
      .sub(torch.tensor(want as number[]))
      .abs()
      .max()
      .item(),
  ).toBeLessThan(1e-5);
  expect(got.shape).toEqual((torch.tensor(want as number[]) as Tensor).shape);
}

describe('Jacobians', () => {
  test('the matrix', () => {
    near(jacobian(f, x()), [
      [4, 1],
      [5, cos2],
    ]);
  });
  test('from the left', () => {
    const [out, product] = vjp(f, x(), torch.tensor([1, 10]));
    near(out, [2, 5 + Math.sin(2)]);
    near(product, [54, 1 + 10 * cos2]);
  });
  test('from the right', () => {
    const [out, product] = jvp(f, x(), torch.tensor([1, 10]));
    near(out, [2, 5 + Math.sin(2)]);
    near(product, [14, 5 + 10 * cos2]);
  });
  test('of several inputs and outputs, with dims of the output first', () => {
    const several = (a: Tensor, b: Tensor): Tensor[] => [a.mul(b) as Tensor, b.sum() as Tensor];
    const [[da, db], [ea, eb]] = jacobian(several, [x(), torch.tensor([3, 4])]);
    near(da, [
      [3, 0],
      [0, 4],
    ]);
    near(db, [
      [1, 0],
      [0, 2],
    ]);
    near(ea, [0, 0]);
    near(eb, [1, 1]);
    const matrix = torch.ones([2, 3]) as Tensor;
    expect(jacobian((t) => t.sum(0) as Tensor, matrix).shape).toEqual([3, 2, 3]);
  });
  test('vjp of one number needs no vector; results have no history', () => {
    const [out, product] = vjp((t) => t.mul(t).sum() as Tensor, x());
    near(out, 5);
    near(product, [2, 4]);
    expect(product.requires_grad).toBe(false);
    expect(out.requires_grad).toBe(false);
  });
  test('works under no_grad and leaves the inputs alone', () => {
    const input = x().requires_grad_() as Tensor;
    torch.no_grad(() =>
      near(jacobian(f, input), [
        [4, 1],
        [5, cos2],
      ]),
    );
    expect(input.grad).toBe(null);
  });
});

describe('Hessians', () => {
  test('the matrix', () => {
    near(hessian(g, x()), [
      [12, 3],
      [3, 0],
    ]);
  });
  test('products from both sides', () => {
    near(hvp(g, x(), torch.tensor([1, 10]))[1], [42, 3]);
    near(vhp(g, x(), torch.tensor([1, 10]))[1], [42, 3]);
    near(vhp(g, x(), torch.tensor([1, 10]))[0], 2);
  });
  test('of two inputs', () => {
    const [[aa, ab], [ba, bb]] = hessian((a, b) => a.pow(2).mul(b).sum() as Tensor, [x(), torch.tensor([3, 4])]);
    near(aa, [
      [6, 0],
      [0, 8],
    ]);
    near(ab, [
      [2, 0],
      [0, 4],
    ]);
    near(ba, [
      [2, 0],
      [0, 4],
    ]);
    near(bb, [
      [0, 0],
      [0, 0],
    ]);
  });
});

describe('create_graph', () => {
  test('a Jacobian can be differentiated with respect to the input', () => {
    const input = x().requires_grad_() as Tensor;
    // d/dt of the sum of all entries of J = 2ab + a^2 + 5 + cos b: (2b + 2a, 2a - sin b)
    jacobian(f, input, { create_graph: true }).sum().backward();
    near(input.grad as Tensor, [6, 2 - Math.sin(2)]);
  });
  test('a product with v can be differentiated with respect to v', () => {
    const v = torch.tensor([1, 10]).requires_grad_() as Tensor;
    jvp(f, x(), v, { create_graph: true })[1].sum().backward();
    near(v.grad as Tensor, [9, 1 + cos2]);
  });
});

describe("PyTorch's errors", () => {
  test('sizes and counts of v', () => {
    expect(() => vjp(f, x(), torch.ones([3]))).toThrow('v has invalid size: should be torch.Size([2]) but got torch.Size([3]).');
    expect(() => vjp(f, x(), [torch.ones([2]), torch.ones([2])])).toThrow('The given v should contain a single Tensor.');
    expect(() => vjp(f, x())).toThrow(
      'The vector v can only be None if the user-provided function returns a single Tensor with a single element.',
    );
    expect(() => jvp(f, x())).toThrow(
      'The vector v can only be None if the input to the user-provided function is a single Tensor with a single element.',
    );
  });
  test('a Hessian of several numbers', () => {
    expect(() => hessian(f, x())).toThrow('The Tensor returned by the function given to hessian should contain a single element');
    expect(() => hvp(f, x(), x())).toThrow('The Tensor returned by the function given to hvp should contain a single element');
  });
  test('what does not depend on an input is zeros, or an error in strict mode', () => {
    const constant = (a: Tensor, _b: Tensor): Tensor => a.mul(2).sum() as Tensor;
    near(jacobian(constant, [x(), x()])[1], [0, 0]);
    expect(() => jacobian(constant, [x(), x()], { strict: true })).toThrow(
      'Output 0 of the user-provided function is independent of input 1. This is not allowed in strict mode.',
    );
    near(
      hessian((a) => a.sum() as Tensor, x()),
      [
        [0, 0],
        [0, 0],
      ],
    );
    expect(() => hessian((a) => a.sum() as Tensor, x(), { strict: true })).toThrow(
      'found that the jacobian of the user-provided function with respect to input 0 is independent of the input',
    );
  });
});
