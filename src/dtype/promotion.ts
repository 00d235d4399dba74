/**
 * Type promotion: which dtype a mix of operands gives.
 *
 * `promoteTypes` is the lattice. `resultType` adds PyTorch's three classes of operands: tensors with dimensions decide, a 0-d tensor
 * counts only if it is of a higher category (bool < int < float < complex), a bare scalar only if higher still. An operator names its
 * promotion kind, and `elementwiseDtypes` answers with the dtype it computes in and the dtype it returns.
 * fp8 does not promote with anything, as in PyTorch. complex32 does not exist here: its place is taken by complex64.
 */
import { bfloat16, bool, type DType, type DTypeName, dtypes, float16, float32, getDefaultDtype, int16, int64, uint8 } from './dtype.ts';

export { getDefaultDtype, setDefaultDtype } from './dtype.ts';

export type ScalarKind = 'bool' | 'int' | 'float' | 'complex';
/** A tensor's part in promotion, or the kind of a bare scalar. */
export type PromotionOperand = { readonly dtype: DType; readonly ndim: number } | ScalarKind;

export type PromotionKind = 'DEFAULT' | 'NO_OPMATH' | 'INT_TO_FLOAT' | 'ALWAYS_BOOL' | 'COMPLEX_TO_FLOAT' | 'BOOL_TO_LONG';

// The names in PyTorch's own error texts.
const scalarTypeNames = {
  float64: 'Double',
  float32: 'Float',
  float16: 'Half',
  bfloat16: 'BFloat16',
  float8_e4m3fn: 'Float8_e4m3fn',
  float8_e5m2: 'Float8_e5m2',
  int64: 'Long',
  int32: 'Int',
  int16: 'Short',
  int8: 'Char',
  uint8: 'Byte',
  bool: 'Bool',
  complex64: 'ComplexFloat',
  complex128: 'ComplexDouble',
} as const satisfies Record<DTypeName, string>;

/** PyTorch's C++ name of a dtype (`Float`, `Long`), for error texts. */
export function scalarTypeName(dtype: DType): string {
  return scalarTypeNames[dtype.name];
}

const rank = { bool: 0, int: 1, float: 2, complex: 3 } as const;

function isFloat8(dtype: DType): boolean {
  return dtype.is_floating_point && dtype.itemsize === 1;
}

function join(a: DType, b: DType): DType {
  if (a === b) return a;
  const high = rank[a.kind] >= rank[b.kind] ? a : b;
  const low = high === a ? b : a;
  if (high.kind !== low.kind) {
    // Only float64 among the lower category can widen a higher one, and only a complex one.
    return high.is_complex && low === dtypes[0] ? low.complex : high;
  }
  if (high.kind === 'float' && high.itemsize === 2 && low.itemsize === 2) return float32; // half and bfloat16
  if (high.kind === 'int' && (high === uint8 || low === uint8)) {
    const other = high === uint8 ? low : high;
    return other.itemsize === 1 ? int16 : other;
  }
  return high.itemsize >= low.itemsize ? high : low;
}

const table: readonly (DType | undefined)[] = dtypes.flatMap((a) =>
  dtypes.map((b) => (a !== b && (isFloat8(a) || isFloat8(b)) ? undefined : join(a, b))),
);

/** `torch.promote_types(a, b)`. */
export function promoteTypes(a: DType, b: DType): DType {
  const result = table[a.id * dtypes.length + b.id];
  if (result === undefined) {
    throw new Error(`Promotion for Float8 Types is not supported, attempted to promote ${scalarTypeName(a)} and ${scalarTypeName(b)}`);
  }
  return result;
}

/** The dtype a bare scalar stands for: int64 for an int, the default dtypes for a float and a complex. */
export function scalarDtype(kind: ScalarKind): DType {
  switch (kind) {
    case 'bool':
      return bool;
    case 'int':
      return int64;
    case 'float':
      return getDefaultDtype();
    case 'complex':
      return getDefaultDtype().complex;
    default:
      return kind satisfies never;
  }
}

function accumulate(current: DType | undefined, next: DType): DType {
  return current === undefined ? next : promoteTypes(current, next);
}

function combine(higher: DType | undefined, lower: DType | undefined): DType | undefined {
  if (higher === undefined) return lower;
  if (lower === undefined || higher.is_complex) return higher;
  if (higher.is_floating_point) return lower.is_complex ? higher.complex : higher;
  return higher === bool || lower.is_floating_point || lower.is_complex ? promoteTypes(higher, lower) : higher;
}

/** `torch.result_type` for any number of operands. */
export function resultType(operands: readonly PromotionOperand[]): DType {
  let dim: DType | undefined;
  let zero: DType | undefined;
  let scalar: DType | undefined;
  for (const operand of operands) {
    if (typeof operand === 'string') scalar = accumulate(scalar, scalarDtype(operand));
    else if (operand.ndim > 0) dim = accumulate(dim, operand.dtype);
    else zero = accumulate(zero, operand.dtype);
  }
  const result = combine(dim, combine(zero, scalar));
  if (result === undefined) throw new Error('internal: resultType of no operands');
  return result;
}

/** The dtype in which an operator on `dtype` computes: float32 for the 16-bit floats, the dtype itself otherwise. */
export function computationDtype(dtype: DType): DType {
  return dtype === float16 || dtype === bfloat16 ? float32 : dtype;
}

/** What an elementwise operator of a promotion kind computes in, and what it returns. */
export function elementwiseDtypes(
  kind: PromotionKind,
  operands: readonly PromotionOperand[],
): { readonly compute: DType; readonly result: DType } {
  const common = resultType(operands);
  switch (kind) {
    case 'DEFAULT':
      return { compute: computationDtype(common), result: common };
    case 'NO_OPMATH':
      return { compute: common, result: common };
    case 'INT_TO_FLOAT': {
      const result = common.kind === 'int' || common.kind === 'bool' ? getDefaultDtype() : common;
      return { compute: computationDtype(result), result };
    }
    case 'COMPLEX_TO_FLOAT':
      return { compute: computationDtype(common), result: common.real };
    case 'BOOL_TO_LONG': {
      const result = common === bool ? int64 : common;
      return { compute: computationDtype(result), result };
    }
    case 'ALWAYS_BOOL':
      return { compute: computationDtype(common), result: bool };
    default:
      return kind satisfies never;
  }
}

/** `torch.can_cast(from, to)`: false where a category would be lost. */
export function canCast(from: DType, to: DType): boolean {
  return rank[from.kind] <= rank[to.kind];
}
