/** Cholesky: L of A = L L^H, read from the lower triangle. */
import { dotted, innerProduct, type Matrix } from './matrix.ts';

/** In place, zeros above; 0, or the order of the first leading minor that is not positive. */
export function factorCholesky(a: Matrix): number {
  const { rows: n, re, im } = a;
  let info = 0;
  for (let i = 0; i < n && info === 0; i++) {
    for (let j = 0; j <= i; j++) {
      const at = i * n + j;
      innerProduct(a, j * n, a, i * n, j);
      const x = re[at] - dotted[0];
      if (i !== j) {
        const d = re[j * n + j];
        re[at] = x / d;
        if (im !== null) im[at] = (im[at] - dotted[1]) / d;
      } else {
        if (!(x > 0)) {
          info = i + 1;
          break;
        }
        re[at] = Math.sqrt(x);
        if (im !== null) im[at] = 0;
      }
    }
  }
  for (let i = 0; i < n; i++) {
    re.fill(0, i * n + i + 1, (i + 1) * n);
    im?.fill(0, i * n + i + 1, (i + 1) * n);
  }
  return info;
}
