/**
 * The four operations, division with its roundings, remainders, and their other names and Python's double-underscore forms.
 *
 * Integers divide by truncation in the kernels (`idiv`, `irem`); the floored forms correct by the signs. A zero among integer divisors is an error
 * in PyTorch: it is thrown at the call where the divisor is a number or lies in memory.
 */
import { bool, type DType } from '../dtype/dtype.ts';
import type { Prim } from '../graph/prim.ts';
import { engineOf } from '../tensor/devices.ts';
import { readWindow } from '../tensor/read.ts';
import { Tensor } from '../tensor/tensor.ts';
import { hostCheck } from '../tensor/tracing.ts';
import { writeInto } from '../tensor/write.ts';
import { spoilLesson } from '../util/lesson.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { elementwise, type Operand } from './elementwise.ts';
import {
  type BinaryCall,
  docOf,
  gradientMissing,
  notImplemented,
  over,
  promotedOf,
  scalarTensor,
  signOf,
  tensorScalar,
  tensorTensor,
  unary,
  unaryOverload,
  zerosLike,
} from './pointwise-support.ts';
import { type ScalarArgument, scalarKind, scalarValue } from './scalar-argument.ts';
import { use } from './use.ts';

const isBool = (o: Operand): boolean => (o instanceof Tensor ? o.dtype === bool : scalarKind(o) === 'bool');
const isOne = (alpha: unknown): boolean => alpha === 1 || alpha === 1n;

function checkSubtraction(_compute: DType, [a, b]: readonly Operand[]): void {
  if (isBool(a) && isBool(b))
    throw new Error(
      'Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead.',
    );
  if (isBool(a) || isBool(b))
    throw new Error(
      'Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead.',
    );
}

/** PyTorch's check of `alpha` against the result's dtype. */
function checkAlpha(promoted: DType, alpha: ScalarArgument): void {
  const kind = scalarKind(alpha);
  if (kind === 'bool' && promoted !== bool) throw new Error('Boolean alpha only supported for Boolean results.');
  if (kind === 'float' && !promoted.is_floating_point && !promoted.is_complex)
    throw new Error('For integral input tensors, argument alpha must not be a floating point number.');
  if (kind === 'complex' && !promoted.is_complex)
    throw new Error('For non-complex input tensors, argument alpha must not be a complex number.');
}

const sum = (a: Prim, b: Prim): Prim => (a.dtype.kind === 'bool' ? a.or(b) : a.add(b));
const product = (a: Prim, b: Prim): Prim => (a.dtype.kind === 'bool' ? a.and(b) : a.mul(b));
const addCall = elementwise({ name: 'add', kind: 'DEFAULT', body: ([a, b]) => sum(a, b) });
const subCall = elementwise({ name: 'sub', kind: 'DEFAULT', body: ([a, b]) => a.sub(b), check: checkSubtraction });
const mulCall = elementwise({ name: 'mul', kind: 'DEFAULT', body: ([a, b]) => product(a, b) });
/** The third operand is `alpha`; its kind never decides the dtype, which `scaled` makes sure of. */
const addScaled = elementwise({ name: 'add', kind: 'DEFAULT', body: ([a, b, alpha]) => sum(a, product(b, alpha)) });
const subScaled = elementwise({ name: 'sub', kind: 'DEFAULT', body: ([a, b, alpha]) => a.sub(b.mul(alpha)), check: checkSubtraction });

function scaled(
  plain: BinaryCall,
  call: BinaryCall,
  check?: typeof checkSubtraction,
): (a: Operand, b: Operand, alpha: ScalarArgument) => Tensor {
  return (a, b, alpha) => {
    if (isOne(alpha)) return plain([a, b]);
    const promoted = promotedOf([a, b]);
    check?.(promoted, [a, b]);
    checkAlpha(promoted, alpha);
    return call([a, b, promoted === bool ? Number(scalarValue(alpha)) !== 0 : alpha]);
  };
}
const addOf = scaled(addCall, addScaled);
const subOf = scaled(subCall, subScaled, checkSubtraction);

// ---- division

