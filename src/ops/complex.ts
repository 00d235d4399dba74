/**
 * Complex numbers: https://docs.pytorch.org/docs/stable/complex_numbers.html
 *
 * `real`, `imag`, `view_as_real` and `view_as_complex` are windows on the same memory, as in PyTorch. Conjugation is always computed: there is
 * no conjugate or negative bit, so `is_conj` and `is_neg` are false and the `resolve_` functions return their argument.
 */
import { type DType, float16, float32, float64 } from '../dtype/dtype.ts';
import { scalarTypeName } from '../dtype/promotion.ts';
import { complexOf, constant, type Prim } from '../graph/prim.ts';
import { makeView } from '../shape/view.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { viewAs } from '../tensor/view-tensor.ts';
import { declare, declareInplace, overload } from './declare.ts';
import { elementwise } from './elementwise.ts';

function partOf(x: Tensor, dtype: DType, part: 0 | 1): Tensor {
  const { shape, strides } = x.view_;
  const view = makeView(
    dtype,
    x.device,
    shape,
    strides.map((s) => 2 * s),
  );
  return viewAs(x, view, 2 * x.offset + part);
}
export const realOf = (x: Tensor): Tensor => (x.dtype.is_complex ? partOf(x, x.dtype.real, 0) : x);
export function imagOf(x: Tensor): Tensor {
  if (!x.dtype.is_complex) throw new Error('imag is not implemented for tensors with non-complex dtypes.');
  return partOf(x, x.dtype.real, 1);
}

export function viewAsReal(x: Tensor): Tensor {
  if (!x.dtype.is_complex) throw new Error('view_as_real is only supported for complex tensors');
  const { shape, strides } = x.view_;
  return viewAs(x, makeView(x.dtype.real, x.device, [...shape, 2], [...strides.map((s) => 2 * s), 1]), 2 * x.offset);
}

export function viewAsComplex(x: Tensor): Tensor {
  const { dtype } = x;
  if (dtype !== float32 && dtype !== float64)
    throw new Error(
      `view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: ${scalarTypeName(dtype)}`,
    );
  const { shape, strides } = x.view_;
  const last = x.ndim - 1;
  if (x.ndim === 0) throw new Error('Input tensor must have one or more dimensions');
  if (shape[last] !== 2) throw new Error('Tensor must have a last dimension of size 2');
  if (strides[last] !== 1) throw new Error('Tensor must have a last dimension with stride 1');
  if (strides.some((s, i) => i !== last && s % 2 !== 0))
    throw new Error('Tensor must have a stride divisible by 2 for all but last dimension');
  if (x.offset % 2 !== 0) throw new Error('Tensor must have a storage_offset divisible by 2');
  const view = makeView(
    dtype.complex,
    x.device,
    shape.slice(0, last),
    strides.slice(0, last).map((s) => s / 2),
  );
  return viewAs(x, view, x.offset / 2);
}

const conjugateCall = elementwise({ name: 'conj', kind: 'NO_OPMATH', body: ([x]) => x.conj() });
export const conjugateOf = (x: Tensor): Tensor => (x.dtype.is_complex ? conjugateCall([x]) : x);

/** z / |z|, and 0 at 0. */
const unit = (z: Prim, length: Prim): Prim => length.eq(0).where(0, z.div(length));
const signOf = (x: Prim): Prim => {
  if (x.dtype.kind === 'bool') return x;
  const zero = constant(0, x.dtype);
  return zero.lt(x).where(constant(1, x.dtype), x.lt(zero).where(constant(-1, x.dtype), zero));
};
const signCall = elementwise({
  name: 'sgn',
  kind: 'DEFAULT',
  body: ([x]) => (x.dtype.is_complex ? unit(x, x.scalar('abs')) : signOf(x)),
  gradient: (g, [x], sign) => {
    if (!x.dtype.is_complex) return [constant(0, g.dtype).expand(g.shape)];
    const length = x.scalar('abs');
    const along = g.mul(sign.conj()).real;
    return [unit(g.sub(sign.mul(along)), length)];
  },
});

const angleCall = elementwise({
  name: 'angle',
  kind: 'INT_TO_FLOAT',
  result: (promoted) => promoted.real,
  body: ([x]) => {
    if (x.dtype.is_complex) return x.imag.scalar('atan2', x.real);
    return x.ne(x).where(x, x.lt(0).where(constant(Math.PI, x.dtype), constant(0, x.dtype)));
  },
  gradient: (g, [z]) => {
    if (!z.dtype.is_complex) return [constant(0, g.dtype).expand(g.shape)];
    const length = z.scalar('abs');
    const turned = complexOf(z.imag.neg(), z.real);
    return [length.eq(0).where(0, turned.div(length.mul(length)).mul(g.real))];
  },
});

