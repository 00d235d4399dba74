/**
 * The gamma function's family and the error functions.
 *
 * lgamma and digamma are scalar operations, trigamma is a fixed form; higher polygammas and the incomplete gamma functions run on the host until
 * they converge (`host/`).
 */
import type { LibraryFunction } from '../graph/library.ts';
import type { Prim } from '../graph/prim.ts';
import { trigamma } from '../graph/trigamma.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declareInplace, overload } from './declare.ts';
import { elementwise } from './elementwise.ts';
import { lowerGamma, upperGamma } from './host/incomplete-gamma.ts';
import { zeta } from './host/zeta.ts';
import { callOn, docOf, gradientMissing, like, notImplemented, numberFunction, only, tensorOverload, unary } from './pointwise-support.ts';

const logFactorial = (n: number): number => {
  let sum = 0;
  for (let k = 2; k <= n; k++) sum += Math.log(k);
  return sum;
};
/** (-1)^(n+1) n! zeta(n + 1, x). */
const polygammaFunction: LibraryFunction<number> = numberFunction<number>(
  'polygamma',
  (_, n) => {
    const scale = (n % 2 === 1 ? 1 : -1) * Math.exp(logFactorial(n));
    return (x) => scale * zeta(n + 1, x);
  },
  ([g], [x], _, n) => [g ? g.mul(polygammaOf(n + 1, x)) : null],
);
export function polygammaOf(n: number, x: Prim): Prim {
  if (n === 0) return x.scalar('digamma');
  return n === 1 ? trigamma(x) : callOn(polygammaFunction, [x], n);
}
const polygammaCall = elementwise<number>({
  name: 'polygamma',
  kind: 'INT_TO_FLOAT',
  body: ([x], n) => polygammaOf(n, x),
  gradient: (g, [x], _, n) => [g.mul(polygammaOf(n + 1, x))],
});
function polygamma(n: number, x: Tensor): Tensor {
  if (x.dtype.is_complex) throw notImplemented(n === 0 ? 'digamma' : n === 1 ? 'trigamma' : 'polygamma', x.dtype);
  if (n < 0) throw new Error('polygamma(n, x) does not support negative n.');
  return polygammaCall([x], n, `${n}`);
}

const mvlgammaCall = elementwise<number>({
  name: 'mvlgamma',
  kind: 'INT_TO_FLOAT',
  body: ([x], p) => {
    let sum = like(x, ((p * (p - 1)) / 4) * Math.log(Math.PI));
    for (let j = 0; j < p; j++) sum = sum.add(x.sub(j / 2).scalar('lgamma'));
    return sum;
  },
  gradient: (g, [x], _, p) => {
    let sum = x.scalar('digamma');
    for (let j = 1; j < p; j++) sum = sum.add(x.sub(j / 2).scalar('digamma'));
    return [g.mul(sum)];
  },
  check: only('mvlgamma_cpu', 'float', 'int', 'bool'),
});
export function mvlgamma(x: Tensor, p: number): Tensor {
  if (p < 1) throw new Error('p has to be greater than or equal to 1');
  return mvlgammaCall([x], p, `${p}`);
}

const incomplete = (name: 'igamma' | 'igammac', f: (a: number, x: number) => number) => {
  const fn = numberFunction(name, () => f);
  return elementwise({
    name,
    kind: 'DEFAULT',
    body: ([a, x]) => callOn(fn, [a, x], null),
    gradient: (g, [a, x]) => {
      const density = a.sub(1).mul(x.log()).sub(x).sub(a.scalar('lgamma')).exp();
      return [
        gradientMissing(g, `the derivative for '${name}: input' is not implemented.`),
        g.mul(name === 'igamma' ? density : density.neg()),
      ];
    },
    check: only(`${name}_cpu`, 'float'),
  });
};
export const igammaCall = incomplete('igamma', lowerGamma);
export const igammacCall = incomplete('igammac', upperGamma);

const real = (kernel: string) => ({ check: only(kernel, 'float', 'int', 'bool') });

export const gammas = {
  lgamma: unary('lgamma', 'Logarithm of the absolute value of the gamma function', (x) => x.scalar('lgamma'), {
    ...real('lgamma_vml_cpu'),
    gradient: (g, x) => g.mul(x.scalar('digamma')),
  }),
  digamma: unary('digamma', 'Derivative of lgamma', (x) => x.scalar('digamma'), {
    ...real('digamma'),
    gradient: (g, x) => g.mul(trigamma(x)),
  }),
  polygamma: declareInplace(
    docOf('polygamma', 'The n-th derivative of digamma'),
    overload('polygamma(int n, Tensor self) -> Tensor', (n, x) => polygamma(n, x)),
    overload('polygamma.method(Tensor self, int n) -> Tensor', (x, n) => polygamma(n, x)),
  ),
  mvlgamma: declareInplace(
    docOf('mvlgamma', 'Logarithm of the multivariate gamma function of dimension p'),
    overload('mvlgamma(Tensor self, int p) -> Tensor', (x, p) => mvlgamma(x, p)),
  ),
  igamma: declareInplace(docOf('igamma', 'Regularized lower incomplete gamma function'), tensorOverload('igamma', igammaCall)),
  igammac: declareInplace(docOf('igammac', 'Regularized upper incomplete gamma function'), tensorOverload('igammac', igammacCall)),
  erf: unary('erf', 'Error function', (x) => x.scalar('erf'), real('erf_vml_cpu')),
  erfc: unary('erfc', '1 - erf(self), accurate where it is small', (x) => x.scalar('erfc'), real('erfc_vml_cpu')),
  erfinv: unary('erfinv', 'Inverse of erf', (x) => x.scalar('erfinv'), real('erfinv_vml_cpu')),
};