/** Throws if an integer divisor is zero, as far as it is known now. */
function checkDivisor(dtype: DType, divisor: Operand): void {
  if (dtype.kind !== 'int') return;
  if (!(divisor instanceof Tensor)) {
    if (Number(scalarValue(divisor)) === 0) throw new Error('ZeroDivisionError');
  } else {
    spoilLesson();
    const { buffer } = divisor.storage.value;
    const { backend } = engineOf(divisor.device);
    if (buffer === null || divisor.view_.numel > 1 << 16 || !divisor.view_.contiguous || divisor.storage.value.dtype !== divisor.dtype)
      return;
    if (!backend.limits.canBlock || backend.name === 'null') return;
    hostCheck(divisor, (t) => {
      if (t.storage.value.buffer === null) return;
      const { array, base } = readWindow(t);
      for (let i = base; i < base + t.view_.numel; i++) if (Number(array[i]) === 0) throw new Error('ZeroDivisionError');
    });
  }
}
const divides =
  (kernel: string) =>
  (_compute: DType, operands: readonly Operand[], promoted: DType): void => {
    if (promoted.kind === 'bool' || promoted.is_complex) throw notImplemented(kernel, promoted);
    checkDivisor(promoted, operands[1]);
  };
/** Data is looked at in every call, not only when a dtype pair is seen first. */
const checked =
  (call: BinaryCall): BinaryCall =>
  (operands) => {
    if (operands.every((o) => !(o instanceof Tensor) || o.dtype.kind === 'int' || o.dtype.kind === 'bool')) {
      const dtype = promotedOf(operands);
      if (dtype.kind === 'int') checkDivisor(dtype, operands[1]);
    }
    return call(operands);
  };

const differ = (a: Prim, b: Prim): Prim => a.lt(0).ne(b.lt(0));
function flooredRemainder(a: Prim, b: Prim): Prim {
  const rest = a.dtype.is_floating_point ? a.scalar('fmod', b) : a.scalar('irem', b);
  return rest.ne(0).and(differ(rest, b)).where(rest.add(b), rest);
}
function flooredQuotient(a: Prim, b: Prim): Prim {
  if (!a.dtype.is_floating_point) {
    const rest = a.scalar('irem', b);
    const quotient = a.scalar('idiv', b);
    return rest.ne(0).and(differ(a, b)).where(quotient.sub(1), quotient);
  }
  // As Python: from the exact remainder, so that the quotient of a rounded division cannot jump over a whole number.
  const rest = a.scalar('fmod', b);
  const ratio = a.sub(rest).div(b);
  const down = rest.ne(0).and(differ(rest, b)).where(ratio.sub(1), ratio);
  const floor = down.scalar('floor');
  const plain = a.div(b);
  const nearest = down.sub(floor).gt(0.5).where(floor.add(1), floor);
  return b.eq(0).where(plain, down.eq(0).where(plain.mul(0), nearest));
}
/** The quotient of 16-bit floats is rounded before it is truncated, as in PyTorch: -1.5 / 0.3 is -5. */
function truncatedQuotient(a: Prim, b: Prim, dtype: DType = a.dtype): Prim {
  return a.dtype.is_floating_point ? a.div(b).cast(dtype).cast(a.dtype).scalar('trunc') : a.scalar('idiv', b);
}
const noSlope = (g: Prim): readonly Prim[] => [zerosLike(g), zerosLike(g)];

