/** Sizes of windows, strides and paddings in module arguments, and how PyTorch writes values in a module's text. */

import { pythonFloat } from './repr.ts';

/** One number for all dims, or one for each. */
export type Size = number | readonly number[];

/** `n` numbers: one is repeated, a list is taken as it is. */
export const ntuple = (value: Size, n: number): number[] => (typeof value === 'number' ? Array<number>(n).fill(value) : [...value]);

/** `output_size` of a forward call: by position, or by name in an options object. */
export type OutputSizeArgument = readonly number[] | null | { readonly output_size?: readonly number[] | null };
export const outputSizeOf = (given: OutputSizeArgument): readonly number[] | null =>
  given === null || Array.isArray(given) ? given : ((given as { readonly output_size?: readonly number[] | null }).output_size ?? null);

/** Python's text of a value: (3, 3), (3,), True, None, 'zeros', 2. */
export function repr(value: unknown): string {
  if (Array.isArray(value)) return value.length === 1 ? `(${repr(value[0])},)` : `(${value.map(repr).join(', ')})`;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value === null || value === undefined) return 'None';
  return typeof value === 'string' ? `'${value}'` : String(value);
}
/** Of a Python float: 2.0. */
export function reprFloat(value: unknown): string {
  if (Array.isArray(value)) return value.length === 1 ? `(${reprFloat(value[0])},)` : `(${value.map(reprFloat).join(', ')})`;
  return typeof value === 'number' ? pythonFloat(value) : repr(value);
}
/** `a=1, b=(2, 2)` of an object's fields. */
export const reprFields = (fields: Readonly<Record<string, unknown>>): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${repr(value)}`)
    .join(', ');
