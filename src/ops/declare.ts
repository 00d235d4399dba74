/**
 * How an operator is declared: schemas, what a call does, doc. Everything else follows from the table: `torch.name`, the method, the in-place
 * twin `name_`, the types of both.
 */

import { Tensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { type BoundArguments, bindArguments } from './bind.ts';
import { parseSchema, type Schema, type SchemaFunction, type SchemaMethod } from './schema.ts';

export interface Overload<S extends string = string> {
  readonly schema: S;
  readonly parsed: Schema;
  readonly call: (...args: never[]) => unknown;
}

/** One overload: a PyTorch schema and what a call does with the bound arguments, in the schema's order. */
export function overload<const S extends string>(
  schema: S,
  call: (...args: Extract<BoundArguments<S>, readonly unknown[]>) => unknown,
): Overload<S> {
  return { schema, parsed: parseSchema(schema), call: call as (...args: never[]) => unknown };
}

export interface DeclarationOptions {
  readonly doc: string;
  /** Where it is reachable; default both. */
  readonly as?: 'both' | 'function' | 'method';
  /** `x.name_()` exists. */
  readonly inplace?: boolean;
}

export interface Declaration<S extends readonly string[] = readonly string[]> extends DeclarationOptions {
  readonly overloads: readonly Overload[];
  /** Only a carrier of the schema types. */
  readonly schemas: S;
}

/** Declares an operator. */
export function declare<const L extends readonly Overload[]>(
  options: DeclarationOptions,
  ...overloads: L
): Declaration<{ readonly [I in keyof L]: L[I] extends Overload<infer S> ? S : never }> & typeof options {
  return { ...options, overloads, schemas: overloads.map((o) => o.schema) as never };
}

/** The same, for an operator that has an in-place twin. */
export function declareInplace<const L extends readonly Overload[]>(
  options: DeclarationOptions,
  ...overloads: L
): Declaration<{ readonly [I in keyof L]: L[I] extends Overload<infer S> ? S : never }> & { readonly inplace: true } {
  return { ...options, inplace: true, overloads, schemas: overloads.map((o) => o.schema) as never };
}

export type Table = Readonly<Record<string, Declaration>>;

export type TableFunctions<T extends Table> = {
  readonly [K in keyof T as T[K]['as'] extends 'method' ? never : K]: SchemaFunction<T[K]['schemas']>;
};
export type TableMethods<T extends Table> = { [K in keyof T]: SchemaMethod<T[K]['schemas']> } & {
  [K in keyof T & string as T[K] extends { readonly inplace: true } ? `${K}_` : never]: SchemaMethod<T[K]['schemas']>;
};

/** The callable of a declaration. */
export function callable(name: string, declaration: Declaration): (...args: unknown[]) => unknown {
  const { overloads } = declaration;
  const call =
    overloads.length === 1
      ? (...args: unknown[]): unknown => overloads[0].call(...(bindArguments(name, overloads, args, 0) as never[]))
      : (...args: unknown[]): unknown => {
          for (let i = 0; i < overloads.length - 1; i++) {
            const bound = bindArguments(name, overloads, args, i, true);
            if (bound !== null) return overloads[i].call(...(bound as never[]));
          }
          return overloads[overloads.length - 1].call(...(bindArguments(name, overloads, args, overloads.length - 1) as never[]));
        };
  Object.defineProperty(call, 'name', { value: name });
  return call;
}

/** Adds the operators of a table to a namespace object and to the Tensor prototype. */
export function install(table: Table, namespace: Record<string, unknown>): void {
  for (const [name, declaration] of Object.entries(table)) {
    const f = callable(name, declaration);
    if (declaration.as !== 'method') namespace[name] = f;
    if (declaration.as === 'function') continue;
    const prototype = Tensor.prototype as unknown as Record<string, unknown>;
    prototype[name] = function (this: Tensor, ...args: unknown[]): unknown {
      return f(this, ...args);
    };
    if (declaration.inplace)
      prototype[`${name}_`] = function (this: Tensor, ...args: unknown[]): Tensor {
        return writeInto(this, () => f(this, ...args) as Tensor);
      };
  }
}
