/** torch.special against numbers from PyTorch 2.11; its records hold the rest. */
import { afterEach, describe, expect, test } from 'vitest';
import torch from '../index.ts';
import { chebyshev, hermite } from './host/orthogonal-polynomials.ts';
import type { Tensor } from './methods.ts';

const { special } = torch;
const close = (actual: Tensor, expected: readonly number[], relative = 1e-12): void => {
  const values = actual.tolist() as number[];
  expect(values.length).toBe(expected.length);
  values.forEach((x, i) => {
    expect(Math.abs(x - expected[i])).toBeLessThanOrEqual(relative * Math.abs(expected[i]) + 1e-15);
  });
};
const doubles = (...x: number[]): Tensor => torch.tensor(x, { dtype: torch.float64 }) as Tensor;

afterEach(() => torch.set_default_device('cpu'));

describe.each(['cpu', 'wasm'])('on %s', (device) => {
  test('Bessel functions, Airy and the scaled error function in double precision', () => {
    torch.set_default_device(device);
    close(special.i1(doubles(0, 1, 10)), [0, 0.5651591039924851, 2670.988303701255]);
    close(special.airy_ai(doubles(-5, 0, 3)), [0.35076100902415286, 0.3550280538878172, 0.00659113935746072]);
    // erfcx(x) sqrt(pi) x -> 1
    expect(special.erfcx(doubles(1e9)).mul(1e9).item()).toBeCloseTo(1 / Math.sqrt(Math.PI), 12);
  });

  test('series that run on the host until they converge', () => {
    torch.set_default_device(device);
    close(special.zeta(doubles(2, 3), doubles(1, 0.25)), [Math.PI ** 2 / 6, 64.66387], 1e-6);
    close(special.gammainc(doubles(2, 250), doubles(1.5, 251)), [0.4421745996289252, 0.5335663557], 1e-6);
    close(special.legendre_polynomial_p(doubles(0.5, 2), doubles(3, 4)), [-0.4375, 55.375]);
    close(special.legendre_polynomial_p(doubles(0.5, 2), 3), [-0.4375, 17]);
  });
});

test('the derivative of I1 is continuous at 0', () => {
  const x = torch.tensor([0, 1e-9, 2], { dtype: torch.float64, requires_grad: true });
  special.i1(x).sum().backward();
  close(x.grad as Tensor, [0.5, 0.5, 1.484266875017402]);
});

test('a result without derivative does not require grad', () => {
  const x = torch.tensor([1.5], { requires_grad: true });
  expect(special.bessel_j0(x).requires_grad).toBe(false);
  expect(special.i0e(x).requires_grad).toBe(true);
});

test('16-bit floats are refused where PyTorch has no kernel for them', () => {
  const x = torch.ones([2], { dtype: torch.bfloat16 });
  expect(() => special.airy_ai(x)).toThrow('"airy_ai_cpu" not implemented for \'BFloat16\'');
  expect(() => special.zeta(x, x)).toThrow('"zeta_cpu" not implemented for \'BFloat16\'');
  expect(special.entr(x).dtype).toBe(torch.bfloat16);
});

test('Chebyshev polynomials agree between recurrence and cosine, and integral identities hold', () => {
  const t = chebyshev('t', false, false);
  for (const x of [-0.9, 0.1, 0.7]) expect(t(x, 6)).toBeCloseTo(Math.cos(6 * Math.acos(x)), 12);
  const he = hermite('he', false);
  // He_5 = x^5 - 10 x^3 + 15 x
  expect(he(2, 5)).toBe(32 - 80 + 30);
  expect(he(2, -1)).toBe(0);
});
