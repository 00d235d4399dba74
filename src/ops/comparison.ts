/** Comparison operators: https://docs.pytorch.org/docs/stable/torch.html#comparison-ops */
import { bfloat16, bool, type DType, float16, getDefaultDtype, int32, int64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import { constant, type Prim } from '../graph/prim.ts';
import { item } from '../tensor/read.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { declare, declareInplace, type Overload, overload } from './declare.ts';
import { elementwise } from './elementwise.ts';
import { bitsType, docOf, notImplemented, predicate, promotedOf, tensorScalar, tensorTensor } from './pointwise-support.ts';
import { use } from './use.ts';

/** Bools are ordered too: false < true. */
const lessThan = (a: Prim, b: Prim): Prim => (a.dtype === bool ? a.not().and(b) : a.lt(b));
const lessOrEqual = (a: Prim, b: Prim): Prim => (a.dtype === bool ? a.not().or(b) : a.le(b));

const compare = <const N extends 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge'>(name: N, text: string, body: (a: Prim, b: Prim) => Prim) => {
  const call = elementwise({
    name,
    kind: 'ALWAYS_BOOL',
    body: ([a, b]) => body(a, b),
    check: (compute) => {
      if (compute.is_complex && name !== 'eq' && name !== 'ne') throw notImplemented(`${name}_cpu`, compute);
    },
  });
  return declareInplace(docOf(name, text), tensorTensor(name, call), tensorScalar(name, call));
};
const eq = compare('eq', 'self == other', (a, b) => a.eq(b));
const ne = compare('ne', 'self != other', (a, b) => a.ne(b));
const lt = compare('lt', 'self < other', lessThan);
const le = compare('le', 'self <= other', lessOrEqual);
const gt = compare('gt', 'self > other', (a, b) => lessThan(b, a));
const ge = compare('ge', 'self >= other', (a, b) => lessOrEqual(b, a));

const truth = (x: Prim, value: boolean): Prim => constant(value, bool).expand(x.shape);
const infinity = Number.POSITIVE_INFINITY;
const isContinuous = (x: Prim): boolean => x.dtype.is_floating_point || x.dtype.is_complex;
const finiteReal = (x: Prim): Prim => x.scalar('abs').lt(infinity);
const finite = (x: Prim): Prim => (x.dtype.is_complex ? finiteReal(x.real).and(finiteReal(x.imag)) : finiteReal(x));
const infiniteReal = (x: Prim): Prim => x.scalar('abs').eq(infinity);

interface Closeness {
  readonly rtol: number;
  readonly atol: number;
  readonly equalNaN: boolean;
  readonly dtype: DType;
}
/** 16-bit floats round at every step, as PyTorch's composition of operators does: the answer is a bool, and it may depend on that. */
const closeCall = elementwise<Closeness>({
  name: 'isclose',
  kind: 'ALWAYS_BOOL',
  body: ([x, y], { rtol, atol, equalNaN, dtype }) => {
    const [a, b] = [x.cast(dtype), y.cast(dtype)];
    let close = a.eq(b);
    if (equalNaN && isContinuous(a)) close = close.or(a.ne(a).and(b.ne(b)));
    if (rtol === 0 && atol === 0) return close;
    const [u, v] = isContinuous(a) ? [a, b] : [a.cast(getDefaultDtype()), b.cast(getDefaultDtype())];
    const allowed = v.mul(rtol).scalar('abs').add(atol);
    const error = u.sub(v).scalar('abs');
    return close.or(finiteReal(error).and(error.le(allowed)));
  },
});
function isclose(a: Tensor, b: Tensor, rtol: number, atol: number, equalNaN: boolean): Tensor {
  if (a.dtype !== b.dtype) throw new Error(`${scalarTypeName(a.dtype)} did not match ${scalarTypeName(b.dtype)}`);
  if (rtol < 0) throw new Error(`rtol must be greater than or equal to zero, but got ${rtol}`);
  if (atol < 0) throw new Error(`atol must be greater than or equal to zero, but got ${atol}`);
  const dtype = a.dtype === float16 || a.dtype === bfloat16 ? a.dtype : promotedOf([a, b]);
  return closeCall([a, b], { rtol, atol, equalNaN, dtype }, `${rtol},${atol},${equalNaN},${dtype.name},${getDefaultDtype().name}`);
}
const isTrue = (x: Tensor): boolean => Boolean(item(x));

