/** Greatest common divisors by Euclid's algorithm, for every integer dtype; results wrap like the dtype. */

export function gcdNumber(a: number, b: number): number {
  let [x, y] = [Math.abs(a), Math.abs(b)];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}
export function gcdBig(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}
export function lcmNumber(a: number, b: number): number {
  const g = gcdNumber(a, b);
  return g === 0 ? 0 : Math.abs(Math.imul(a / g, b));
}
export function lcmBig(a: bigint, b: bigint): bigint {
  const g = gcdBig(a, b);
  if (g === 0n) return 0n;
  const product = BigInt.asIntN(64, (a / g) * b);
  return product < 0n ? -product : product;
}
