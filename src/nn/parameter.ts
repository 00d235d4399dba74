/** Parameter: a leaf tensor that requires grad and that a Module registers when it is one of its fields. A brand, not a class of its own. */

import { type DType, getDefaultDtype } from '../dtype/dtype.ts';
import { castTo } from '../ops/conversion.ts';
import { fromBytes } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';

const parameters = new WeakSet<object>();
const inspect = Symbol.for('nodejs.util.inspect.custom');

function parameterText(this: Tensor): string {
  return `Parameter containing:\n${this.toString()}`;
}

export type Parameter = Tensor;
interface ParameterClass {
  new (data: Tensor, requires_grad?: boolean): Parameter;
  [Symbol.hasInstance](x: unknown): x is Parameter;
}
export const isParameter = (x: unknown): x is Parameter => typeof x === 'object' && x !== null && parameters.has(x);

function makeParameter(data: Tensor, requires_grad = true): Parameter {
  const out = data.detach() as Tensor;
  parameters.add(out);
  Object.defineProperty(out, inspect, { value: parameterText, configurable: true });
  return out.requires_grad_(requires_grad);
}
/** https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html */
export const Parameter: ParameterClass = Object.defineProperty(
  function Parameter(data: Tensor, requires_grad?: boolean): Parameter {
    return makeParameter(data, requires_grad);
  },
  Symbol.hasInstance,
  { value: isParameter },
) as unknown as ParameterClass;

export interface FactoryOptions {
  readonly dtype?: DType | null;
  readonly device?: string | null;
}

/** A parameter of zeros, to be initialized. */
export function emptyParameter(shape: readonly number[], { dtype, device }: FactoryOptions = {}): Parameter {
  const of = dtype ?? getDefaultDtype();
  shape.forEach((size, i) => {
    if (!Number.isInteger(size))
      throw new TypeError(
        `empty(): argument 'size' (position 1) must be tuple of ints, but found element of type ${typeof size} at pos ${i}`,
      );
    if (size < 0) throw new Error(`Trying to create tensor with negative dimension ${size}: [${shape.join(', ')}]`);
  });
  const count = shape.reduce((n, d) => n * d, 1);
  return makeParameter(fromBytes(new Uint8Array(count * of.itemsize), shape, of, device) as Tensor);
}

/** Gives a tensor another device or dtype without changing its identity, as `module.to` does. */
export function moveInPlace(t: Tensor, moved: Tensor): void {
  if (moved === t) return;
  const requires = t.requires_grad;
  if (requires) t.requires_grad_(false);
  t.storage = moved.storage;
  t.view_ = moved.view_;
  t.offset = moved.offset;
  t.version = moved.version;
  if (requires) t.requires_grad_(true);
}
export const castOf = (t: Tensor, dtype: DType): Tensor => castTo(t, dtype) as Tensor;
