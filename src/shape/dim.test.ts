import { describe, expect, test } from 'vitest';
import { add, boundOf, divideTerms, equal, exactQuotient, isMonotone, mul, quotient, sub, symbol } from './dim.ts';

const a = symbol(0);
const b = symbol(1);

describe('division of dims', () => {
  test('a divisor of several terms divides exactly what it was multiplied into', () => {
    const width = sub(b, 2);
    expect(equal(exactQuotient(mul(a, width), width)!, a)).toBe(true);
    const square = mul(add(a, 1), add(a, 1));
    expect(equal(exactQuotient(square, add(a, 1))!, add(a, 1))).toBe(true);
    expect(exactQuotient(add(mul(a, width), 1), width)).toBeNull();
  });
  test('terms that divide are taken out, and a number leaves no negative rest', () => {
    const { whole, rest } = divideTerms(add(mul(a, -3), 2), 2);
    expect(equal(whole, add(mul(a, -2), 1))).toBe(true);
    expect(equal(rest, a)).toBe(true);
    const parts = divideTerms(add(mul(a, b), 5), b);
    expect(equal(parts.whole, a)).toBe(true);
    expect(parts.rest).toBe(5);
  });
});

describe('bounds of symbols', () => {
  test('lie at most an eighth above, are few, and bound themselves', () => {
    const bounds = new Set<number>();
    for (let n = 0; n <= 4096; n++) {
      const bound = boundOf(n);
      expect(bound >= n && bound <= n * 1.125 && boundOf(bound) === bound).toBe(true);
      bounds.add(bound);
    }
    expect(bounds.size).toBeLessThan(17 + 8 * 8 + 1);
  });
  test('serve sizes that grow with every symbol, and no others', () => {
    expect([5, a, add(mul(a, b), 3), sub(a, 1)].map(isMonotone)).toEqual([true, true, true, true]);
    expect([sub(a, b), mul(a, -2), quotient(a, 3)].map(isMonotone)).toEqual([false, false, false]);
  });
});
