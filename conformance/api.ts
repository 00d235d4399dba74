/**
 * The library as the harness sees it: names looked up by path in what `src/index.ts` exports, never imported one by one, so that a
 * missing name is a failed record and not a harness that does not compile.
 */
import torch, { nn, optim, Tensor } from '../src/index.ts';

export { Tensor };
export type Callable = (...args: unknown[]) => unknown;

const root: Record<string, unknown> = Object.assign(Object.create(torch as unknown as object) as Record<string, unknown>, { nn, optim });
const prototype = Tensor.prototype as unknown as Record<string, unknown>;

/** What is at a path below `torch` (`linalg.svd`, `nn.Linear`), or undefined. */
export function lookup(path: string): unknown {
  let at: unknown = root;
  for (const part of path.split('.')) {
    if ((typeof at !== 'object' && typeof at !== 'function') || at === null) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}

/** Functions are callables that are neither classes nor dtypes. */
export function lookupFunction(path: string): Callable | undefined {
  const found = lookup(path);
  return typeof found === 'function' ? (found as Callable) : undefined;
}

export function methodOf(name: string): Callable | undefined {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
  return typeof descriptor?.value === 'function' ? (descriptor.value as Callable) : undefined;
}
export const hasProperty = (name: string): boolean => Object.getOwnPropertyDescriptor(prototype, name)?.get !== undefined;

/** Is there anything under this public name? For FEATURES.md. */
export function isPresent(namespace: string, name: string): boolean {
  if (namespace === 'Tensor') return name in prototype;
  const path = namespace === 'torch' ? name : namespace === 'lr_scheduler' ? `optim.lr_scheduler.${name}` : `${namespace}.${name}`;
  return lookup(path) !== undefined;
}

export class NotThere extends Error {
  constructor(path: string) {
    super(`not there: torch.${path}`);
  }
}

export function need(path: string): Callable {
  const f = lookupFunction(path);
  if (f === undefined) throw new NotThere(path);
  return f;
}
export function needMethod(name: string): Callable {
  const f = methodOf(name);
  if (f === undefined) throw new NotThere(`Tensor.${name}`);
  return f;
}

// ---- the few names that the harness itself cannot do without

interface Handle {
  readonly shape: number[];
  readonly dtype: { readonly name: string };
  requires_grad: boolean;
  requires_grad_(value?: boolean): unknown;
  detach(): Handle;
  clone(): Handle;
  reshape(...size: unknown[]): Handle;
  transpose(a: number, b: number): Handle;
  numpy_async(): Promise<ArrayBufferView>;
  copy_(other: Handle): Handle;
  grad: Handle | null;
}
/** A tensor whose operators are looked up by name. */
export type AnyTensor = Handle;

interface Core {
  frombuffer(bytes: Uint8Array, options: { dtype: unknown; device: string }): AnyTensor;
  manual_seed(seed: number | bigint): unknown;
  set_default_device(device: string): void;
  no_grad<T>(body: () => T): T;
  autograd: {
    grad(
      outputs: readonly AnyTensor[],
      inputs: readonly AnyTensor[],
      gradients: readonly (AnyTensor | null)[],
      options: { allow_unused: boolean },
    ): readonly (AnyTensor | null)[];
  };
  scalar(value: number, dtype: unknown): unknown;
  float32: unknown;
}
export const core = torch as unknown as Core;
export const isTensor = (x: unknown): x is AnyTensor => x instanceof Tensor;

export function dtypeNamed(name: string): unknown {
  const found = lookup(name);
  if (found === undefined || typeof found !== 'object') throw new NotThere(name);
  return found;
}
