/** Attention in blocks: the numbers of the undivided form, its gradients, and memory that does not hold all scores at once. */
import { afterEach, describe, expect, test } from 'vitest';
import torch, { nn, type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';

const F = nn.functional;
const before = flags.attentionBytes;
afterEach(() => {
  flags.attentionBytes = before;
  flags.flush = 'lazy';
  torch.set_default_device('cpu');
});

const make = (seed: number, ...shape: number[]): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1);
  return torch.tensor(Float32Array.from({ length: n }, (_, i) => Math.sin(i * 1.3 + seed))).reshape(shape) as Tensor;
};
interface Case {
  readonly shapes: readonly (readonly number[])[];
  readonly mask?: () => Tensor;
  readonly options?: object;
}
const cases: Record<string, Case> = {
  plain: {
    shapes: [
      [2, 3, 70, 8],
      [2, 3, 50, 8],
      [2, 3, 50, 4],
    ],
  },
  causal: {
    shapes: [
      [2, 66, 8],
      [2, 66, 8],
      [2, 66, 8],
    ],
    options: { is_causal: true },
  },
  'a mask of booleans': {
    shapes: [
      [2, 40, 8],
      [2, 33, 8],
      [2, 33, 8],
    ],
    mask: () => make(9, 40, 33).gt(-0.5) as Tensor,
  },
  'a mask that is added, the same for all queries': {
    shapes: [
      [2, 40, 8],
      [2, 33, 8],
      [2, 33, 8],
    ],
    mask: () => make(9, 2, 1, 33).requires_grad_() as Tensor,
  },
  'a mask that is added': {
    shapes: [
      [2, 40, 8],
      [2, 33, 8],
      [2, 33, 8],
    ],
    mask: () => make(9, 40, 33).requires_grad_() as Tensor,
  },
  'shared heads': {
    shapes: [
      [1, 4, 48, 8],
      [1, 2, 48, 8],
      [1, 2, 48, 8],
    ],
    options: { is_causal: true, enable_gqa: true },
  },
};

function run({ shapes, mask, options }: Case, bytes: number): number[][] {
  flags.attentionBytes = bytes;
  const [q, k, v] = shapes.map((s, i) => make(i, ...s).requires_grad_() as Tensor);
  const m = mask?.() ?? null;
  const out = F.scaled_dot_product_attention(q, k, v, { ...(m !== null && { attn_mask: m }), ...options });
  out.mul(out.cos()).sum().backward();
  const grads = [q, k, v, ...(m?.requires_grad ? [m] : [])].map((t) => t.grad!);
  return [out.detach() as Tensor, ...grads].map((t) => t.flatten().tolist() as number[]);
}

describe.each(['cpu', 'wasm', 'reference'])('on %s', (device) => {
  test.each(Object.keys(cases))('%s', (name) => {
    torch.set_default_device(device);
    const whole = run(cases[name], 2 ** 30);
    for (const mode of ['lazy', 'eager'] as const) {
      flags.flush = mode;
      const parts = run(cases[name], 1024);
      whole.forEach((row, i) => {
        expect(parts[i].length).toBe(row.length);
        row.forEach((x, j) => {
          expect(Math.abs(parts[i][j] - x)).toBeLessThan(2e-5);
        });
      });
    }
    flags.flush = 'lazy';
  });
});

test('memory grows with the length, not with its square', () => {
  flags.attentionBytes = 2 ** 18;
  const peak = (length: number): number => {
    torch.set_default_device('null');
    const [q, k, v] = [0, 1, 2].map((i) => make(i, 4, length, 32).requires_grad_() as Tensor);
    F.scaled_dot_product_attention(q, k, v, { is_causal: true }).sum().backward();
    torch.synchronize('null');
    const { runs } = engineOf('null').backend as unknown as { runs: { arenaBytes: number }[] };
    return Math.max(...runs.splice(0).map((r) => r.arenaBytes));
  };
  const [short, long] = [peak(512), peak(1024)];
  // All scores would take 4 and 16 MB, several times over.
  expect(short).toBeLessThan(4e6);
  expect(long).toBeLessThan(2.5 * short);
});

test('gradients of gradients', () => {
  flags.attentionBytes = 1024;
  const [q, k, v] = [0, 1, 2].map((i) => (make(i, 1, 36, 3).to(torch.float64) as Tensor).detach().requires_grad_() as Tensor);
  expect(torch.autograd.gradcheck((a, b, c) => F.scaled_dot_product_attention(a as Tensor, b as Tensor, c as Tensor), [q, k, v])).toBe(
    true,
  );
});