const python = <const N extends string>(name: N, from: { readonly overloads: readonly Overload[] }) =>
  declare(
    { doc: `Python's operator ${name}`, as: 'method' },
    overload(`${name}.Tensor(Tensor self, Tensor other) -> Tensor` as const, from.overloads[0].call as never),
    overload(`${name}.Scalar(Tensor self, Scalar other) -> Tensor` as const, from.overloads[1].call as never),
  );

export const comparison = {
  eq,
  ne,
  not_equal: ne,
  lt,
  less: lt,
  le,
  less_equal: le,
  gt,
  greater: gt,
  ge,
  greater_equal: ge,
  __eq__: python('__eq__', eq),
  __ne__: python('__ne__', ne),
  __lt__: python('__lt__', lt),
  __le__: python('__le__', le),
  __gt__: python('__gt__', gt),
  __ge__: python('__ge__', ge),
  isclose: declare(
    docOf('isclose', '|self - other| <= atol + rtol |other|'),
    overload(
      'isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor',
      (a, b, rtol, atol, nan) => isclose(a, b, rtol, atol, nan),
    ),
  ),
  allclose: declare(
    docOf('allclose', 'Whether all elements are close; waits for the device'),
    overload(
      'allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool',
      (a, b, rtol, atol, nan) => isTrue(use('all', isclose(a, b, rtol, atol, nan))),
    ),
  ),
  equal: declare(
    docOf('equal', 'Whether shapes and all elements are the same; waits for the device'),
    overload('equal(Tensor self, Tensor other) -> bool', (a, b) => {
      if (a.view_.shape.join() !== b.view_.shape.join()) return false;
      return isTrue(use('all', use('eq', a, b)));
    }),
  ),
  isfinite: predicate('isfinite', 'Whether neither infinite nor NaN', (x) => (isContinuous(x) ? finite(x) : truth(x, true))),
  isnan: predicate('isnan', 'Whether NaN', (x) => (isContinuous(x) ? x.ne(x) : truth(x, false))),
  isinf: predicate('isinf', 'Whether infinite', (x) => {
    if (!isContinuous(x)) return truth(x, false);
    return x.dtype.is_complex ? infiniteReal(x.real).or(infiniteReal(x.imag)) : infiniteReal(x);
  }),
  isposinf: predicate('isposinf', 'Whether plus infinity', (x) => (isContinuous(x) ? x.eq(infinity) : truth(x, false)), {
    check: (compute) => {
      if (compute.is_complex) throw new Error('isposinf does not support complex inputs.');
    },
  }),
  isneginf: predicate('isneginf', 'Whether minus infinity', (x) => (isContinuous(x) ? x.eq(-infinity) : truth(x, false)), {
    check: (compute) => {
      if (compute.is_complex) throw new Error('isneginf does not support complex inputs.');
    },
  }),
  isreal: predicate('isreal', 'Whether the imaginary part is 0', (x) => (x.dtype.is_complex ? x.imag.eq(0) : truth(x, true))),
  signbit: predicate(
    'signbit',
    'Whether the sign bit is set: negative numbers and -0',
    (x) => {
      if (x.dtype.kind === 'bool' || !x.dtype.is_signed) return truth(x, false);
      if (!x.dtype.is_floating_point) return x.lt(0);
      return x.bitcast(bitsType(x, int32, int64)).lt(0);
    },
    {
      check: (compute) => {
        if (compute.is_complex) throw new Error('signbit is not implemented for complex tensors.');
      },
    },
  ),
};
