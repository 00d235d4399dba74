/** Small programs under autocast on cpu against PyTorch's run of the same (`programs.fixture.py`): dtypes exactly, numbers as near as bfloat16 allows. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { nn, optim, type Tensor, torch } from '../index.ts';

interface Recorded {
  readonly losses: readonly number[];
  readonly exact: readonly number[];
  readonly dtype: string;
  readonly loss: string;
  readonly result: readonly number[];
  readonly gradients: readonly [dtype: string, norm: number, first: readonly number[]][];
}
const { programs } = JSON.parse(readFileSync(new URL('./programs.fixture.json', import.meta.url), 'utf8')) as {
  programs: Record<string, Recorded>;
};
const F = nn.functional;

/** Numbers that both sides make. */
function wave(shape: readonly number[], phase: number, scale = 0.5): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + phase) * scale);
  return torch.tensor(values).reshape([...shape]);
}
function fill<M extends nn.Module>(module: M): M {
  torch.no_grad(() => {
    let k = 0;
    for (const p of module.parameters()) p.copy_(wave(p.shape, k++));
  });
  return module;
}

class Norms extends nn.Module {
  a = new nn.Linear(6, 8);
  n = new nn.LayerNorm(8);
  b = new nn.Linear(8, 3);
  override forward(x: Tensor): Tensor {
    return this.b(F.gelu(this.n(this.a(x))));
  }
}
class Convolutions extends nn.Module {
  a = new nn.Conv2d(2, 4, 3, { padding: 1 });
  n = new nn.BatchNorm2d(4);
  b = new nn.Conv2d(4, 4, 3, { groups: 2 });
  c = new nn.Linear(16, 3);
  override forward(x: Tensor): Tensor {
    return this.c(this.b(F.max_pool2d(F.relu(this.n(this.a(x))), 2) as Tensor).flatten(1));
  }
}
/** One weight, used twice and in a product of its own. */
class Tied extends nn.Module {
  a = new nn.Linear(6, 6);
  override forward(x: Tensor): Tensor {
    return this.a(torch.tanh(this.a(x)))
      .matmul(this.a.weight)
      .softmax(-1);
  }
}
class First extends nn.Module {
  inner: nn.Module;
  constructor(inner: nn.Module) {
    super();
    this.inner = inner;
  }
  override forward(...x: Tensor[]): Tensor {
    return (this.inner as unknown as (...x: Tensor[]) => readonly Tensor[])(...x)[0];
  }
}

const makers: Record<string, [make: () => nn.Module, shapes: readonly (readonly number[])[]]> = {
  Norms: [() => new Norms(), [[5, 6]]],
  Convolutions: [() => new Convolutions(), [[3, 2, 8, 8]]],
  Tied: [() => new Tied(), [[4, 6]]],
  Bilinear: [
    () => new nn.Bilinear(3, 4, 5),
    [
      [6, 3],
      [6, 4],
    ],
  ],
  LSTM: [() => new First(new nn.LSTM(4, 5, 2)), [[3, 2, 4]]],
  GRU: [() => new First(new nn.GRU(4, 5, 2)), [[3, 2, 4]]],
  RNN: [() => new First(new nn.RNN(4, 5)), [[3, 2, 4]]],
  LSTMCell: [() => new First(new nn.LSTMCell(4, 5)), [[3, 4]]],
  GRUCell: [() => new nn.GRUCell(4, 5), [[3, 4]]],
  MultiheadAttention: [
    () => new First(new nn.MultiheadAttention(8, 2)),
    [
      [3, 2, 8],
      [3, 2, 8],
      [3, 2, 8],
    ],
  ],
  TransformerEncoderLayer: [() => new nn.TransformerEncoderLayer(8, 2, 16, { dropout: 0 }), [[4, 2, 8]]],
  TransformerDecoderLayer: [
    () => new nn.TransformerDecoderLayer(8, 2, 16, { dropout: 0 }),
    [
      [4, 2, 8],
      [3, 2, 8],
    ],
  ],
  'Embedding and norms': [
    () => new nn.Sequential(new nn.GroupNorm(2, 6), new nn.Linear(6, 6), new nn.RMSNorm(6), new nn.PReLU()),
    [[5, 6]],
  ],
};

const norm = (a: readonly number[]): number => Math.hypot(...a);
const distance = (a: readonly number[], b: readonly number[]): number => norm(a.map((x, i) => x - b[i]));
const numbersOf = (t: Tensor): number[] => t.double().flatten().tolist() as number[];
/** A few roundings to bfloat16, whose step is 1/128 of a number at most. */
const near = 0.02;

describe('a training step under autocast', () => {
  test.each(Object.keys(programs))('of %s is what PyTorch makes of it', (which) => {
    const recorded = programs[which];
    const [make, shapes] = makers[which];
    const module = fill(make());
    const inputs = shapes.map((s, k) => wave(s, 10 + k, 1));
    const optimizer = new optim.AdamW(module.parameters(), { lr: 1e-2 });
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) {
      optimizer.zero_grad();
      const { result, loss } = torch.autocast('cpu', torch.bfloat16, () => {
        const made = (module as unknown as (...x: Tensor[]) => Tensor)(...inputs);
        return { result: made, loss: F.mse_loss(made, wave(made.shape, 99, 1)) as Tensor };
      });
      loss.backward();
      if (step === 0) {
        expect([result.dtype.name, loss.dtype.name]).toEqual([recorded.dtype, recorded.loss]);
        expect(distance(numbersOf(result), recorded.result)).toBeLessThan(near * norm(recorded.result));
        const parameters = [...module.parameters()];
        expect(parameters.map((p) => p.grad!.dtype.name)).toEqual(recorded.gradients.map(([dtype]) => dtype));
        parameters.forEach((p, i) => {
          const [, size, first] = recorded.gradients[i];
          const ours = numbersOf(p.grad!);
          // Differences of numbers that were rounded are as far off as the largest of the gradients is.
          const largest = Math.max(...recorded.gradients.map(([, n]) => n));
          expect(Math.abs(norm(ours) - size), `size of gradient ${i}`).toBeLessThan(near * (size + 0.05 * largest));
          expect(distance(ours.slice(0, first.length), first), `gradient ${i}`).toBeLessThan(2 * near * (size + 0.05 * largest));
        });
      }
      optimizer.step();
      losses.push(loss.item() as number);
    }
    losses.forEach((loss, i) => {
      // As near to PyTorch's loss as that is to the loss in float32, or nearer than a rounding.
      const drift = Math.abs(recorded.losses[i] - recorded.exact[i]);
      expect(Math.abs(loss - recorded.losses[i]), `loss of step ${i}`).toBeLessThan(1.5 * drift + 0.004 * recorded.losses[i]);
    });
  });
});
