/**
 * Operators that choose and mix: where, clamp, maximum and minimum (and their forms that pass over NaN), lerp, addcmul and addcdiv, fill, and
 * those that take a number apart into sign and size.
 */
import { bool, type DType, float16, float32, float64, int32, int64, uint8 } from '../dtype/dtype.ts';
import { canCast, scalarTypeName } from '../dtype/promotion.ts';
import type { Operator } from '../graph/operator.ts';
import { complexOf, constant, type Prim } from '../graph/prim.ts';
import { sumToShape } from '../graph/vjp.ts';
import { constantsOf, record } from '../tensor/record.ts';
import { Tensor } from '../tensor/tensor.ts';
import { writeInto } from '../tensor/write.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { checkBroadcast, elementwise, type Operand, toParam } from './elementwise.ts';
import {
  bitsType,
  docOf,
  gradientMissing,
  isNaNPrim,
  like,
  nanLike,
  noComplex,
  notImplemented,
  only,
  promotedOf,
  tensorOverload,
  tensorScalar,
  tensorTensor,
  zerosLike,
} from './pointwise-support.ts';
import { complexValue, type ScalarArgument, scalarValue } from './scalar-argument.ts';
import { use } from './use.ts';

// ---- maximum, minimum

const extreme = (name: 'maximum' | 'minimum' | 'fmax' | 'fmin') => {
  const high = name === 'maximum' || name === 'fmax';
  const choose = (a: Prim, b: Prim): Prim => {
    if (a.dtype === bool) return high ? a.or(b) : a.and(b);
    return high ? a.maximum(b) : a.minimum(b);
  };
  /** a is beyond b. */
  const beyond = (a: Prim, b: Prim): Prim => (high ? b.lt(a) : a.lt(b));
  const shared = elementwise({
    name,
    kind: 'DEFAULT',
    body: ([a, b]) => choose(a, b),
    gradient: (g, [a, b]) => {
      const half = a.eq(b).where(g.mul(0.5), g);
      return [beyond(b, a).where(0, half), beyond(a, b).where(0, half)];
    },
    check: noComplex(`${name} not implemented for complex tensors.`),
  });
  const passing = elementwise({
    name,
    kind: 'DEFAULT',
    body: ([a, b]) => (a.dtype.is_floating_point ? isNaNPrim(a).where(b, isNaNPrim(b).where(a, choose(a, b))) : choose(a, b)),
    gradient: (g, [a, b]) => {
      const first = beyond(a, b).or(a.eq(b)).or(isNaNPrim(b));
      return [first.where(g, 0), first.where(0, g)];
    },
    check: noComplex(`${name} not implemented for complex tensors.`),
  });
  return name === 'maximum' || name === 'minimum' ? shared : passing;
};
const maximumCall = extreme('maximum');
const minimumCall = extreme('minimum');

// ---- clamp

/** PyTorch has kernels for tensors and for numbers, and none for bools but maximum and minimum. */
const clampable =
  (tensors: string | null, numbers: string) =>
  (_: DType, [, ...bounds]: readonly Operand[], promoted: DType): void => {
    const all = bounds.every((b) => b instanceof Tensor);
    if (promoted.is_complex)
      throw all && tensors !== null ? notImplemented(tensors, promoted) : new Error('clamp is not supported for complex types');
    if (promoted === bool && (!all || tensors === null)) throw notImplemented(all ? 'clamp_cpu' : numbers, promoted);
  };
