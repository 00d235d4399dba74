/** Numbers as Python writes them, for the text of modules. */
export function pythonFloat(x: number): string {
  if (Number.isInteger(x) && Math.abs(x) < 1e16) return `${x}.0`;
  const text = Math.abs(x) !== 0 && Math.abs(x) < 1e-4 ? x.toExponential() : `${x}`;
  return text.replace(/e([+-])(\d)$/, 'e$10$2');
}
export const pythonBool = (x: boolean): string => (x ? 'True' : 'False');
export const pythonTuple = (xs: readonly number[]): string => (xs.length === 1 ? `(${xs[0]},)` : `(${xs.join(', ')})`);
