/** Transforms against the sum that defines them, for lengths of every kind; their inverses; gradients; windows and short-time transforms. */
import { describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';

interface ComplexNumber {
  re: number;
  im: number;
}
const naive = (x: readonly ComplexNumber[], sign: number): ComplexNumber[] =>
  x.map((_, k) =>
    x.reduce(
      (sum, { re, im }, j) => {
        const angle = (sign * 2 * Math.PI * j * k) / x.length;
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        return { re: sum.re + re * c - im * s, im: sum.im + re * s + im * c };
      },
      { re: 0, im: 0 },
    ),
  );
const signal = (n: number): ComplexNumber[] => Array.from({ length: n }, (_, i) => ({ re: Math.sin(i * 1.3), im: Math.cos(i * i) }));
const close = (got: readonly ComplexNumber[], wanted: readonly ComplexNumber[]): void => {
  expect(got.length).toBe(wanted.length);
  wanted.forEach(({ re, im }, i) => {
    expect(Math.abs(got[i].re - re)).toBeLessThan(1e-9);
    expect(Math.abs(got[i].im - im)).toBeLessThan(1e-9);
  });
};

describe.each([1, 2, 3, 5, 8, 12, 13, 17, 30, 31, 64, 97, 128, 210, 289])('length %i', (n) => {
  test('is the sum that defines it, both ways', () => {
    const x = signal(n);
    const t = torch.tensor(x as never, { dtype: torch.complex128 });
    close(torch.fft.fft(t).tolist() as never, naive(x, -1));
    close(torch.fft.ifft(t, { norm: 'forward' }).tolist() as never, naive(x, 1));
    close(torch.fft.ifft(torch.fft.fft(t, { norm: 'ortho' }), { norm: 'ortho' }).tolist() as never, x);
    const real = t.real as Tensor;
    close(
      torch.fft.rfft(real).tolist() as never,
      naive(
        x.map(({ re }) => ({ re, im: 0 })),
        -1,
      ).slice(0, Math.floor(n / 2) + 1),
    );
    const back = torch.fft.irfft(torch.fft.rfft(real), { n }).tolist() as number[];
    x.forEach(({ re }, i) => {
      expect(Math.abs(back[i] - re)).toBeLessThan(1e-9);
    });
  });
});

test('gradients, also of lengths cut and padded one after the other', () => {
  const x = torch
    .tensor(Float64Array.from({ length: 12 }, (_, i) => Math.sin(i)))
    .reshape(2, 6)
    .requires_grad_();
  for (const s of [
    [1, 3],
    [2, 3],
    [1, 6],
    [3, 4],
  ])
    expect(torch.autograd.gradcheck((a) => torch.fft.fftn(a as Tensor, { s }), x)).toBe(true);
  expect(torch.autograd.gradcheck((a) => torch.fft.rfft2(a as Tensor), x)).toBe(true);
  expect(torch.autograd.gradcheck((a) => torch.fft.irfft(a as Tensor, { n: 7 }), x)).toBe(true);
  expect(torch.autograd.gradgradcheck((a) => torch.fft.hfft(a as Tensor), x)).toBe(true);
});

test('a short-time transform is undone', () => {
  const x = torch.tensor(Float32Array.from({ length: 200 }, (_, i) => Math.sin(i / 3)));
  const window = torch.hann_window(16);
  const spectrum = torch.stft(x, 16, { hop_length: 4, window, return_complex: true });
  expect(spectrum.shape).toEqual([9, 51]);
  const back = torch.istft(spectrum, 16, { hop_length: 4, window, length: 200 });
  expect(Number(back.sub(x).abs().max().item())).toBeLessThan(1e-5);
});

test("errors have PyTorch's text", () => {
  expect(() => torch.fft.rfft(torch.ones(2, { dtype: torch.complex64 }))).toThrow('rfft expects a real input tensor, but got ComplexFloat');
  expect(() => torch.fft.fft(torch.ones(2), { norm: 'other' })).toThrow('Invalid normalization mode: "other"');
  expect(() => torch.fft.fft(torch.ones(2), { n: 0 })).toThrow('Invalid number of data points (0) specified');
  expect(() => torch.signal.windows.hann(-1)).toThrow('hann requires non-negative window length, got M=-1');
});
