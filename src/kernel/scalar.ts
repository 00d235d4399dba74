/**
 * The scalar operations of the kernel IR: the closed table that every renderer implements.
 *
 * `basic` operations are what a target must provide. `composite` ones (exp, erf, pow, ...) are rewritten into basic ones by
 * `decompose.ts` before a kernel is lowered, with one formula for all targets: so AVX2 and AVX-512 agree bit for bit, and a new
 * target needs no mathematics of its own. A target may claim a composite as native only where it rounds the same way.
 *
 * Types: a value has a compute type, not a dtype. float16, bfloat16 and fp8 are loaded into f32 and rounded where an operator ends
 * (`round`, see ir.ts); int32/16/8 and uint8 live in i32; `index` is address arithmetic (a GPR, or a JS number), never data.
 */
export type ComputeType = 'f32' | 'f64' | 'i32' | 'i64' | 'bool' | 'index';

/** `float`: f32/f64; `int`: i32/i64; `number`: both and index; `bits`: i32/i64/bool; `compare` gives bool. */
export type OperandKind = 'float' | 'int' | 'number' | 'bits' | 'any' | 'bool';

export interface ScalarOpInfo {
  readonly arity: 1 | 2 | 3;
  readonly operands: OperandKind;
  readonly result: 'same' | 'bool';
  readonly level: 'basic' | 'composite';
  readonly doc: string;
}

const basic = (
  arity: 1 | 2 | 3,
  operands: OperandKind,
  doc: string,
  result: 'same' | 'bool' = 'same',
): ScalarOpInfo & { readonly level: 'basic' } => ({
  arity,
  operands,
  result,
  level: 'basic',
  doc,
});
const composite = (arity: 1 | 2 | 3, operands: OperandKind, doc: string): ScalarOpInfo & { readonly level: 'composite' } => ({
  arity,
  operands,
  result: 'same',
  level: 'composite',
  doc,
});

export const scalarOps = {
  add: basic(2, 'number', 'a + b; integers wrap'),
  sub: basic(2, 'number', 'a - b; integers wrap'),
  mul: basic(2, 'number', 'a * b; integers wrap'),
  div: basic(2, 'float', 'a / b, correctly rounded'),
  idiv: basic(
    2,
    'number',
    'integer quotient rounded towards zero (ints and index; floored and truncated agree on index); x / 0 is 0, MIN / -1 wraps',
  ),
  irem: basic(2, 'number', 'a - idiv(a, b) * b for ints and index; x % 0 is 0'),
  min: basic(2, 'number', 'smaller; a NaN operand gives NaN; min(-0, 0) may be either'),
  max: basic(2, 'number', 'larger; a NaN operand gives NaN'),
  neg: basic(1, 'number', '-a (floats flip the sign bit)'),
  abs: basic(1, 'number', '|a|'),
  sqrt: basic(1, 'float', 'correctly rounded'),
  floor: basic(1, 'float', 'towards -inf'),
  ceil: basic(1, 'float', 'towards +inf'),
  trunc: basic(1, 'float', 'towards zero'),
  rint: basic(1, 'float', 'to nearest, ties to even'),
  fma: basic(3, 'float', 'a * b + c with one rounding (two where the target has none: plain WebAssembly)'),
  lt: basic(2, 'number', 'a < b', 'bool'),
  le: basic(2, 'number', 'a <= b', 'bool'),
  eq: basic(2, 'any', 'a == b', 'bool'),
  ne: basic(2, 'any', 'a != b; true for NaN', 'bool'),
  and: basic(2, 'bits', 'bitwise, or logical on bool'),
  or: basic(2, 'bits', 'bitwise, or logical on bool'),
  xor: basic(2, 'bits', 'bitwise, or logical on bool'),
  not: basic(1, 'bits', 'bitwise, or logical on bool'),
  shl: basic(2, 'int', 'a << b; b >= width gives 0'),
  shr: basic(2, 'int', 'arithmetic a >> b; b >= width gives the sign'),
  ushr: basic(2, 'int', 'logical a >>> b; b >= width gives 0'),
  select: basic(3, 'any', 'first (bool) ? second : third'),

  exp: composite(1, 'float', 'e^a'),
  exp2: composite(1, 'float', '2^a'),
  expm1: composite(1, 'float', 'e^a - 1'),
  log: composite(1, 'float', 'natural logarithm'),
  log2: composite(1, 'float', 'base 2'),
  log10: composite(1, 'float', 'base 10'),
  log1p: composite(1, 'float', 'log(1 + a)'),
  sin: composite(1, 'float', 'radians'),
  cos: composite(1, 'float', 'radians'),
  tan: composite(1, 'float', 'radians'),
  asin: composite(1, 'float', 'radians'),
  acos: composite(1, 'float', 'radians'),
  atan: composite(1, 'float', 'radians'),
  atan2: composite(2, 'float', 'radians'),
  sinh: composite(1, 'float', ''),
  cosh: composite(1, 'float', ''),
  tanh: composite(1, 'float', ''),
  asinh: composite(1, 'float', ''),
  acosh: composite(1, 'float', ''),
  atanh: composite(1, 'float', ''),
  erf: composite(1, 'float', 'error function'),
  erfc: composite(1, 'float', '1 - erf(a), accurate in the tail'),
  erfinv: composite(1, 'float', 'inverse of erf'),
  lgamma: composite(1, 'float', 'log |gamma(a)|'),
  digamma: composite(1, 'float', "PyTorch's conventions at the poles"),
  pow: composite(2, 'number', "a^b: IEEE pow for floats, wrapping for ints with b >= 0 (b < 0 as PyTorch's integer pow)"),
  fmod: composite(2, 'float', "C's fmod: exact, sign of a"),
} as const satisfies Record<string, ScalarOpInfo>;

export type ScalarOp = keyof typeof scalarOps;
export type BasicOp = { [K in ScalarOp]: (typeof scalarOps)[K]['level'] extends 'basic' ? K : never }[ScalarOp];
