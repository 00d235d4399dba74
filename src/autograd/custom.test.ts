/** Custom Function, checkpoint, anomaly mode, gradcheck. Numbers are derived by hand. */
import { describe, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';
import type { FunctionContext } from './function.ts';

const { Function: CustomFunction, gradcheck, gradgradcheck } = torch.autograd;

class ScaledSquare extends CustomFunction {
  static override forward(ctx: FunctionContext, x: Tensor, factor: number): Tensor {
    ctx.save_for_backward(x);
    ctx['factor'] = factor;
    return x.mul(x).mul(factor);
  }
  static override backward(ctx: FunctionContext, g: Tensor | null): (Tensor | null)[] {
    const [x] = ctx.saved_tensors as [Tensor];
    return [(g as Tensor).mul(x).mul(2 * (ctx['factor'] as number)), null];
  }
}

describe('Function', () => {
  test('uses the backward that the class gives, also for gradients of gradients', () => {
    const x = torch.tensor([1, 2, 3], { requires_grad: true });
    const y = ScaledSquare.apply(x, 3) as Tensor;
    expect(y.grad_fn?.name).toBe('ScaledSquareBackward');
    const [g] = torch.autograd.grad(y.sum(), x, null, { create_graph: true }) as [Tensor];
    expect(g.tolist()).toEqual([6, 12, 18]);
    expect((torch.autograd.grad(g.sum(), x) as [Tensor])[0].tolist()).toEqual([6, 6, 6]);
  });
  test('passes gradcheck and gradgradcheck; a wrong backward does not', () => {
    const x = torch.tensor([0.5, -1.5], { dtype: torch.float64, requires_grad: true });
    expect(gradcheck((a) => ScaledSquare.apply(a, 2), x)).toBe(true);
    expect(gradgradcheck((a) => ScaledSquare.apply(a, 2), x)).toBe(true);
    class Wrong extends ScaledSquare {
      static override backward(_ctx: FunctionContext, g: Tensor | null): (Tensor | null)[] {
        return [g, null];
      }
    }
    expect(() => gradcheck((a) => Wrong.apply(a, 2), x)).toThrow(/Jacobian mismatch for output 0 with respect to input 0/);
    expect(gradcheck((a) => Wrong.apply(a, 2), x, { raise_exception: false })).toBe(false);
  });
  test('setup_context, several outputs, materialized gradients, non-differentiable outputs', () => {
    class MinMax extends CustomFunction {
      static override forward(x: Tensor): Tensor[] {
        return [x.amin(), x.amax(), x.argmax()];
      }
      static setup_context(ctx: FunctionContext, [x]: readonly unknown[], output: unknown): void {
        ctx.mark_non_differentiable((output as Tensor[])[2]);
        ctx.save_for_backward(x as Tensor);
      }
      static override backward(ctx: FunctionContext, low: Tensor | null, high: Tensor | null): Tensor {
        const [x] = ctx.saved_tensors as [Tensor];
        return x
          .eq(x.amin())
          .mul(low as Tensor)
          .add(x.eq(x.amax()).mul(high as Tensor)) as Tensor;
      }
    }
    const x = torch.tensor([3, 1, 2], { requires_grad: true });
    const [, high, at] = MinMax.apply<Tensor[]>(x);
    expect(at.requires_grad).toBe(false);
    expect(at.item()).toBe(0);
    high.mul(5).backward();
    expect(x.grad!.tolist()).toEqual([5, 0, 0]);
  });
  test("errors have PyTorch's text", () => {
    const x = torch.ones(2, { requires_grad: true });
    class Few extends ScaledSquare {
      static override backward(): (Tensor | null)[] {
        return [];
      }
    }
    expect(() => (Few.apply(x, 1) as Tensor).sum().backward()).toThrow(
      'function FewBackward returned an incorrect number of gradients (expected 2, got 0)',
    );
    const y = ScaledSquare.apply(x, 1) as Tensor;
    y.sum().backward();
    expect(() => y.sum().backward()).toThrow(/Trying to backward through the graph a second time/);
    const z = x.mul(1);
    const w = ScaledSquare.apply(z, 1) as Tensor;
    z.add_(1);
    expect(() => w.sum().backward()).toThrow(/modified by an inplace operation/);
  });
});

describe('checkpoint', () => {
  test('gives the gradients of inputs and of parameters used inside, with repeated draws', () => {
    torch.manual_seed(1);
    const layer = new nn.Linear(4, 4);
    const x = torch.tensor([[1, 2, 3, 4]], { requires_grad: true });
    let runs = 0;
    const block = (a: Tensor): Tensor => {
      runs++;
      return nn.functional.gelu(layer(a)).mul(torch.tensor([1, 0, 1, 2]));
    };
    block(x).sum().backward();
    const plain = [x.grad, layer.weight.grad, layer.bias!.grad].map((g) => g!.tolist());
    x.grad = null;
    layer.zero_grad();
    runs = 0;
    torch.utils.checkpoint.checkpoint(block, x, { use_reentrant: false }).sum().backward();
    expect(runs).toBe(2);
    expect([x.grad, layer.weight.grad, layer.bias!.grad].map((g) => g!.tolist())).toEqual(plain);
  });
  test('works under another module and where no input needs a gradient', () => {
    const layer = new nn.Linear(2, 2);
    const x = torch.ones(1, 2);
    const h = torch.utils.checkpoint.checkpoint((a: Tensor) => layer(a) as Tensor, x);
    h.mul(2).sum().backward();
    expect(layer.weight.grad!.tolist()).toEqual([
      [2, 2],
      [2, 2],
    ]);
  });
});

describe('anomaly mode', () => {
  test('names the call that made a NaN', () => {
    const x = torch.tensor([0], { requires_grad: true });
    torch.autograd.detect_anomaly(() => {
      const y = x.sqrt().mul(0);
      expect(() => y.backward(torch.ones(1))).toThrow(
        /Function 'SqrtBackward0' returned nan values in its 0th output\.[\s\S]*custom\.test/,
      );
    });
    x.sqrt().mul(0).backward(torch.ones(1));
    expect(x.grad!.item()).toBeNaN();
  });
});

describe('gradcheck', () => {
  test('holds for products, norms and softmax, twice', () => {
    const make = (...v: number[]): Tensor => torch.tensor(v, { dtype: torch.float64 }).reshape(2, -1).requires_grad_() as Tensor;
    const a = make(0.3, -0.7, 1.1, 0.2, 0.9, -0.4);
    const b = make(1.2, 0.1, -0.3, 0.8, 0.6, 0.5);
    expect(gradcheck((x, y) => torch.matmul(x as Tensor, torch.t(y as Tensor)).softmax(1), [a, b])).toBe(true);
    expect(gradgradcheck((x, y) => torch.matmul(x as Tensor, torch.t(y as Tensor)).softmax(1), [a, b])).toBe(true);
    expect(gradgradcheck((x) => nn.functional.layer_norm(x as Tensor, [3]), a)).toBe(true);
  });
});
