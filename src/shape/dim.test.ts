import { describe, expect, test } from 'vitest';
import { add, divideTerms, equal, exactQuotient, mul, sub, symbol } from './dim.ts';

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
