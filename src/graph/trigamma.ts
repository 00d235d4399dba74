/** The derivative of digamma, over primitives: six steps of the recurrence, then its asymptotic series; reflected below 1/2 (as PyTorch). */
import { constant, type Prim } from './prim.ts';

const over = (value: number, p: Prim): Prim => constant(value, p.dtype).div(p);
const square = (p: Prim): Prim => p.mul(p);

export function trigamma(x: Prim): Prim {
  const low = x.lt(0.5);
  let y = low.where(x.neg().add(1), x);
  const reflection = over(Math.PI * Math.PI, square(x.mul(Math.PI).scalar('sin')));
  let sum = low.where(reflection.neg(), constant(0, x.dtype));
  for (let i = 0; i < 6; i++) {
    sum = sum.add(over(1, square(y)));
    y = y.add(1);
  }
  const inverse = over(1, square(y));
  const series = inverse.mul(
    inverse
      .mul(inverse.mul(-1 / 42).add(1 / 30))
      .neg()
      .add(1 / 6),
  );
  sum = sum.add(over(0.5, y).add(1).add(series).div(y));
  return low.where(sum.neg(), sum);
}
