/** Orthogonal polynomials whose degree is an operand: library functions, because the number of steps is data. */
import type { Tensor } from '../tensor/tensor.ts';
import { declare, overload } from './declare.ts';
import { elementwise, type Operand } from './elementwise.ts';
import { chebyshev, hermite, laguerre, legendre, type PolynomialFunction } from './host/orthogonal-polynomials.ts';
import { callOn, numberFunction, onlyFullFloats, specialDoc } from './pointwise-support.ts';

const family = <const N extends string>(name: N, text: string, make: (single: boolean) => PolynomialFunction) => {
  const fn = numberFunction(name, make);
  const call = elementwise({
    name: `special_${name}`,
    kind: 'INT_TO_FLOAT',
    body: ([x, n]) => callOn(fn, [x, n], null),
    gradient: () => [null, null],
    check: onlyFullFloats(`${name}_cpu`),
  });
  const run = ((x: Operand, n: Operand): Tensor => call([x, n])) as never;
  return declare(
    specialDoc(name, text),
    overload(`special_${name}(Tensor x, Tensor n) -> Tensor` as const, run),
    overload(`special_${name}.x_scalar(Scalar x, Tensor n) -> Tensor` as const, run),
    overload(`special_${name}.n_scalar(Tensor x, Scalar n) -> Tensor` as const, run),
  );
};

export const polynomials = {
  chebyshev_polynomial_t: family('chebyshev_polynomial_t', 'Chebyshev polynomial of the first kind', (s) => chebyshev('t', false, s)),
  chebyshev_polynomial_u: family('chebyshev_polynomial_u', 'Chebyshev polynomial of the second kind', (s) => chebyshev('u', false, s)),
  chebyshev_polynomial_v: family('chebyshev_polynomial_v', 'Chebyshev polynomial of the third kind', (s) => chebyshev('v', false, s)),
  chebyshev_polynomial_w: family('chebyshev_polynomial_w', 'Chebyshev polynomial of the fourth kind', (s) => chebyshev('w', false, s)),
  shifted_chebyshev_polynomial_t: family('shifted_chebyshev_polynomial_t', 'Shifted Chebyshev polynomial of the first kind', (s) =>
    chebyshev('t', true, s),
  ),
  shifted_chebyshev_polynomial_u: family('shifted_chebyshev_polynomial_u', 'Shifted Chebyshev polynomial of the second kind', (s) =>
    chebyshev('u', true, s),
  ),
  shifted_chebyshev_polynomial_v: family('shifted_chebyshev_polynomial_v', 'Shifted Chebyshev polynomial of the third kind', (s) =>
    chebyshev('v', true, s),
  ),
  shifted_chebyshev_polynomial_w: family('shifted_chebyshev_polynomial_w', 'Shifted Chebyshev polynomial of the fourth kind', (s) =>
    chebyshev('w', true, s),
  ),
  hermite_polynomial_h: family('hermite_polynomial_h', "Physicists' Hermite polynomial", (s) => hermite('h', s)),
  hermite_polynomial_he: family('hermite_polynomial_he', "Probabilists' Hermite polynomial", (s) => hermite('he', s)),
  laguerre_polynomial_l: family('laguerre_polynomial_l', 'Laguerre polynomial', laguerre),
  legendre_polynomial_p: family('legendre_polynomial_p', 'Legendre polynomial', legendre),
};