const divCall = elementwise({ name: 'div', kind: 'INT_TO_FLOAT', body: ([a, b]) => a.div(b) });
const divFloor = checked(
  elementwise({
    name: 'div',
    kind: 'DEFAULT',
    body: ([a, b]) => flooredQuotient(a, b),
    gradient: noSlope,
    check: divides('div_floor_cpu'),
  }),
);
const divTruncCall = elementwise<DType>({
  name: 'div',
  kind: 'DEFAULT',
  body: ([a, b], dtype) => truncatedQuotient(a, b, dtype),
  gradient: (g) => noSlope(g),
  check: divides('div_trunc_cpu'),
});
const divTrunc = checked((operands) => {
  const dtype = promotedOf(operands);
  return divTruncCall(operands, dtype, dtype.name);
});
const floorDivide = checked(
  elementwise({
    name: 'floor_divide',
    kind: 'DEFAULT',
    body: ([a, b]) => flooredQuotient(a, b),
    gradient: (g) => Array(2).fill(gradientMissing(g, 'derivative for aten::floor_divide is not implemented')),
    check: divides('div_floor_cpu'),
  }),
);
function divMode(a: Operand, b: Operand, mode: string | null): Tensor {
  if (mode === null) return divCall([a, b]);
  if (mode === 'floor') return divFloor([a, b]);
  if (mode === 'trunc') return divTrunc([a, b]);
  throw new Error(`div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '${mode}'`);
}
const remainderCall = checked(
  elementwise({
    name: 'remainder',
    kind: 'DEFAULT',
    body: ([a, b]) => flooredRemainder(a, b),
    gradient: (g, [a, b]) => [g, g.neg().mul(flooredQuotient(a, b))],
    check: divides('remainder_cpu'),
  }),
);
const fmodCall = checked(
  elementwise({
    name: 'fmod',
    kind: 'DEFAULT',
    body: ([a, b]) => a.scalar(a.dtype.is_floating_point ? 'fmod' : 'irem', b),
    gradient: (g, [a, b]) => [g, g.neg().mul(truncatedQuotient(a, b))],
    check: divides('fmod_cpu'),
  }),
);

