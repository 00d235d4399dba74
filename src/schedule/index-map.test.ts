/** Index algebra under a condition: what a pad's guard knows lets quotients and remainders go. */
import { expect, test } from 'vitest';
import type { Axis } from '../kernel/ir.ts';
import { addIndex, axisIndex, constantIndex, delinearize, type LoopAxis, linear, within, withoutConditions } from './index-map.ts';

const axis = (id: number, extent: number): LoopAxis => ({ id, extent, axis: { id } as unknown as Axis });
const [row, column] = [axis(0, 96), axis(1, 288)];

test('a part of a row that a condition bounds keeps the row and the place in it apart', () => {
  const part = within(addIndex(axisIndex(column), constantIndex(-96)), 96);
  const [i, head, j] = delinearize(linear([axisIndex(row), part], [96, 1]), [96, 3, 32]);
  expect(i.key).toBe(axisIndex(row).key);
  // Read at row * 32 + place in the head + head * 3072, with no trace of the condition.
  const flat = withoutConditions(linear([i, head, j], [32, 3072, 1]));
  expect(flat.terms.map((t) => t.atom.kind).sort()).toEqual(['axis', 'quotient', 'remainder']);
  expect(flat.key).not.toContain('<');
  expect(flat.key).toContain('(a1*1+-96)/32*3072');
});

test('without the condition the row would be lost in a remainder', () => {
  const [i] = delinearize(linear([axisIndex(row), addIndex(axisIndex(column), constantIndex(-96))], [96, 1]), [96, 3, 32]);
  expect(i.key).not.toBe(axisIndex(row).key);
});

test('what is within its bounds anyway stays as it is', () => {
  const index = axisIndex(row);
  expect(within(index, 96)).toBe(index);
  expect(withoutConditions(index)).toBe(index);
});