const maxOf = (a: Prim, b: Prim): Prim => (a.dtype === bool ? a.or(b) : a.maximum(b));
const minOf = (a: Prim, b: Prim): Prim => (a.dtype === bool ? a.and(b) : a.minimum(b));
/** Gradients as PyTorch's: a number that is at the bound passes its gradient on; the bound gets what it replaces. */
const clampBoth = elementwise({
  name: 'clamp',
  kind: 'DEFAULT',
  body: ([x, low, high]) => minOf(maxOf(x, low), high),
  gradient: (g, [x, low, high]) => [
    x.ge(low).and(x.le(high)).where(g, 0),
    x.lt(low).and(low.lt(high)).where(g, 0),
    x.gt(high).or(high.lt(low)).where(g, 0),
  ],
  check: clampable(null, 'clamp_scalar_cpu'),
});
const clampLow = elementwise({
  name: 'clamp_min',
  kind: 'DEFAULT',
  body: ([x, low]) => maxOf(x, low),
  gradient: (g, [x, low]) => [x.ge(low).where(g, 0), x.lt(low).where(g, 0)],
  check: clampable('maximum_cpu', 'clamp_min_scalar_cpu'),
});
const clampHigh = elementwise({
  name: 'clamp_max',
  kind: 'DEFAULT',
  body: ([x, high]) => minOf(x, high),
  gradient: (g, [x, high]) => [x.le(high).where(g, 0), x.gt(high).where(g, 0)],
  check: clampable('minimum_cpu', 'clamp_max_scalar_cpu'),
});
const isNaNScalar = (o: Operand): boolean => !(o instanceof Tensor) && Number.isNaN(Number(scalarValue(o)));
/** One NaN bound given as a number bounds nothing (PyTorch's kernels); with a second one everything is NaN. */
function clampOf(x: Tensor, low: Operand | null, high: Operand | null): Tensor {
  if (low !== null && high !== null) return clampBoth([x, low, high]);
  if (low !== null) return isNaNScalar(low) ? clampLow([x, Number.NEGATIVE_INFINITY]) : clampLow([x, low]);
  if (high !== null) return isNaNScalar(high) ? clampHigh([x, Number.POSITIVE_INFINITY]) : clampHigh([x, high]);
  throw new Error("torch.clamp: At least one of 'min' or 'max' must not be None");
}
const clamp = declare(
  docOf('clamp', 'self bounded below by min and above by max'),
  overload('clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor', (x, min, max) => clampOf(x, min, max)),
  overload('clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor', (x, min, max) => clampOf(x, min, max)),
);
/** The in-place forms with numbers name C++ types where the result does not fit. */
function clampInto(x: Tensor, low: Operand | null, high: Operand | null): Tensor {
  const bounds = [low, high].filter((b): b is Operand => b !== null);
  const result = promotedOf([x, ...bounds]);
  if (bounds.every((b) => !(b instanceof Tensor)) && !canCast(result, x.dtype))
    throw new Error(`result type ${scalarTypeName(result)} can't be cast to the desired output type ${shortName(x.dtype)}`);
  return writeInto(x, () => clampOf(x, low, high));
}
const clampInplace = declare(
  { doc: 'clamp in place. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.clamp_.html' },
  overload('clamp_(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor', (x, min, max) => clampInto(x, min, max)),
  overload('clamp_.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor', (x, min, max) => clampInto(x, min, max)),
);

// ---- where

interface Choice {
  readonly dtype: DType;
  /** For yes and no: the input's position, or that of the parameter (of a complex number two). */
  readonly places: readonly { readonly input: number; readonly param: number }[];
  readonly params: readonly DType[];
}
const whereOperator: Operator<Choice> = {
  name: 'where',
  layout: 'elementwise',
  paramTypes: (c) => c.params,
  body: (inputs, { constants: c, params }) => {
    const [yes, no] = c.places.map(({ input, param }) => {
      if (input >= 0) return inputs[input].cast(c.dtype);
      return c.dtype.is_complex ? complexOf(params[param], params[param + 1]) : params[param].cast(c.dtype);
    });
    return [inputs[0].cast(bool).where(yes, no)];
  },
  gradient: ([g], inputs, _, { constants: c }) => {
    const out: (Prim | null)[] = inputs.map(() => null);
    if (g === null) return out;
    const chosen = inputs[0].cast(bool);
    c.places.forEach(({ input }, k) => {
      if (input < 0) return;
      const part = k === 0 ? chosen.where(g, 0) : chosen.where(0, g);
      const sum = sumToShape(part, inputs[input].shape);
      out[input] = (inputs[input].dtype.is_complex ? sum : sum.real).cast(inputs[input].dtype);
    });
    return out;
  },
};
function whereOf(condition: Tensor, yes: Operand, no: Operand): Tensor {
  if (condition.dtype !== bool && condition.dtype !== uint8)
    throw new Error(`where expected condition to be a boolean tensor, but got a tensor with dtype ${scalarTypeName(condition.dtype)}`);
  const dtype = promotedOf([yes, no]);
  const inputs = [condition];
  const params: (number | bigint)[] = [];
  const types: DType[] = [];
  const places = [yes, no].map((o) => {
    if (o instanceof Tensor) return { input: inputs.push(o) - 1, param: -1 };
    const at = params.length;
    if (dtype.is_complex) {
      const { re, im } = complexValue(o);
      params.push(re, im);
      types.push(dtype.real, dtype.real);
    } else {
      params.push(toParam(scalarValue(o), dtype));
      types.push(dtype);
    }
    return { input: -1, param: at };
  });
  if (yes instanceof Tensor && no instanceof Tensor) checkBroadcast([condition, yes, no]);
  else checkBroadcast(inputs);
  const constants = constantsOf(
    `where:${dtype.name}:${places[0].input}:${places[1].input}`,
    (): Choice => ({ dtype, places, params: types }),
  );
  return record(whereOperator as never, inputs, { constants, params })[0];
}

