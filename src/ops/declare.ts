/**
 * How an operator is declared: schemas, what a call does, doc. Everything else follows from the table: `torch.name`, the method, the in-place
 * twins `name_` of both, their types.
 */

import { autocastMode, withoutAutocast } from '../autograd/autocast-mode.ts';
import { modes } from '../autograd/modes.ts';
import { writingOut } from '../tensor/overlap.ts';
import { Tensor } from '../tensor/tensor.ts';
import { writeInto, writeOut } from '../tensor/write.ts';
import { callUnderAutocast } from './autocast.ts';
import { type Binding, type BoundArguments, bindArguments, bindingOf } from './bind.ts';
import { Memory } from './recall.ts';
import { parseSchema, type Schema, type SchemaFunction, type SchemaMethod } from './schema.ts';
import { provide } from './use.ts';

export interface Overload<S extends string = string> {
  readonly schema: S;
  readonly parsed: Schema;
  readonly binding: Binding;
  readonly call: (...args: never[]) => unknown;
}

/** One overload: a PyTorch schema and what a call does with the bound arguments, in the schema's order. */
export function overload<const S extends string>(
  schema: S,
  call: (...args: Extract<BoundArguments<S>, readonly unknown[]>) => unknown,
): Overload<S> {
  const parsed = parseSchema(schema);
  return { schema, parsed, binding: bindingOf(parsed), call: call as (...args: never[]) => unknown };
}

export interface DeclarationOptions {
  readonly doc: string;
  /** Where it is reachable; default both. */
  readonly as?: 'both' | 'function' | 'method';
  /** `x.name_()` exists, and `torch.name_(x)`. */
  readonly inplace?: boolean;
  /** Reachable as `nn.functional.name` too. */
  readonly functional?: boolean;
}

export interface Declaration<S extends readonly string[] = readonly string[]> extends DeclarationOptions {
  readonly overloads: readonly Overload[];
  /** Only a carrier of the schema types. */
  readonly schemas: S;
}

type SchemasOf<L extends readonly Overload[]> = { readonly [I in keyof L]: L[I] extends Overload<infer S> ? S : never };

/** Declares an operator. */
export function declare<const O extends DeclarationOptions, const L extends readonly Overload[]>(
  options: O,
  ...overloads: L
): Declaration<SchemasOf<L>> & O {
  return { ...options, overloads, schemas: overloads.map((o) => o.schema) as never };
}

/** The same, for an operator that has an in-place twin. */
export function declareInplace<const O extends DeclarationOptions, const L extends readonly Overload[]>(
  options: O,
  ...overloads: L
): Declaration<SchemasOf<L>> & O & { readonly inplace: true } {
  return { ...options, inplace: true, overloads, schemas: overloads.map((o) => o.schema) as never };
}

export type Table = Readonly<Record<string, Declaration>>;

export type TableFunctions<T extends Table> = {
  readonly [K in keyof T as T[K] extends { readonly as: 'method' } ? never : K]: SchemaFunction<T[K]['schemas']>;
} & {
  readonly [K in keyof T & string as T[K] extends { readonly inplace: true }
    ? T[K] extends { readonly as: 'method' }
      ? never
      : `${K}_`
    : never]: SchemaFunction<T[K]['schemas']>;
};
export type TableMethods<T extends Table> = {
  [K in keyof T as T[K] extends { readonly as: 'function' } ? never : K]: SchemaMethod<T[K]['schemas']>;
} & {
  [K in keyof T & string as T[K] extends { readonly inplace: true } ? `${K}_` : never]: SchemaMethod<T[K]['schemas']>;
};
/** Operators of a table that `nn.functional` has too. */
export type FunctionalTwins<T extends Table> = {
  readonly [K in keyof T as T[K] extends { readonly functional: true } ? K : never]: SchemaFunction<T[K]['schemas']>;
};

