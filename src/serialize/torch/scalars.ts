/** Text and integers of arbitrary size as pickle writes them. Lone surrogates, which JavaScript and Python allow, are three bytes (`surrogatepass`). */
import { UnpicklingError } from './errors.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function decodeText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return decodeWithSurrogates(bytes);
  }
}

/** UTF-8 in which a surrogate may stand alone; anything else that is not UTF-8 is an error. */
function decodeWithSurrogates(bytes: Uint8Array): string {
  const parts: string[] = [];
  let from = 0;
  const flush = (to: number): void => {
    try {
      parts.push(strict.decode(bytes.subarray(from, to)));
    } catch {
      throw new UnpicklingError("'utf-8' codec can't decode bytes of a string: invalid continuation byte");
    }
  };
  for (let i = 0; i + 2 < bytes.length; i++) {
    if (bytes[i] !== 0xed || bytes[i + 1] < 0xa0 || bytes[i + 1] > 0xbf || (bytes[i + 2] & 0xc0) !== 0x80) continue;
    flush(i);
    parts.push(String.fromCharCode(0xd000 | ((bytes[i + 1] & 0x3f) << 6) | (bytes[i + 2] & 0x3f)));
    i += 2;
    from = i + 1;
  }
  flush(bytes.length);
  return parts.join('');
}

export function encodeText(text: string): Uint8Array {
  if (!/\p{Surrogate}/u.test(text)) return Buffer.from(text, 'utf8');
  const parts: Uint8Array[] = [];
  for (const character of text) {
    const unit = character.charCodeAt(0);
    if (character.length === 1 && unit >= 0xd800 && unit <= 0xdfff)
      parts.push(Uint8Array.of(0xed, 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)));
    else parts.push(Buffer.from(character, 'utf8'));
  }
  return Buffer.concat(parts);
}

/** Two's complement, little endian, as short as it can be: a number while it is safe. */
export function decodeInteger(bytes: Uint8Array): number | bigint {
  if (bytes.length === 0) return 0;
  const unsigned = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
  const value = bytes[bytes.length - 1] & 0x80 ? unsigned - (1n << BigInt(8 * bytes.length)) : unsigned;
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

export function encodeInteger(value: bigint): Uint8Array {
  if (value === 0n) return new Uint8Array(0);
  // A positive number whose top bit is set needs one byte more, or it would be read as negative.
  const magnitude = value < 0n ? -value - 1n : value;
  const bits = magnitude === 0n ? 0 : magnitude.toString(2).length;
  const length = Math.floor(bits / 8) + 1;
  const hex = BigInt.asUintN(8 * length, value)
    .toString(16)
    .padStart(2 * length, '0');
  return Buffer.from(hex, 'hex').reverse();
}
