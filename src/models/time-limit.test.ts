import { expect, test } from 'vitest';
import { withTimeLimit } from './time-limit.ts';

const late = (): Error => new RangeError('too late');

test('gives what the work gives, and throws what it throws', () => {
  expect(withTimeLimit(() => [1, 2], 1000, late)).toEqual([1, 2]);
  expect(() =>
    withTimeLimit(
      () => {
        throw new TypeError('mine');
      },
      1000,
      late,
    ),
  ).toThrow(TypeError);
});

test('ends a loop, a regular expression, and work within work', () => {
  const forever = (): never => {
    for (;;);
  };
  expect(() => withTimeLimit(forever, 30, late)).toThrow(new RangeError('too late'));
  expect(() => withTimeLimit(() => /^(a+)+$/u.test(`${'a'.repeat(50)}b`), 30, late)).toThrow('too late');
  const inner = (): string => {
    try {
      return withTimeLimit(forever, 30, late);
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(withTimeLimit(inner, 5000, () => new Error('the outer one'))).toBe('too late');
});
