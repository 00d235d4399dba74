/** Argument binding: positional and keyword arguments to the schema's order, with PyTorch-like errors for what does not fit. */
import { DType } from '../dtype/dtype.ts';
import { Generator } from '../random/generator.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Overload } from './declare.ts';
import { isComplexScalar, isScalar } from './scalar-argument.ts';
import type { BoundTypes, Schema, SchemaParameter } from './schema.ts';

/** Arguments as a declaration's `call` gets them: all present, defaults filled in. */
export type BoundArguments<S extends string> = BoundTypes<S>;

const isPlainOptions = (x: unknown): x is Record<string, unknown> => {
  if (typeof x !== 'object' || x === null) return false;
  const prototype = Object.getPrototypeOf(x);
  return (prototype === Object.prototype || prototype === null) && !isComplexScalar(x);
};

function accepts(p: SchemaParameter, value: unknown): boolean {
  if (value === null) return p.nullable || p.defaultValue === null;
  switch (p.type) {
    case 'Tensor':
      return value instanceof Tensor;
    case 'Tensor[]':
      return Array.isArray(value) && value.every((v) => v instanceof Tensor);
    case 'Tensor?[]':
      return Array.isArray(value) && value.every((v) => v === null || v instanceof Tensor);
    case 'Scalar':
      return isScalar(value);
    case 'int':
    case 'SymInt':
      return typeof value === 'number' && Number.isInteger(value);
    case 'float':
      return typeof value === 'number' || typeof value === 'bigint';
    case 'bool':
      return typeof value === 'boolean';
    case 'str':
    case 'Device':
    case 'Layout':
    case 'MemoryFormat':
      return typeof value === 'string';
    case 'ScalarType':
      return value instanceof DType;
    case 'Generator':
      return value instanceof Generator;
    case 'int[]':
    case 'SymInt[]':
    case 'Size':
      return Array.isArray(value)
        ? value.every((v) => Number.isInteger(v))
        : p.listOrOne && typeof value === 'number' && Number.isInteger(value);
    case 'int?[]':
      return Array.isArray(value)
        ? value.every((v) => v === null || Number.isInteger(v))
        : p.listOrOne && typeof value === 'number' && Number.isInteger(value);
    case 'int[][]':
      return Array.isArray(value) && value.every((v) => Array.isArray(v) && v.every((d) => Number.isInteger(d)));
    case 'Subscripts':
      return Array.isArray(value) && value.every((v) => v === '...' || Number.isInteger(v));
    case 'float[]':
    case 'Scalar[]':
      return Array.isArray(value) ? value.every((v) => isScalar(v)) : p.listOrOne && typeof value === 'number';
    case 'bool[]':
      return Array.isArray(value) && value.every((v) => typeof v === 'boolean');
    default:
      return true;
  }
}

/** A list may be spread over the positional arguments: `x.view(2, 3)`, `torch.zeros(2, 3, { dtype })`, `torch.meshgrid(x, y)`. */
const isSpreadList = (schema: Schema, at: number, tensors = false): boolean => {
  const type = schema.params[at]?.type;
  if (tensors ? type !== 'Tensor[]' : type !== 'int[]' && type !== 'SymInt[]' && type !== 'Size') return false;
  return schema.params.slice(at + 1).every((p) => p.keywordOnly) && !schema.params[at].listOrOne;
};

/** Where a call of a schema may leave the common path: positional parameters, each given as it is wanted. */
export interface Binding {
  readonly positional: number;
  /** For each parameter whether it takes a list that may be spread over the arguments. */
  readonly spread: readonly boolean[];
}
export function bindingOf(schema: Schema): Binding {
  const keyword = schema.params.findIndex((p) => p.keywordOnly);
  return {
    positional: keyword < 0 ? schema.params.length : keyword,
    spread: schema.params.map((_, at) => isSpreadList(schema, at) || isSpreadList(schema, at, true)),
  };
}

/** The arguments of a call on the common path, or null. Of its own, and without closures, so that it costs no more than what it looks at. */
function bindPlain({ parsed, binding }: Overload, args: readonly unknown[]): unknown[] | null {
  const { params } = parsed;
  const given = args.length;
  if (given > binding.positional || (given > 0 && isPlainOptions(args[given - 1]))) return null;
  const out = new Array<unknown>(params.length);
  for (let i = 0; i < given; i++) {
    const p = params[i];
    const value = args[i];
    if (value === undefined || !accepts(p, value) || (binding.spread[i] && !Array.isArray(value))) return null;
    out[i] = p.listOrOne && typeof value === 'number' ? [value] : value;
  }
  for (let i = given; i < params.length; i++) {
    if (!params[i].optional) return null;
    out[i] = params[i].defaultValue;
  }
  return out;
}