// ---- mixing

const lerpCall = elementwise({
  name: 'lerp',
  kind: 'DEFAULT',
  body: ([a, b, w]) => {
    const step = b.sub(a);
    const near = w.dtype.is_complex ? square(w.real).add(square(w.imag)).lt(0.25) : w.scalar('abs').lt(0.5);
    return near.where(a.add(w.mul(step)), b.sub(step.mul(w.neg().add(1))));
  },
  gradient: (g, [a, b, w]) => [g.mul(w.neg().add(1).conj()), g.mul(w.conj()), g.mul(b.sub(a).conj())],
});
const square = (p: Prim): Prim => p.mul(p);
const shortNames: Readonly<Record<string, string>> = {
  float32: 'float',
  float64: 'double',
  float16: 'c10::Half',
  bfloat16: 'c10::BFloat16',
  int64: 'long int',
  int32: 'int',
  int16: 'short int',
  int8: 'signed char',
  uint8: 'unsigned char',
  bool: 'bool',
  complex64: 'c10::complex<float>',
  complex128: 'c10::complex<double>',
};
const shortName = (d: DType): string => shortNames[d.name] ?? d.name;
function lerpOf(a: Tensor, b: Tensor, weight: Operand): Tensor {
  if (a.dtype !== b.dtype) throw new Error(`expected dtype ${shortName(a.dtype)} for \`end\` but got dtype ${shortName(b.dtype)}`);
  if (weight instanceof Tensor && weight.dtype !== a.dtype)
    throw new Error(`expected dtype ${shortName(a.dtype)} for \`weight\` but got dtype ${shortName(weight.dtype)}`);
  if (a.dtype.kind === 'int' || a.dtype.kind === 'bool')
    throw notImplemented(weight instanceof Tensor ? 'lerp_kernel_tensor' : 'lerp_kernel_scalar', a.dtype);
  return lerpCall([a, b, weight]);
}

const addcmulCall = elementwise({
  name: 'addcmul',
  kind: 'DEFAULT',
  body: ([x, a, b, value]) => x.add(value.mul(a).mul(b)),
});
/** `value` is converted to the tensors' dtype, which it has no part in. */
function addcmulOf(x: Tensor, a: Tensor, b: Tensor, value: ScalarArgument): Tensor {
  const dtype = promotedOf([x, a, b]);
  if (dtype === bool) throw notImplemented('addcmul_cpu_out', dtype);
  return addcmulCall([x, a, b, dtype.kind === 'int' ? Math.trunc(Number(scalarValue(value))) : value]);
}
const addcdivCall = elementwise({
  name: 'addcdiv',
  kind: 'DEFAULT',
  body: ([x, a, b, value]) => x.add(value.mul(a).div(b)),
  gradient: (g, [, a, b, value]) => [g, g.mul(value.div(b).conj()), g.neg().mul(value.mul(a).div(b.mul(b)).conj()), null],
});
const whole = (d: DType): boolean => d.kind === 'int' || d.kind === 'bool';

// ---- fill