const div = declareInplace(
  docOf('div', 'self / other, broadcast; integers give floats unless rounding_mode says floor or trunc'),
  tensorTensor('div', divCall),
  tensorScalar('div', divCall),
  overload('div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor', (a, b, mode) => divMode(a, b, mode)),
  overload('div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor', (a, b, mode) => divMode(a, b, mode)),
);
const add = declareInplace(
  docOf('add', 'self + alpha * other, broadcast'),
  overload('add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) => addOf(a, b, alpha)),
  overload('add.Scalar(Tensor self, Scalar other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) => addOf(a, b, alpha)),
);
const sub = declareInplace(
  docOf('sub', 'self - alpha * other, broadcast'),
  overload('sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) => subOf(a, b, alpha)),
  overload('sub.Scalar(Tensor self, Scalar other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) => subOf(a, b, alpha)),
);
const mul = declareInplace(docOf('mul', 'self * other, broadcast'), tensorTensor('mul', mulCall), tensorScalar('mul', mulCall));
const trueDivide = declareInplace(
  docOf('true_divide', 'self / other as floats'),
  tensorTensor('true_divide', divCall),
  tensorScalar('true_divide', divCall),
);

const neg = unary('neg', '-self', (x) => x.neg(), {
  kind: 'DEFAULT',
  check: (compute) => {
    if (compute === bool)
      throw new Error(
        'Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead.',
      );
  },
});
const abs = unary('abs', '|self|', (x) => (x.dtype.is_complex || x.dtype.is_signed ? x.scalar('abs') : x), {
  kind: 'COMPLEX_TO_FLOAT',
  check: (compute) => {
    if (compute === bool) throw new Error('"abs_cpu" not implemented for \'Bool\'');
  },
});
const reciprocal = unary('reciprocal', '1 / self', (x) => over(1, x), { gradient: (g, _, y) => g.neg().mul(y.mul(y).conj()) });
const sign = unary('sign', 'The sign: -1, 0 or 1', signOf, {
  kind: 'DEFAULT',
  gradient: (g) => zerosLike(g),
  check: (compute) => {
    if (compute.is_complex)
      throw new Error('Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.');
  },
});

// ---- Python's operators with the number on the left

const method = <const N extends string>(name: N) => ({ doc: `Python's operator ${name}`, as: 'method' as const });
const reflected = <const N extends string>(name: N, call: (a: Operand, b: Operand) => Tensor) =>
  declare(
    method(name),
    tensorTensor(name, ([self, other]) => call(other, self)),
    tensorScalar(name, ([self, other]) => call(other, self)),
  );
const plain = <const N extends string>(name: N, call: (a: Operand, b: Operand) => Tensor) =>
  declare(
    method(name),
    tensorTensor(name, ([a, b]) => call(a, b)),
    tensorScalar(name, ([a, b]) => call(a, b)),
  );
/** `__iadd__` and its kin write into self. */
const writing = <const N extends string>(name: N, call: (a: Operand, b: Operand) => Tensor) =>
  plain(name, (self, other) => writeInto(self as Tensor, () => call(self, other)));
const addition = (a: Operand, b: Operand): Tensor => addCall([a, b]);
const subtraction = (a: Operand, b: Operand): Tensor => subCall([a, b]);
const multiplication = (a: Operand, b: Operand): Tensor => mulCall([a, b]);
const division = (a: Operand, b: Operand): Tensor => divCall([a, b]);

export const arithmetic = {
  add,
  sub,
  subtract: sub,
  mul,
  multiply: mul,
  div,
  divide: div,
  true_divide: trueDivide,
  rsub: declare(
    { ...docOf('rsub', 'other - alpha * self'), as: 'function' },
    overload('rsub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor', (a, b, alpha) => subOf(b, a, alpha)),
    overload('rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor', (a, b, alpha) => subOf(b, a, alpha)),
  ),
  floor_divide: declareInplace(
    docOf('floor_divide', 'self / other, rounded down'),
    overload('floor_divide(Tensor self, Tensor other) -> Tensor', (a, b) => floorDivide([a, b])),
    tensorScalar('floor_divide', floorDivide),
  ),
  remainder: declareInplace(
    docOf('remainder', 'Remainder with the sign of the divisor, as Python'),
    tensorTensor('remainder', remainderCall),
    tensorScalar('remainder', remainderCall),
    scalarTensor('remainder', remainderCall),
  ),
  fmod: declareInplace(
    docOf('fmod', 'Remainder with the sign of the dividend, as C'),
    tensorTensor('fmod', fmodCall),
    tensorScalar('fmod', fmodCall),
  ),
  neg,
  negative: neg,
  positive: declare(
    docOf('positive', 'The tensor itself'),
    unaryOverload('positive', (x) => {
      if (x.dtype === bool) throw new Error('The `+` operator, on a bool tensor is not supported.');
      return x;
    }),
  ),
  abs,
  absolute: abs,
  reciprocal,
  sign,
  __add__: plain('__add__', addition),
  __radd__: reflected('__radd__', addition),
  __sub__: plain('__sub__', subtraction),
  __rsub__: reflected('__rsub__', subtraction),
  __mul__: plain('__mul__', multiplication),
  __rmul__: reflected('__rmul__', multiplication),
  __div__: plain('__div__', division),
  __truediv__: plain('__truediv__', division),
  __rdiv__: reflected('__rdiv__', division),
  __rtruediv__: reflected('__rtruediv__', division),
  __floordiv__: plain('__floordiv__', (a, b) => floorDivide([a, b])),
  __rfloordiv__: reflected('__rfloordiv__', (a, b) => floorDivide([a, b])),
  __mod__: plain('__mod__', (a, b) => remainderCall([a, b])),
  __rmod__: reflected('__rmod__', (a, b) => remainderCall([a, b])),
  __iadd__: writing('__iadd__', addition),
  __isub__: writing('__isub__', subtraction),
  __imul__: writing('__imul__', multiplication),
  __idiv__: writing('__idiv__', division),
  __itruediv__: writing('__itruediv__', division),
  __ifloordiv__: writing('__ifloordiv__', (a, b) => floorDivide([a, b])),
  __imod__: writing('__imod__', (a, b) => remainderCall([a, b])),
  __ipow__: writing('__ipow__', (a, b) => use('pow', a, b)),
  __neg__: declare(
    method('__neg__'),
    unaryOverload('__neg__', (x) => use('neg', x)),
  ),
  __pos__: declare(
    method('__pos__'),
    unaryOverload('__pos__', (x) => use('positive', x)),
  ),
  __abs__: declare(
    method('__abs__'),
    unaryOverload('__abs__', (x) => use('abs', x)),
  ),
};
