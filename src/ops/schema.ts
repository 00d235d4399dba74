/**
 * PyTorch's schema texts, read twice: by TypeScript's type system (argument and result types of functions and methods) and at run time
 * (argument binding). `add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor` is all that an operator says of its signature.
 *
 * A call may give any parameter by position or in one trailing options object, as in Python. Parameters behind `*` are options only.
 */
import type { DType } from '../dtype/dtype.ts';
import type { Generator } from '../random/generator.ts';
import type { Tensor as CoreTensor } from '../tensor/tensor.ts';
import type { Tensor } from './methods.ts';
import type { ScalarArgument } from './scalar-argument.ts';

// ---- types

export type Scalar = ScalarArgument;

/** `T` is what a Tensor is here: the public interface for callers, the handle without operators for declarations (whose types must not depend on themselves). */
interface TypeNames<T> {
  Tensor: T;
  'Tensor[]': readonly T[];
  'Tensor?[]': readonly (T | null)[];
  /** One tensor or several, as flags say. */
  TensorOrTensors: T & readonly T[];
  Scalar: Scalar;
  int: number;
  SymInt: number;
  float: number;
  bool: boolean;
  str: string;
  ScalarType: DType;
  Device: string;
  Layout: string;
  MemoryFormat: string;
  Generator: Generator;
  Size: readonly number[];
  'int[]': readonly number[];
  'SymInt[]': readonly number[];
  'int?[]': readonly (number | null)[];
  'int[][]': readonly (readonly number[])[];
  /** Dims of an operand of `einsum`: numbers, and '...'. */
  Subscripts: readonly (number | '...')[];
  'float[]': readonly number[];
  'bool[]': readonly boolean[];
  'Scalar[]': readonly Scalar[];
}

type Trim<S extends string> = S extends ` ${infer R}` ? Trim<R> : S extends `${infer R} ` ? Trim<R> : S;
type Unsized<S extends string> = S extends `${infer A}[${number}]${infer B}` ? `${A}[]${B}` : S;
type Plain<S extends string> = S extends `${infer A}(${string})${infer B}` ? `${A}${B}` : S;
/** A bare number may stand for `int[1]`-like lists, as in PyTorch. */
type ListOrOne<S extends string, L> = S extends `${string}[${number}]` ? (L extends readonly (infer U)[] ? L | U : L) : L;
type TypeOf<S extends string, T> = S extends `${infer Base}?`
  ? TypeOf<Base, T> | null
  : Unsized<Plain<S>> extends infer K extends keyof TypeNames<T>
    ? ListOrOne<Plain<S>, TypeNames<T>[K]>
    : unknown;

type Split<S extends string> = S extends `${infer A}, ${infer B}` ? [A, ...Split<B>] : S extends '' ? [] : [S];
interface Parameter<N extends string, T, Optional extends boolean, KeywordOnly extends boolean> {
  name: N;
  type: T;
  optional: Optional;
  keyword: KeywordOnly;
}
type ParseOne<S extends string, K extends boolean, T> =
  Trim<S> extends `${infer P} ${infer N}=${string}`
    ? Parameter<N, TypeOf<P, T>, true, K>
    : Trim<S> extends `${infer P} ${infer N}`
      ? Parameter<N, TypeOf<P, T>, false, K>
      : never;
type ParseAll<L extends readonly string[], K extends boolean, T> = L extends readonly [infer H extends string, ...infer R extends string[]]
  ? Trim<H> extends '*'
    ? ParseAll<R, true, T>
    : [ParseOne<H, K, T>, ...ParseAll<R, K, T>]
  : [];
type ParamsText<S extends string> = S extends `${string}(${infer P}) -> ${string}` ? P : never;
type Params<S extends string, T> = ParseAll<Split<ParamsText<S>>, false, T>;
type AnyParameter = Parameter<string, unknown, boolean, boolean>;

type Options<P extends readonly AnyParameter[]> = {
  [X in P[number] as X['optional'] extends true ? X['name'] : never]?: X['type'] | undefined;
} & {
  [X in P[number] as X['optional'] extends true ? never : X['name']]: X['type'];
};
/** All ways to give parameters: the first few by position, the rest in the options object (omitted if nothing there is required). */
type Calls<P extends readonly AnyParameter[], Given extends readonly unknown[] = []> =
  | [...Given, ...Trailing<P>]
  | Spread<P, Given>
  | (P extends readonly [infer H extends AnyParameter, ...infer R extends AnyParameter[]]
      ? H['keyword'] extends true
        ? never
        : Calls<R, [...Given, H['type'] | (H['optional'] extends true ? undefined : never)]>
      : never);
/** A list of sizes or tensors that only keywords follow may be spread: zeros(2, 3, { dtype }), meshgrid(x, y). */
type Spread<P extends readonly AnyParameter[], Given extends readonly unknown[]> = P extends readonly [
  infer H extends AnyParameter,
  ...infer R extends AnyParameter[],
]
  ? R[number]['keyword'] extends true
    ? readonly number[] extends H['type']
      ? number extends H['type']
        ? never
        : [...Given, ...number[]] | [...Given, ...number[], Options<R>]
      : H['type'] extends readonly Tensor[]
        ? Tensor extends H['type']
          ? never
          : [...Given, ...H['type'][number][]] | [...Given, ...H['type'][number][], Options<R>]
        : never
    : never
  : never;
