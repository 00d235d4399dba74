/**
 * d x / d alpha of a Gamma(alpha, 1) number x at a fixed quantile, as PyTorch computes it: a Taylor series of the distribution function for small x,
 * Rice's saddle point expansion for large alpha, a rational fit in log(x / alpha) and log(alpha) between.
 */
import { digamma } from '../../kernel/special-reference.ts';

const fit: readonly (readonly number[])[] = [
  [0.16009398, -0.094634809, 0.025146376, -0.0030648343, 1, 0.32668115, 0.10406089, 0.0014179084],
  [0.53487893, 0.1298071, 0.065735949, -0.0015649758, 0.16639465, 0.020070113, -0.0035938915, -0.00058392623],
  [0.040121004, -0.0065914022, -0.0026286047, -0.0013441777, 0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-7],
];

export function standardGammaGradient(alpha: number, x: number): number {
  if (x < 0.8) return taylor(alpha, x);
  if (alpha > 8) return saddlePoint(alpha, x);
  const u = Math.log(x / alpha);
  const v = Math.log(alpha);
  const c = fit[0].map((c0, i) => c0 + u * (fit[1][i] + u * fit[2][i]));
  const p = c[0] + v * (c[1] + v * (c[2] + v * c[3]));
  const q = c[4] + v * (c[5] + v * (c[6] + v * c[7]));
  return Math.exp(p / q);
}

function taylor(alpha: number, x: number): number {
  let numerator = 1;
  let denominator = alpha;
  let first = numerator / denominator;
  let second = numerator / (denominator * denominator);
  for (let i = 1; i <= 5; i++) {
    numerator *= -x / i;
    denominator += 1;
    first += numerator / denominator;
    second += numerator / (denominator * denominator);
  }
  const power = x ** alpha;
  const density = x ** (alpha - 1) * Math.exp(-x);
  const slope = (Math.log(x) - digamma(alpha)) * power * first - power * second;
  const result = -slope / density;
  return Number.isNaN(result) ? 0 : result;
}

function saddlePoint(alpha: number, x: number): number {
  if (0.9 * alpha <= x && x <= 1.1 * alpha) {
    const a = 1 + 24 * alpha * (1 + 12 * alpha);
    const b = 1440 * alpha * alpha + 6 * x * (53 - 120 * x) - (65 * x * x) / alpha + alpha * (107 + 3600 * x);
    return (a * b) / (1244160 * alpha ** 4);
  }
  const denominator = Math.sqrt(8 * alpha);
  const second = denominator / (alpha - x);
  const third = (x - alpha - alpha * Math.log(x / alpha)) ** -1.5;
  const both = x < alpha ? second - third : second + third;
  const first = Math.log(x / alpha) * both - (Math.sqrt(2 / alpha) * (alpha + x)) / ((alpha - x) * (alpha - x));
  const stirling = 1 + (1 / (12 * alpha)) * (1 + 1 / (24 * alpha));
  return (-stirling * x * first) / denominator;
}