/** Binds `args` to overload `which`. With `quiet`, null instead of an error where they do not fit. */
export function bindArguments(
  name: string,
  overloads: readonly Overload[],
  args: readonly unknown[],
  which: number,
  quiet = false,
): unknown[] | null {
  return bindPlain(overloads[which], args) ?? bindAny(name, overloads, args, which, quiet);
}
function bindAny(name: string, overloads: readonly Overload[], args: readonly unknown[], which: number, quiet: boolean): unknown[] | null {
  const schema = overloads[which].parsed;
  const { params } = schema;
  let given = args.length;
  let options: Record<string, unknown> | null = null;
  if (given > 0 && isPlainOptions(args[given - 1])) options = args[--given] as Record<string, unknown>;
  const out = new Array<unknown>(params.length);
  let at = 0;
  let i = 0;
  for (; i < given; ) {
    const p = params[at];
    if (p === undefined || p.keywordOnly) return fail(quiet, () => tooMany(name, overloads, args.slice(0, given)));
    let value = args[i];
    if ((typeof value === 'number' && isSpreadList(schema, at)) || (value instanceof Tensor && isSpreadList(schema, at, true))) {
      value = args.slice(i, given);
      i = given;
    } else i++;
    if (value === undefined) {
      if (!p.optional)
        return fail(
          quiet,
          () => new TypeError(`${name}(): argument '${p.name}' (position ${at + 1}) is undefined; for the last dim write .size(-1)`),
        );
      out[at++] = p.defaultValue;
      continue;
    }
    if (!accepts(p, value)) return fail(quiet, () => wrongType(name, overloads, p, at, value));
    out[at++] = p.listOrOne && typeof value === 'number' ? [value] : value;
  }
  let used = 0;
  for (; at < params.length; at++) {
    const p = params[at];
    const value = options === null ? undefined : options[p.name];
    if (options !== null && Object.hasOwn(options, p.name)) used++;
    if (value === undefined) {
      if (!p.optional) {
        if (isSpreadList(schema, at) && given >= at && options === null && args.length === at) {
          out[at] = [];
          continue;
        }
        return fail(quiet, () => new TypeError(`${name}() missing 1 required positional arguments: "${p.name}"${signatures(overloads)}`));
      }
      out[at] = p.defaultValue;
      continue;
    }
    if (!accepts(p, value)) return fail(quiet, () => wrongType(name, overloads, p, at, value));
    out[at] = p.listOrOne && typeof value === 'number' ? [value] : value;
  }
  if (options !== null && used !== Object.keys(options).length) return fail(quiet, () => badKeyword(name, overloads, schema, options));
  return out;
}

function fail(quiet: boolean, error: () => Error): null {
  if (quiet) return null;
  throw error();
}

const signatures = (overloads: readonly Overload[]): string => `\n${overloads.map((o) => ` * ${o.schema}`).join('\n')}`;

function describe(value: unknown): string {
  if (value instanceof Tensor) return 'Tensor';
  if (Array.isArray(value)) return 'list';
  if (value === null) return 'NoneType';
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float';
  if (isComplexScalar(value)) return 'complex';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}

const pythonType = (p: SchemaParameter): string =>
  ({
    'int[]': 'tuple of ints',
    'SymInt[]': 'tuple of ints',
    Scalar: 'Number',
    'Tensor[]': 'tuple of Tensors',
    SymInt: 'int',
    ScalarType: 'torch.dtype',
  })[p.type as 'Scalar'] ?? p.type;

const wrongType = (name: string, overloads: readonly Overload[], p: SchemaParameter, at: number, value: unknown): TypeError =>
  new TypeError(
    `${name}(): argument '${p.name}' (position ${at + 1}) must be ${pythonType(p)}, not ${describe(value)}${signatures(overloads)}`,
  );
/** More arguments than this overload takes; where another would take as many, their types did not fit there. */
const tooMany = (name: string, overloads: readonly Overload[], args: readonly unknown[]): TypeError => {
  const given = args.length;
  const most = Math.max(...overloads.map((o) => o.parsed.params.filter((p) => !p.keywordOnly).length));
  if (given <= most)
    return new TypeError(
      `${name}() received an invalid combination of arguments - got (${args.map(describe).join(', ')}), but expected one of:${signatures(overloads)}`,
    );
  return new TypeError(`${name}() takes ${most} positional arguments but ${given} were given${signatures(overloads)}`);
};
function badKeyword(name: string, overloads: readonly Overload[], schema: Schema, options: Record<string, unknown>): TypeError {
  const known = schema.params.map((p) => p.name);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) return new TypeError(`${name}() got an unexpected keyword argument '${key}'${signatures(overloads)}`);
  }
  const twice = Object.keys(options).find((k) => known.includes(k));
  return new TypeError(`${name}() got multiple values for argument '${twice}'${signatures(overloads)}`);
}