/** The callable of a declaration: picks the overload, names several results, writes into `out`. `path` is its name below `torch`. */
export function callable(name: string, declaration: Declaration, path = name): (...args: unknown[]) => unknown {
  const { overloads } = declaration;
  const names = resultNames(overloads[0].parsed.returns);
  const ownOut = overloads.some((o) => o.parsed.params.some((p) => p.name === 'out'));
  const final = overloads.length - 1;
  const memory = new Memory(name);
  const run = (chosen: Overload, bound: readonly unknown[]): unknown =>
    autocastMode.active ? callUnderAutocast(path, chosen, bound) : chosen.call(...(bound as never[]));
  const dispatch = (args: readonly unknown[]): unknown => {
    for (let i = 0; i < final; i++) {
      const bound = bindArguments(name, overloads, args, i, true);
      if (bound !== null) return run(overloads[i], bound);
    }
    return run(overloads[final], bindArguments(name, overloads, args, final)!);
  };
  const invoke = (args: readonly unknown[]): unknown => {
    const last = args[args.length - 1];
    const out = ownOut || typeof last !== 'object' || last === null || last instanceof Tensor ? null : (last as { out?: unknown }).out;
    const result =
      out === null || out === undefined
        ? autocastMode.active
          ? dispatch(args)
          : memory.call(args, dispatch)
        : callWithOut(name, dispatch, args, out);
    return names === null || !Array.isArray(result) ? result : nameResults(name, result, names);
  };
  const call = (...args: unknown[]): unknown => invoke(args);
  Object.defineProperty(call, 'name', { value: name });
  Object.defineProperty(call, 'schemas', { value: overloads.map((o) => o.parsed) });
  methods.set(call, function method(this: Tensor, ...rest: unknown[]): unknown {
    // One list: spreading `this` and the rest into a call would make it twice.
    const args = new Array<unknown>(rest.length + 1);
    args[0] = this;
    for (let i = 0; i < rest.length; i++) args[i + 1] = rest[i];
    return invoke(args);
  });
  return call;
}
/** The method of a callable. */
const methods = new WeakMap<object, (this: Tensor, ...args: unknown[]) => unknown>();

const inspect = Symbol.for('nodejs.util.inspect.custom');

/** `(Tensor values, Tensor indices)` -> their names; null for one result or nameless ones. */
function resultNames(returns: string): readonly string[] | null {
  if (!returns.startsWith('(')) return null;
  const names = returns
    .slice(1, -1)
    .split(', ')
    .map((part) => part.split(' ')[1] ?? '');
  return names.every((n) => n !== '') ? names : null;
}
function nameResults(call: string, results: unknown[], names: readonly string[]): unknown[] {
  // As Python shows them: `torch.return_types.max(` and a line for each.
  const show = (): string => `torch.return_types.${call.replace('.', '_')}(\n${names.map((n, i) => `${n}=${results[i]}`).join(',\n')})`;
  Object.defineProperty(results, inspect, { value: show, configurable: true });
  names.forEach((n, i) => {
    Object.defineProperty(results, n, { value: results[i], configurable: true });
  });
  return results;
}

/** The results are computed, then written into `out`, which takes their shape if it has another. */
function callWithOut(name: string, dispatch: (args: readonly unknown[]) => unknown, args: readonly unknown[], out: unknown): unknown {
  const { out: _, ...options } = args[args.length - 1] as Record<string, unknown>;
  const rest = Object.keys(options).length === 0 ? args.slice(0, -1) : [...args.slice(0, -1), options];
  const several = Array.isArray(out);
  const targets: unknown[] = several ? out : [out];
  for (const t of targets)
    if (!(t instanceof Tensor)) throw new TypeError(`${name}(): argument 'out' must be Tensor, not ${t === null ? 'NoneType' : typeof t}`);
  const tensors = [...rest, ...rest.filter(Array.isArray).flat(), ...Object.values(options), ...targets];
  if (modes.grad && tensors.some((t) => t instanceof Tensor && t.requires_grad))
    throw new Error(
      `${name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.`,
    );
  const made = writingOut(targets as Tensor[], () => withoutAutocast(() => dispatch(rest)));
  const results = (Array.isArray(made) ? made : [made]) as Tensor[];
  if (results.length !== targets.length)
    throw new TypeError(`${name}(): argument 'out' must be a list of ${results.length} tensors, not ${targets.length}`);
  results.forEach((r, i) => {
    writeOut(targets[i] as Tensor, r);
  });
  return out;
}

/** Adds the operators of a table to a namespace object and, unless it is a namespace of functions only, to the Tensor prototype. */
export function install(table: Table, namespace: Record<string, unknown>, prefix = '', twins?: Record<string, unknown>): void {
  for (const [name, declaration] of Object.entries(table)) {
    const f = callable(name, declaration, prefix + name);
    provide(prefix + name, f);
    if (declaration.as !== 'method') namespace[name] = f;
    if (declaration.functional && twins) {
      twins[name] = f;
      provide(`nn.functional.${name}`, f);
    }
    if (declaration.inplace && declaration.as !== 'method')
      namespace[`${name}_`] = (self: Tensor, ...args: unknown[]): Tensor => writeInto(self, () => f(self, ...args) as Tensor);
    if (declaration.as === 'function' || prefix !== '') continue;
    const prototype = Tensor.prototype as unknown as Record<string, unknown>;
    prototype[name] = methods.get(f)!;
    if (declaration.inplace)
      prototype[`${name}_`] = function (this: Tensor, ...args: unknown[]): Tensor {
        return writeInto(this, () => f(this, ...args) as Tensor);
      };
  }
}