type Trailing<P extends readonly AnyParameter[]> = P extends readonly []
  ? []
  : object extends Options<P>
    ? [options?: Options<P>]
    : [options: Options<P>];

type ResultOne<S extends string> =
  Trim<Plain<Trim<S>> extends `${infer T} ${string}` ? T : Plain<Trim<S>>> extends infer T extends string ? TypeOf<T, Tensor> : never;
type Results<L extends readonly string[]> = { -readonly [I in keyof L]: ResultOne<L[I]> };
/** Several results are an array that knows its results' names too: `x.max(0).values`. */
type NamedResults<L extends readonly string[]> = {
  readonly [P in L[number] as Trim<P> extends `${string} ${infer N}` ? N : never]: ResultOne<P>;
};
type ReturnOf<S extends string> = S extends `${string}) -> (${infer R})`
  ? Results<Split<R>> & NamedResults<Split<R>>
  : S extends `${string}) -> ${infer R}`
    ? ResultOne<R>
    : never;

type DropSelf<P extends readonly AnyParameter[]> = P extends readonly [AnyParameter, ...infer R extends AnyParameter[]] ? R : [];

type Out = Parameter<'out', Tensor | readonly Tensor[] | null, true, true>;
type FunctionOf<S extends string> = (...args: Calls<[...Params<S, Tensor>, Out]>) => ReturnOf<S>;
type MethodOf<S extends string> = (...args: Calls<DropSelf<Params<S, Tensor>>>) => ReturnOf<S>;
type Overloads<L extends readonly string[], Kind extends 'function' | 'method'> = L extends readonly [
  infer H extends string,
  ...infer R extends string[],
]
  ? (Kind extends 'function' ? FunctionOf<H> : MethodOf<H>) & Overloads<R, Kind>
  : unknown;

/** The function and method types of a list of schemas (one an overload). */
export type SchemaFunction<L extends readonly string[]> = Overloads<L, 'function'>;
export type SchemaMethod<L extends readonly string[]> = Overloads<L, 'method'>;

// ---- run time

export interface SchemaParameter {
  readonly name: string;
  /** Type text without `?`, list size and alias annotation: `Tensor`, `int[]`, ... */
  readonly type: string;
  readonly optional: boolean;
  readonly nullable: boolean;
  readonly keywordOnly: boolean;
  readonly defaultValue: unknown;
  /** `int[1]`: a bare number stands for a list. */
  readonly listOrOne: boolean;
}
export interface Schema {
  readonly name: string;
  readonly overload: string;
  readonly params: readonly SchemaParameter[];
  readonly returns: string;
  readonly text: string;
}

export function parseSchema(text: string): Schema {
  const match = /^([\w:]+)(?:\.(\w+))?\((.*)\) -> (.*)$/.exec(text);
  if (match === null) throw new Error(`internal: not a schema: ${text}`);
  const params: SchemaParameter[] = [];
  let keywordOnly = false;
  for (const part of match[3] === '' ? [] : match[3].split(', ')) {
    if (part === '*') {
      keywordOnly = true;
      continue;
    }
    const piece = /^(\S+) (\w+)(?:=(.*))?$/.exec(part);
    if (piece === null) throw new Error(`internal: not a parameter: ${part} in ${text}`);
    const nullable = piece[1].endsWith('?');
    const bare = piece[1].replace(/\?$/, '').replace(/\(.*?\)/, '');
    params.push({
      name: piece[2],
      type: bare.replace(/\[\d+\]/, '[]'),
      optional: piece[3] !== undefined,
      nullable,
      keywordOnly,
      defaultValue: piece[3] === undefined ? undefined : parseDefault(piece[3]),
      listOrOne: /\[\d+\]/.test(bare),
    });
  }
  return { name: match[1], overload: match[2] ?? '', params, returns: match[4], text };
}

function parseDefault(text: string): unknown {
  if (text === 'None') return null;
  if (text === 'True') return true;
  if (text === 'False') return false;
  if (/^-?[\d.]+(e-?\d+)?$/.test(text)) return Number(text);
  if (text.startsWith('['))
    return text
      .slice(1, -1)
      .split(',')
      .filter((x) => x !== '')
      .map(Number);
  if (text.startsWith('"') || text.startsWith("'")) return text.slice(1, -1);
  return text;
}

/** Types of all parameters in order, as a declaration's call gets them. */
export type BoundTypes<S extends string> = BoundAll<Params<S, CoreTensor>>;
type BoundAll<P extends readonly AnyParameter[]> = { -readonly [I in keyof P]: BoundOne<P[I]['type']> };
type BoundOne<B> = [Extract<B, readonly unknown[]>] extends [never] ? B : Exclude<B, number | boolean | bigint>;