/** Both operands float16, float32 or float64, and the same. */
function checkParts(a: Tensor, b: Tensor): void {
  const allowed = (d: DType): boolean => d === float16 || d === float32 || d === float64;
  if (!allowed(a.dtype) || !allowed(b.dtype))
    throw new Error(
      `Expected both inputs to be Half, Float or Double tensors but got ${scalarTypeName(a.dtype)} and ${scalarTypeName(b.dtype)}`,
    );
  if (a.dtype !== b.dtype)
    throw new Error(
      `Expected object of scalar type ${scalarTypeName(a.dtype)} but got scalar type ${scalarTypeName(b.dtype)} for second argument`,
    );
}

const complexCall = elementwise({
  name: 'complex',
  kind: 'DEFAULT',
  result: (promoted) => promoted.complex,
  body: ([re, im]) => complexOf(re, im),
  gradient: (g) => [g.real, g.imag],
});
const polarCall = elementwise({
  name: 'polar',
  kind: 'DEFAULT',
  result: (promoted) => promoted.complex,
  body: ([length, angle]) => complexOf(length.mul(angle.scalar('cos')), length.mul(angle.scalar('sin'))),
  gradient: (g, _, z) => {
    const turned = complexOf(z.imag.neg(), z.real);
    return [g.conj().mul(unit(z, z.scalar('abs'))).real, g.conj().mul(turned).real];
  },
});

export const complexOps = {
  real: declare(
    { doc: 'Real parts, a view; of a real tensor itself. https://docs.pytorch.org/docs/stable/generated/torch.real.html', as: 'function' },
    overload('real(Tensor self) -> Tensor', (x) => realOf(x)),
  ),
  imag: declare(
    { doc: 'Imaginary parts, a view. https://docs.pytorch.org/docs/stable/generated/torch.imag.html', as: 'function' },
    overload('imag(Tensor self) -> Tensor', (x) => imagOf(x)),
  ),
  view_as_real: declare(
    {
      doc: 'Complex numbers as pairs of reals in a new last dim, a view. https://docs.pytorch.org/docs/stable/generated/torch.view_as_real.html',
      as: 'function',
    },
    overload('view_as_real(Tensor self) -> Tensor', (x) => viewAsReal(x)),
  ),
  view_as_complex: declare(
    {
      doc: 'Pairs of reals in the last dim as complex numbers, a view. https://docs.pytorch.org/docs/stable/generated/torch.view_as_complex.html',
      as: 'function',
    },
    overload('view_as_complex(Tensor self) -> Tensor', (x) => viewAsComplex(x)),
  ),
  complex: declare(
    { doc: 'real + imag i. https://docs.pytorch.org/docs/stable/generated/torch.complex.html', as: 'function' },
    overload('complex(Tensor real, Tensor imag) -> Tensor', (re, im) => {
      checkParts(re, im);
      return complexCall([re, im]);
    }),
  ),
  polar: declare(
    {
      doc: 'The complex number of a length and an angle (radians). https://docs.pytorch.org/docs/stable/generated/torch.polar.html',
      as: 'function',
    },
    overload('polar(Tensor abs, Tensor angle) -> Tensor', (length, angle) => {
      checkParts(length, angle);
      return polarCall([length, angle]);
    }),
  ),
  conj: declare(
    { doc: 'The conjugate (computed); of a real tensor itself. https://docs.pytorch.org/docs/stable/generated/torch.conj.html' },
    overload('conj(Tensor self) -> Tensor', (x) => conjugateOf(x)),
  ),
  conj_physical: declareInplace(
    { doc: 'The conjugate, computed. https://docs.pytorch.org/docs/stable/generated/torch.conj_physical.html' },
    overload('conj_physical(Tensor self) -> Tensor', (x) => conjugateOf(x)),
  ),
  resolve_conj: declare(
    { doc: 'Itself: conjugation is always computed. https://docs.pytorch.org/docs/stable/generated/torch.resolve_conj.html' },
    overload('resolve_conj(Tensor self) -> Tensor', (x) => x),
  ),
  resolve_neg: declare(
    { doc: 'Itself: negation is always computed. https://docs.pytorch.org/docs/stable/generated/torch.resolve_neg.html' },
    overload('resolve_neg(Tensor self) -> Tensor', (x) => x),
  ),
  is_conj: declare(
    { doc: 'Whether a conjugation is pending: never. https://docs.pytorch.org/docs/stable/generated/torch.is_conj.html' },
    overload('is_conj(Tensor self) -> bool', () => false),
  ),
  is_neg: declare(
    { doc: 'Whether a negation is pending: never. https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_neg.html' },
    overload('is_neg(Tensor self) -> bool', () => false),
  ),
  angle: declare(
    { doc: 'Argument in radians; of real numbers 0 or pi. https://docs.pytorch.org/docs/stable/generated/torch.angle.html' },
    overload('angle(Tensor self) -> Tensor', (x) => angleCall([x])),
  ),
  sgn: declareInplace(
    { doc: 'z / |z|, and 0 at 0; the sign of real numbers. https://docs.pytorch.org/docs/stable/generated/torch.sgn.html' },
    overload('sgn(Tensor self) -> Tensor', (x) => signCall([x])),
  ),
};
