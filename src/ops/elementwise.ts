/**
 * Element-wise operators: promotion, opmath, broadcasting and scalar operands, written once.
 *
 * `elementwise({ name, kind, body })` makes the call of a declaration: operands are tensors or numbers; the body gets prims in the computation
 * dtype (float32 for float16 and bfloat16), broadcast by the primitives; the result is rounded once, to the promoted dtype. Numbers are
 * parameters of the program (they may change freely) unless `constant` says that the body looks at their values.
 */
import type { Complex } from '../dtype/codec.ts';
import type { DType } from '../dtype/dtype.ts';
import { getDefaultDtype } from '../dtype/dtype.ts';
import { computationDtype, elementwiseDtypes, type PromotionKind, type PromotionOperand } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { complexConstant, complexOf, constant, type Prim } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import { broadcastShapes } from '../shape/view.ts';
import { type CallOptions, type Constants, constantsOf, record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { complexValue, isScalar, type ScalarArgument, scalarKind, scalarValue } from './scalar-argument.ts';

export type Operand = Tensor | ScalarArgument;

interface ElementwiseConstants<C> {
  /** What each operand is: an input (its position), a parameter (of a complex number two: `param` and `imag`) or a constant. */
  readonly operands: readonly (
    | { readonly input: number }
    | { readonly param: number; readonly imag: number | null }
    | { readonly value: number | bigint | Complex }
  )[];
  readonly compute: DType;
  readonly opmath: DType;
  readonly result: DType;
  readonly params: readonly DType[];
  readonly extra: C;
}

export interface ElementwiseSpec<C> {
  readonly name: string;
  readonly kind: PromotionKind;
  readonly body: (operands: readonly Prim[], extra: C, opmath: DType) => Prim;
  /** Gradients of the operands for the gradient `g` of the result, all in opmath; default: derived from the body. */
  readonly gradient?: (g: Prim, operands: readonly Prim[], result: Prim, extra: C) => readonly (Prim | null)[];
  /** Operands whose number is part of the signature. */
  readonly constantOperands?: readonly number[];
  /** Result dtype where it is not the promoted one. */
  readonly result?: (promoted: DType) => DType;
  /** Throws PyTorch's error for dtypes that the operator refuses; `promoted` is the common dtype, before it is widened to compute in it. */
  readonly check?: (compute: DType, operands: readonly Operand[], promoted: DType) => void;
}

export type ElementwiseCall<C> = (operands: readonly Operand[], extra?: C, extraKey?: string, options?: CallOptions) => Tensor;

export function sizeMismatch(a: readonly number[], b: readonly number[]): Error {
  const n = Math.max(a.length, b.length);
  for (let i = n - 1; i >= 0; i--) {
    const x = a[i - (n - a.length)] ?? 1;
    const y = b[i - (n - b.length)] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      return new Error(`The size of tensor a (${x}) must match the size of tensor b (${y}) at non-singleton dimension ${i}`);
  }
  throw new Error('internal: the sizes match');
}

/** Checks that tensors broadcast; shapes in a body are known to. */
export function checkBroadcast(tensors: readonly Tensor[]): void {
  let shape: readonly number[] = tensors[0].view_.shape;
  for (let i = 1; i < tensors.length; i++) {
    const common = broadcastShapes(shape, tensors[i].view_.shape);
    if (common === null) throw sizeMismatch(shape, tensors[i].view_.shape);
    shape = common;
  }
}

/** In opmath; what is complex stays complex where the operands are real (`complex`, `polar`). */
const asOpmath = (p: Prim, opmath: DType): Prim => p.cast(p.dtype.is_complex ? opmath.complex : opmath);

export function elementwise<C = null>(spec: ElementwiseSpec<C>): ElementwiseCall<C> {
  const pick = (inputs: readonly Prim[], params: readonly Prim[], c: ElementwiseConstants<C>): Prim[] =>
    c.operands.map((o) => {
      if ('input' in o) return inputs[o.input].cast(c.compute).cast(c.opmath);
      if ('param' in o) return o.imag === null ? params[o.param].cast(c.opmath) : complexOf(params[o.param], params[o.imag]);
      return typeof o.value === 'object' ? complexConstant(o.value, c.opmath) : constant(o.value, c.opmath);
    });
  const operator: Operator<ElementwiseConstants<C>> = {
    name: spec.name,
    layout: 'elementwise',
    paramTypes: (c) => c.params,
    body: (inputs, { constants: c, params }) => [spec.body(pick(inputs, params, c), c.extra, c.opmath).cast(c.result)],
    gradient:
      spec.gradient &&
      ((grads, inputs, outputs, { constants: c, params }) => {
        const g = grads[0];
        if (g === null) return inputs.map(() => null);
        const operands = pick(inputs, params, c);
        const all = spec.gradient!(asOpmath(g, c.opmath), operands, asOpmath(outputs[0], c.opmath), c.extra);
        const out: (Prim | null)[] = inputs.map(() => null);
        c.operands.forEach((o, i) => {
          const grad = all[i];
          if ('input' in o && grad) out[o.input] = sumToShape(grad, inputs[o.input].shape).cast(inputs[o.input].dtype);
        });
        return out;
      }),
  };
  const cache = new Map<number, Constants>();
  const constantsFor = (operands: readonly Operand[], extra: C, extraKey: string): Constants => {
    const kinds: PromotionOperand[] = operands.map((o) => (o instanceof Tensor ? { dtype: o.dtype, ndim: o.ndim } : scalarKind(o)));
    const { compute, result } = elementwiseDtypes(spec.kind, kinds);
    spec.check?.(compute, operands, result);
    const opmath = spec.kind === 'NO_OPMATH' ? compute : computationDtype(compute);
    const final = spec.result?.(result) ?? result;
    const places: ElementwiseConstants<C>['operands'][number][] = [];
    const params: DType[] = [];
    let key = `${spec.name}:${compute.name}:${final.name}:${extraKey}:`;
    let input = 0;
    operands.forEach((o, i) => {
      if (o instanceof Tensor) {
        places.push({ input: input++ });
        key += 'i';
      } else if (spec.constantOperands?.includes(i)) {
        const value = scalarKind(o) === 'complex' ? complexValue(o) : scalarValue(o);
        places.push({ value });
        key +=
          typeof value === 'object'
            ? `=${signed(value.re)},${signed(value.im)};`
            : `=${typeof value === 'number' ? signed(value) : value};`;
      } else {
        const complex = scalarKind(o) === 'complex';
        params.push(opmath.real);
        places.push({ param: params.length - 1, imag: complex ? params.push(opmath.real) - 1 : null });
        key += complex ? 'c' : 'p';
      }
    });
    return constantsOf(key, (): ElementwiseConstants<C> => ({ operands: places, compute, opmath, result: final, params, extra }));
  };
  return (operands, extra = null as C, extraKey = '', options = undefined) => {
    const inputs: Tensor[] = [];
    const params: (number | bigint)[] = [];
    let code = getDefaultDtype().id;
    let plain = extraKey === '';
    for (let i = 0; i < operands.length; i++) {
      const o = operands[i];
      if (o instanceof Tensor) {
        inputs.push(o);
        code = code * 64 + o.dtype.id * 2 + (o.view_.shape.length === 0 ? 1 : 0);
      } else {
        const kind = scalarKind(o);
        code = code * 64 + 60 + (kind === 'bool' ? 0 : kind === 'int' ? 1 : kind === 'float' ? 2 : 3);
        if (spec.constantOperands?.includes(i)) plain = false;
        else if (kind === 'complex') {
          const { re, im } = complexValue(o);
          params.push(re, im);
        } else params.push(scalarValue(o));
      }
    }
    let constants = plain ? cache.get(code) : undefined;
    if (constants === undefined) {
      constants = constantsFor(operands, extra, extraKey);
      if (plain) cache.set(code, constants);
    }
    if (inputs.length > 1 && inputs[0].view_ !== inputs[1].view_) checkBroadcast(inputs);
    const own = { constants, params: convertParams(params, constants) };
    return record(operator as never, inputs, options === undefined ? own : { ...options, ...own })[0];
  };
}

const signed = (x: number): string => (Object.is(x, -0) ? '-0' : `${x}`);

/** Numbers in the representation of the parameter's type: bigint for int64, wrapped for narrow integers. */
function convertParams(params: (number | bigint)[], constants: Constants): (number | bigint)[] {
  const types = (constants.value as ElementwiseConstants<unknown>).params;
  for (let i = 0; i < params.length; i++) params[i] = toParam(params[i], types[i]);
  return params;
}
export function toParam(value: number | bigint, dtype: DType): number | bigint {
  if (dtype.compute === 'i64') return BigInt.asIntN(64, BigInt(typeof value === 'number' ? Math.trunc(value) : value));
  if (dtype.kind === 'bool') return Number(value) === 0 ? 0 : 1;
  if (dtype.kind !== 'int') return Number(value);
  const bits = dtype.itemsize * 8;
  const big = BigInt(typeof value === 'number' ? Math.trunc(value) : value);
  return Number(dtype.is_signed ? BigInt.asIntN(bits, big) : BigInt.asUintN(bits, big));
}

/** Two operands of which the second may be a number. */
export const isOperand = (x: unknown): x is Operand => x instanceof Tensor || isScalar(x);
