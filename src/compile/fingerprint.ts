/** A text that is equal for plans which differ in numbers only: objects by identity, views and dtypes by what they are. */
import { DType } from '../dtype/dtype.ts';
import { View } from '../shape/view.ts';

const ids = new WeakMap<object, number>();
let next = 1;
function idOf(x: object): number {
  let id = ids.get(x);
  if (id === undefined) {
    id = next++;
    ids.set(x, id);
  }
  return id;
}

const isPlain = (x: object): boolean => {
  const prototype = Object.getPrototypeOf(x);
  return Array.isArray(x) || prototype === Object.prototype || prototype === null;
};

export function fingerprintOf(x: unknown): string {
  const parts: string[] = [];
  const put = (y: unknown, depth: number): void => {
    if (typeof y === 'function') parts.push(`#${idOf(y)}`);
    else if (typeof y !== 'object' || y === null) parts.push(typeof y === 'string' ? JSON.stringify(y) : String(y));
    else if (y instanceof View) parts.push(`v${y.id}`);
    else if (y instanceof DType) parts.push(y.name);
    else if (Array.isArray(y)) {
      parts.push('[');
      for (const z of y) put(z, depth + 1);
      parts.push(']');
    } else if (!isPlain(y) || depth > 10 || 'operator' in y) parts.push(`#${idOf(y)}`);
    else {
      parts.push('{');
      for (const name of Object.keys(y)) {
        parts.push(name);
        put((y as Record<string, unknown>)[name], depth + 1);
      }
      parts.push('}');
    }
  };
  put(x, 0);
  return parts.join(' ');
}