interface Filling {
  readonly dtype: DType;
  readonly params: readonly DType[];
}
const fillOperator: Operator<Filling> = {
  name: 'fill',
  paramTypes: (c) => c.params,
  body: ([x, value], { constants: c, params }) => {
    const v = value ?? (params.length === 2 ? complexOf(params[0], params[1]) : params[0]);
    return [v.cast(c.dtype).expand(x.shape)];
  },
  gradient: ([g], [, value]) => {
    if (g === null) return [null, null];
    if (value === undefined) return [zerosLike(g)];
    const total = g.sum();
    return [zerosLike(g), (value.dtype.is_complex ? total : total.real).cast(value.dtype)];
  },
};
function fillWith(x: Tensor, value: Operand): Tensor {
  const { dtype } = x;
  if (value instanceof Tensor) {
    if (value.ndim !== 0) throw new Error(`fill_ only supports 0-dimension value tensor but got tensor with ${value.ndim} dimensions.`);
    return record(fillOperator as never, [x, value], {
      constants: constantsOf(`fill:${dtype.name}:tensor`, (): Filling => ({ dtype, params: [] })),
    })[0];
  }
  const { re, im } = complexValue(value);
  const params = dtype.is_complex ? [re, im] : [toParam(scalarValue(value, dtype.name), dtype)];
  const constants = constantsOf(`fill:${dtype.name}`, (): Filling => ({ dtype, params: params.map(() => dtype.real) }));
  return record(fillOperator as never, [x], { constants, params })[0];
}

// ---- sign and size

const signBit = (p: Prim): Prim => {
  const type = bitsType(p, int32, int64);
  return constant(p.dtype === float64 ? -(2n ** 63n) : -(2 ** 31), type);
};
const copysignCall = elementwise({
  name: 'copysign',
  kind: 'INT_TO_FLOAT',
  body: ([a, b]) => {
    const type = bitsType(a, int32, int64);
    const mask = signBit(a);
    return a.bitcast(type).and(mask.not()).or(b.bitcast(type).and(mask)).bitcast(a.dtype);
  },
  gradient: (g, [a], y) => [a.eq(0).where(0, g.mul(y.div(a))), zerosLike(g)],
  check: only('copysign_cpu', 'float', 'int', 'bool'),
});

const heavisideCall = elementwise({
  name: 'heaviside',
  kind: 'DEFAULT',
  body: ([x, atZero]) => {
    if (x.dtype === bool) return x.or(atZero);
    return x.eq(0).where(atZero, x.gt(0).where(like(x, 1), like(x, 0)));
  },
  gradient: (g) => Array(2).fill(gradientMissing(g, 'derivative for aten::heaviside is not implemented')),
  check: (_, operands, promoted) => {
    if (promoted.is_complex) throw new Error('heaviside is not yet implemented for complex tensors.');
    const [a, b] = operands as readonly Tensor[];
    if (a.dtype !== b.dtype) throw new Error('heaviside is not yet implemented for tensors with different dtypes.');
  },
});

const afterCall = elementwise<DType>({
  name: 'nextafter',
  kind: 'DEFAULT',
  body: ([a, b], dtype) => {
    const type = bitsType(a, int32, int64);
    const smallest = dtype === float64 ? 5e-324 : dtype === float32 ? 2 ** -149 : dtype === float16 ? 2 ** -24 : 2 ** -133;
    // A 16-bit float in 32 bits: one unit of its last place is this many of the wider one's.
    const unit = dtype === float64 || dtype === float32 ? 1 : dtype === float16 ? 1 << 13 : 1 << 16;
    const away = a.lt(b).eq(a.gt(0));
    const bits = a.bitcast(type);
    let moved = away.where(bits.add(unit), bits.sub(unit)).bitcast(a.dtype);
    if (dtype === float16) {
      const low = a.scalar('abs');
      const subnormal = low.lt(2 ** -14).or(low.eq(2 ** -14).and(away.not()));
      moved = subnormal.where(a.lt(b).where(a.add(smallest), a.sub(smallest)), moved);
    }
    const first = a.lt(b).where(like(a, smallest), like(a, -smallest));
    const next = a.eq(b).where(b, a.eq(0).where(first, moved));
    return isNaNPrim(a).or(isNaNPrim(b)).where(nanLike(a), next);
  },
  gradient: (g) => Array(2).fill(gradientMissing(g, "the derivative for 'nextafter' is not implemented.")),
  check: only('nextafter_cpu', 'float'),
});

