/**
 * What the element-wise sections share: shapes of declarations (a unary operator, a binary one with its Scalar overload), checks that throw
 * PyTorch's dtype errors, and small prims.
 */
import type { DType, DTypeKind } from '../dtype/dtype.ts';
import { float32, float64 } from '../dtype/dtype.ts';
import { type PromotionKind, resultType, scalarTypeName } from '../dtype/promotion.ts';
import type { LibraryFunction } from '../graph/library.ts';
import { broadcast, callLibrary, constant, type Prim } from '../graph/prim.ts';
import { Tensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { type Declaration, declare, declareInplace, overload, type Table } from './declare.ts';
import { type ElementwiseSpec, elementwise, type Operand } from './elementwise.ts';
import { scalarKind } from './scalar-argument.ts';

/** Title and PyTorch's page. */
export const docOf = (name: string, text: string): { readonly doc: string } => ({
  doc: `${text}. https://docs.pytorch.org/docs/stable/generated/torch.${name}.html`,
});
export const specialDoc = (name: string, text: string): { readonly doc: string; readonly as: 'function' } => ({
  doc: `${text}. https://docs.pytorch.org/docs/stable/special.html#torch.special.${name}`,
  as: 'function',
});

// ---- prims

export const like = (p: Prim, value: number | bigint): Prim => constant(value, p.dtype);
/** value / p. */
export const over = (value: number, p: Prim): Prim => like(p, value).div(p);
export const zerosLike = (p: Prim): Prim => constant(0, p.dtype).expand(p.shape);
export const nanLike = (p: Prim): Prim => constant(Number.NaN, p.dtype);
export const isNaNPrim = (p: Prim): Prim => p.ne(p);
export const square = (p: Prim): Prim => p.mul(p);
/** Horner's rule, highest power first (as Cephes writes its tables). */
export function polynomial(x: Prim, coefficients: readonly number[]): Prim {
  let sum = like(x, coefficients[0]);
  for (const c of coefficients.slice(1)) sum = sum.mul(x).add(c);
  return sum;
}
/** The sign of a real number; NaN has none. */
export function signOf(x: Prim): Prim {
  if (x.dtype.kind === 'bool') return x;
  const zero = like(x, 0);
  return zero.lt(x).where(like(x, 1), x.dtype.is_signed ? x.lt(0).where(like(x, -1), zero) : zero);
}
/** The bits of a float as the integer of its width, and back. */
export const bitsType = (p: Prim, int32: DType, int64: DType): DType => (p.dtype === float64 ? int64 : int32);

/** `torch.result_type` of operands. */
export const promotedOf = (operands: readonly Operand[]): DType =>
  resultType(operands.map((o) => (o instanceof Tensor ? { dtype: o.dtype, ndim: o.ndim } : scalarKind(o))));

// ---- checks

type Check = NonNullable<ElementwiseSpec<null>['check']>;

export const notImplemented = (kernel: string, dtype: DType): Error =>
  new Error(`"${kernel}" not implemented for '${scalarTypeName(dtype)}'`);
/** Only dtypes of these kinds have a kernel. */
export const only =
  (kernel: string, ...kinds: readonly DTypeKind[]): Check =>
  (_compute, _operands, promoted) => {
    if (!kinds.includes(promoted.kind)) throw notImplemented(kernel, promoted);
  };
/** Like `only` for a kernel that knows float32 and float64 and nothing else. */
export const onlyFullFloats =
  (kernel: string): Check =>
  (_compute, _operands, promoted) => {
    if (promoted !== float32 && promoted !== float64) throw notImplemented(kernel, promoted);
  };
export const noComplex =
  (text: string): Check =>
  (compute) => {
    if (compute.is_complex) throw new Error(text);
  };

// ---- declarations

type UnarySpec = Omit<ElementwiseSpec<null>, 'name' | 'kind' | 'body' | 'gradient'> & {
  readonly kind?: PromotionKind;
  readonly gradient?: (g: Prim, x: Prim, y: Prim) => Prim;
  /** False: the result never requires grad. */
  readonly differentiable?: boolean;
};

/** The call of an operator of one tensor; most give floats for integers. */
export function unaryCall(
  name: string,
  body: (x: Prim) => Prim,
  { kind = 'INT_TO_FLOAT', gradient, differentiable = true, ...rest }: UnarySpec = {},
): (x: Tensor) => Tensor {
  const call = elementwise({
    name,
    kind,
    body: ([x]) => body(x),
    ...rest,
    ...(!differentiable && { gradient: () => [null] }),
    ...(gradient && { gradient: (g: Prim, [x]: readonly Prim[], y: Prim) => [gradient(g, x, y)] }),
  });
  return (x) => call([x]);
}
export const unaryOverload = <const N extends string>(name: N, call: (x: Tensor) => Tensor) =>
  overload(`${name}(Tensor self) -> Tensor` as const, ((x: Tensor) => call(x)) as never);
/** `name(self)`, with its in-place twin. */
export const unary = <const N extends string>(name: N, text: string, body: (x: Prim) => Prim, spec: UnarySpec = {}) =>
  declareInplace(docOf(name, text), unaryOverload(name, unaryCall(name, body, spec)));
/** The same without the twin. */
export const predicate = <const N extends string>(name: N, text: string, body: (x: Prim) => Prim, spec: UnarySpec = {}) =>
  declare(docOf(name, text), unaryOverload(name, unaryCall(name, body, { kind: 'ALWAYS_BOOL', ...spec })));
/** An operator of `torch.special`. */
export const specialUnary = <const N extends string>(name: N, text: string, body: (x: Prim) => Prim, spec: UnarySpec = {}) =>
  declare(specialDoc(name, text), unaryOverload(`special_${name}`, unaryCall(`special_${name}`, body, spec)));

export type BinaryCall = (operands: readonly Operand[]) => Tensor;

/** `name(Tensor, Tensor)` alone. */
export const tensorOverload = <const N extends string>(name: N, call: BinaryCall) =>
  overload(`${name}(Tensor self, Tensor other) -> Tensor` as const, ((a: Tensor, b: Tensor) => call([a, b])) as never);
export const tensorTensor = <const N extends string>(name: N, call: BinaryCall) =>
  overload(`${name}.Tensor(Tensor self, Tensor other) -> Tensor` as const, ((a: Tensor, b: Tensor) => call([a, b])) as never);
export const tensorScalar = <const N extends string>(name: N, call: BinaryCall) =>
  overload(`${name}.Scalar(Tensor self, Scalar other) -> Tensor` as const, ((a: Tensor, b: Operand) => call([a, b])) as never);
export const scalarTensor = <const N extends string>(name: N, call: BinaryCall) =>
  overload(`${name}.Scalar_Tensor(Scalar self, Tensor other) -> Tensor` as const, ((a: Operand, b: Tensor) => call([a, b])) as never);

// ---- library functions of numbers

/** Gradients that PyTorch has not: the error comes when the gradient is computed, not when the operator is called. */
const refuse: LibraryFunction<string> = {
  name: 'derivative_not_implemented',
  run: (_inputs, _outputs, text) => {
    throw new Error(text);
  },
};
export const gradientMissing = (g: Prim, text: string): Prim => callLibrary(refuse, [g], [{ shape: g.shape, dtype: g.dtype }], text)[0];

/** A host function of numbers as a library function over arrays of one shape. `single`: the numbers are float32. */
export function numberFunction<C = null>(
  name: string,
  make: (single: boolean, constants: C) => (a: number, b: number) => number,
  vjp?: LibraryFunction<C>['vjp'],
): LibraryFunction<C> {
  return {
    name,
    ...(vjp && { vjp }),
    run: (inputs, [out], constants) => {
      const f = make(out.dtype === float32, constants);
      const [a, b] = [inputs[0].data as Float64Array, (inputs[1] ?? inputs[0]).data as Float64Array];
      const to = out.data as Float64Array;
      for (let i = 0; i < to.length; i++) to[i] = f(a[i], b[i]);
    },
  };
}
/** Calls it on broadcast operands; the result has their dtype. */
export function callOn<C>(fn: LibraryFunction<C>, operands: readonly Prim[], constants: C): Prim {
  const shape = broadcast(operands.map((p) => p.shape));
  const srcs = operands.map((p) => p.expand(shape));
  return callLibrary(fn, srcs, [{ shape, dtype: srcs[0].dtype }], constants)[0];
}

// ---- in-place forms that are functions

/** `torch.exp_(x)` and its kin: the operators of a table as functions that write into their first argument. */
export function inplaceFunctions<T extends Table, const K extends keyof T & string>(
  table: T,
  names: readonly K[],
): { readonly [P in K as `${P}_`]: Declaration<T[P]['schemas']> & { readonly as: 'function' } } {
  const entries = names.map((name) => {
    const { doc, overloads, schemas } = table[name];
    const writing = overloads.map((o) => {
      const call = o.call as (...args: unknown[]) => Tensor;
      return { ...o, call: (...args: unknown[]) => writeInto(args[0] as Tensor, () => call(...args)) };
    });
    return [`${name}_`, { doc: `In place: ${doc}`, as: 'function', overloads: writing, schemas }];
  });
  return Object.fromEntries(entries) as never;
}
