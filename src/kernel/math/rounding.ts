/**
 * `round`: the value that remains after storing as a narrower dtype and loading again.
 *
 * float16 and fp8: (x + c) - c with c = 1.5 * 2^(e + 23 - p), where e is x's exponent (at least the smallest normal one, which makes
 * subnormals right) and p the stored bits: the sum drops what the format does not hold, to nearest even. bfloat16 has f32's
 * exponents, so its bits are rounded as an integer. A NaN becomes the quiet NaN without payload.
 */
import type { DType } from '../../dtype/dtype.ts';
import type { FloatMath } from './algebra.ts';

interface Format {
  readonly stored: number;
  readonly smallestExponent: number;
  /** |x| from here on is no longer finite. */
  readonly limit: number;
  readonly beyond: number;
}
// The limits lie half a step above the largest finite value; e4m3fn's own limit (464) still rounds down, to even.
const formats = {
  float16: { stored: 10, smallestExponent: -14, limit: 65520, beyond: Infinity },
  float8_e5m2: { stored: 2, smallestExponent: -14, limit: 61440, beyond: Infinity },
  float8_e4m3fn: { stored: 3, smallestExponent: -6, limit: 464.00003, beyond: Number.NaN },
} as const satisfies Record<string, Format>;

function roundToFormat<T>(m: FloatMath<T>, x: T, format: Format): T {
  const power = m.float(m.and(m.bits(x), m.i(0x7f800000)));
  const drop = 23 - format.stored;
  const magic = m.max(m.c(1.5 * 2 ** (format.smallestExponent + drop)), m.mul(power, m.c(1.5 * 2 ** drop)));
  const rounded = m.withSign(m.abs(m.sub(m.add(x, magic), magic)), x);
  if (Number.isNaN(format.beyond)) return m.select(m.lt(m.abs(x), m.c(format.limit)), rounded, m.c(Number.NaN));
  return m.select(m.le(m.c(format.limit), m.abs(x)), m.withSign(m.c(format.beyond), x), rounded);
}
function roundToBfloat16<T>(m: FloatMath<T>, x: T): T {
  const bits = m.bits(x);
  const odd = m.and(m.ushr(bits, 16), m.i(1));
  const rounded = m.float(m.and(m.add(bits, m.add(odd, m.i(0x7fff))), m.i(0xffff0000)));
  return m.select(m.eq(x, x), rounded, m.c(Number.NaN));
}

/** `m` is of type f32; for the integer dtypes x is i32. */
export function round<T>(m: FloatMath<T>, dtype: DType, x: T): T {
  switch (dtype.name) {
    case 'bfloat16':
      return roundToBfloat16(m, x);
    case 'float16':
    case 'float8_e4m3fn':
    case 'float8_e5m2':
      return roundToFormat(m, x, formats[dtype.name]);
    case 'int16':
      return m.shr(m.shl(x, 16), 16);
    case 'int8':
      return m.shr(m.shl(x, 24), 24);
    case 'uint8':
      return m.and(x, m.i(255));
    default:
      return x;
  }
}