export const choices = {
  where: declare(
    docOf('where', 'self where condition, else other; of a condition alone, where it is true'),
    overload('where.self(Tensor condition, Tensor self, Tensor other) -> Tensor', (c, a, b) => whereOf(c, a, b)),
    overload('where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor', (c, a, b) => whereOf(c, a, b)),
    overload('where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor', (c, a, b) => whereOf(c, a, b)),
    overload('where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor', (c, a, b) => whereOf(c, a, b)),
    overload('where(Tensor condition) -> Tensor[]', (c) =>
      use<Tensor[]>('unbind', use('nonzero', c.ndim === 0 ? use('unsqueeze', c, 0) : c), 1),
    ),
  ),
  clamp,
  clip: clamp,
  clamp_: clampInplace,
  clip_: clampInplace,
  clamp_min_: declare(
    { doc: 'clamp_min in place' },
    overload('clamp_min_(Tensor self, Scalar min) -> Tensor', (x, min) => clampInto(x, min, null)),
    overload('clamp_min_.Tensor(Tensor self, Tensor min) -> Tensor', (x, min) => clampInto(x, min, null)),
  ),
  clamp_max_: declare(
    { doc: 'clamp_max in place' },
    overload('clamp_max_(Tensor self, Scalar max) -> Tensor', (x, max) => clampInto(x, null, max)),
    overload('clamp_max_.Tensor(Tensor self, Tensor max) -> Tensor', (x, max) => clampInto(x, null, max)),
  ),
  clamp_min: declare(
    docOf('clamp_min', 'self bounded below'),
    overload('clamp_min(Tensor self, Scalar min) -> Tensor', (x, min) => clampOf(x, min, null)),
    overload('clamp_min.Tensor(Tensor self, Tensor min) -> Tensor', (x, min) => clampOf(x, min, null)),
  ),
  clamp_max: declare(
    docOf('clamp_max', 'self bounded above'),
    overload('clamp_max(Tensor self, Scalar max) -> Tensor', (x, max) => clampOf(x, null, max)),
    overload('clamp_max.Tensor(Tensor self, Tensor max) -> Tensor', (x, max) => clampOf(x, null, max)),
  ),
  maximum: declare(docOf('maximum', 'The larger of two; NaN if one is'), tensorOverload('maximum', maximumCall)),
  minimum: declare(docOf('minimum', 'The smaller of two; NaN if one is'), tensorOverload('minimum', minimumCall)),
  fmax: declare(docOf('fmax', 'The larger of two; a NaN counts as missing'), tensorOverload('fmax', extreme('fmax'))),
  fmin: declare(docOf('fmin', 'The smaller of two; a NaN counts as missing'), tensorOverload('fmin', extreme('fmin'))),
  lerp: declareInplace(
    docOf('lerp', 'self + weight (end - self)'),
    overload('lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor', (a, b, w) => lerpOf(a, b, w)),
    overload('lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor', (a, b, w) => lerpOf(a, b, w)),
  ),
  addcmul: declareInplace(
    docOf('addcmul', 'self + value * tensor1 * tensor2'),
    overload('addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor', (x, a, b, value) =>
      addcmulOf(x, a, b, value),
    ),
  ),
  addcdiv: declareInplace(
    docOf('addcdiv', 'self + value * tensor1 / tensor2'),
    overload('addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor', (x, a, b, value) => {
      if (whole(a.dtype) && whole(b.dtype))
        throw new Error(
          'Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes.',
        );
      return addcdivCall([x, a, b, value]);
    }),
  ),
  fill: declare(
    { ...docOf('fill', 'A tensor like self, full of a value'), as: 'function' },
    overload('fill.Scalar(Tensor self, Scalar value) -> Tensor', (x, value) => fillWith(x, value)),
    overload('fill.Tensor(Tensor self, Tensor value) -> Tensor', (x, value) => fillWith(x, value)),
  ),
  fill_: declare(
    { doc: 'Fills with a value. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.fill_.html' },
    overload('fill_.Scalar(Tensor self, Scalar value) -> Tensor', (x, value) => writeInto(x, () => fillWith(x, value))),
    overload('fill_.Tensor(Tensor self, Tensor value) -> Tensor', (x, value) => writeInto(x, () => fillWith(x, value))),
  ),
  copysign: declareInplace(
    docOf('copysign', 'self with the sign of other'),
    tensorTensor('copysign', copysignCall),
    tensorScalar('copysign', copysignCall),
  ),
  heaviside: declareInplace(
    docOf('heaviside', '0 below zero, 1 above it, values at it'),
    overload('heaviside(Tensor self, Tensor values) -> Tensor', (x, values) => heavisideCall([x, values])),
  ),
  nextafter: declareInplace(
    docOf('nextafter', 'The next number after self towards other'),
    overload('nextafter(Tensor self, Tensor other) -> Tensor', (a, b) => {
      const dtype = promotedOf([a, b]);
      return afterCall([a, b], dtype, dtype.name);
    }),
  ),
};
