/**
 * Printing: the text that `repr(tensor)` gives in PyTorch, character for character.
 *
 * A pure function of shape, dtype and an element reader (row-major index), so it knows nothing of storages or devices. One formatter
 * looks at the values that will be shown and settles on integer, fixed or scientific form and a common width; complex tensors
 * have one formatter for each part. Python's number formatting rounds exact ties to even where JavaScript rounds them up, so digits are
 * made here from the exact binary value. Sparse, nested, quantized and named tensors are not printed here.
 */
import type { Complex, ScalarValue } from '../dtype/codec.ts';
import { bool, type DType, float64, getDefaultDtype, int64 } from '../dtype/dtype.ts';

export interface PrintOptions {
  /** Digits after the point. */
  readonly precision: number;
  /** More elements than this are summarized. */
  readonly threshold: number;
  /** Elements shown at each end of a summarized dim. */
  readonly edgeitems: number;
  readonly linewidth: number;
  /** Scientific notation always, never, or (null) where the values ask for it. */
  readonly sci_mode: boolean | null;
}
export type PrintProfile = 'default' | 'short' | 'full';
export interface SetPrintOptions extends Partial<PrintOptions> {
  readonly profile?: PrintProfile;
}

const profiles: Record<PrintProfile, Omit<PrintOptions, 'sci_mode'>> = {
  default: { precision: 4, threshold: 1000, edgeitems: 3, linewidth: 80 },
  short: { precision: 2, threshold: 1000, edgeitems: 2, linewidth: 80 },
  full: { precision: 4, threshold: Infinity, edgeitems: 3, linewidth: 80 },
};
let current: PrintOptions = { ...profiles.default, sci_mode: null };

/** `torch.set_printoptions`. As in PyTorch, `sci_mode` goes back to automatic unless it is given. */
export function set_printoptions(options: SetPrintOptions = {}): void {
  const { profile, ...given } = options;
  current = { ...current, ...(profile && profiles[profile]), sci_mode: null, ...given };
}

export function get_printoptions(): PrintOptions {
  return current;
}

export interface FormatInput {
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Element at a row-major index. */
  readonly data: (index: number) => ScalarValue;
  readonly requiresGrad?: boolean;
  /** The name of the node, `AddBackward0`. */
  readonly gradFn?: string | undefined;
  /** Printed unless it is the default device, `cpu`. `meta` prints no values. */
  readonly device?: string | undefined;
  readonly options?: Partial<PrintOptions>;
}

const prefix = 'tensor(';

/** `repr(tensor)`. */
export function formatTensor(input: FormatInput): string {
  const { shape, dtype } = input;
  const options = { ...current, ...input.options };
  const device = input.device ?? 'cpu';
  const count = shape.reduce((a, b) => a * b, 1);
  const isDefault = dtype === getDefaultDtype();
  const suffixes: string[] = [];
  if (device !== 'cpu') suffixes.push(`device='${device}'`);

  let body: string;
  if (device === 'meta' || count === 0) {
    body = device === 'meta' ? '...' : '[]';
    if (device === 'meta' || shape.length !== 1) suffixes.push(`size=${shapeText(shape)}`);
    if (!isDefault) suffixes.push(`dtype=${dtype}`);
  } else {
    const defaultComplex = getDefaultDtype() === float64 ? float64.complex : getDefaultDtype().complex;
    if (options.edgeitems === 0) suffixes.push(`size=${shapeText(shape)}`);
    if (!isDefault && dtype !== defaultComplex && dtype !== int64 && dtype !== bool) suffixes.push(`dtype=${dtype}`);
    body = new Layout(input, options, count > options.threshold).print();
  }
  if (input.gradFn !== undefined) suffixes.push(`grad_fn=<${input.gradFn}>`);
  else if (input.requiresGrad) suffixes.push('requires_grad=True');
  return addSuffixes(prefix + body, suffixes, prefix.length, options.linewidth);
}

/** A Python tuple of sizes: `()`, `(3,)`, `(2, 3)`. */
export function shapeText(shape: readonly number[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
}

function addSuffixes(text: string, suffixes: readonly string[], indent: number, linewidth: number): string {
  let result = text;
  // NOTE: the `+ 1` (not `- 1`) is PyTorch's.
  let lastLine = text.length - text.lastIndexOf('\n') + 1;
  for (const suffix of suffixes) {
    if (lastLine + suffix.length + 2 > linewidth) {
      result += `,\n${' '.repeat(indent)}${suffix}`;
      lastLine = indent + suffix.length;
    } else {
      result += `, ${suffix}`;
      lastLine += suffix.length + 2;
    }
  }
  return `${result})`;
}

/** Lays the elements out in lines and brackets. */
class Layout {
  readonly #input: FormatInput;
  readonly #options: PrintOptions;
  readonly #summarize: boolean;
  readonly #format: (value: ScalarValue) => string;
  readonly #width: number;

  constructor(input: FormatInput, options: PrintOptions, summarize: boolean) {
    this.#input = input;
    this.#options = options;
    this.#summarize = summarize;
    const shown: ScalarValue[] = [];
    this.#collect(0, 0, shown);
    if (input.dtype.is_complex) {
      const values = shown as Complex[];
      const real = new Formatter(
        values.map((v) => v.re),
        true,
        options,
      );
      const imag = new Formatter(
        values.map((v) => v.im),
        true,
        options,
      );
      this.#width = real.width + imag.width + 1;
      this.#format = (value) => {
        const { re, im } = value as Complex;
        const tail = `${imag.format(im)}j`.trimStart();
        return real.format(re) + (tail.startsWith('-') ? tail : `+${tail}`);
      };
    } else {
      const formatter = new Formatter(shown, input.dtype.is_floating_point, options);
      this.#width = formatter.width;
      this.#format = (value) => formatter.format(value);
    }
  }

  print(): string {
    return this.#print(0, 0, prefix.length);
  }

  /** The indices along `dim` that are shown, with -1 for the ellipsis. */
  #indices(dim: number, marks: boolean): number[] {
    const size = this.#input.shape[dim]!;
    const edge = this.#options.edgeitems;
    const all = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
    if (!this.#summarize || size <= 2 * edge) return all(0, size);
    return [...all(0, edge), ...(marks ? [-1] : []), ...all(size - edge, size)];
  }

  /** The values that decide the format: those shown (all of a vector when there are no edge items, which is PyTorch's slice `[-0:]`). */
  #collect(dim: number, offset: number, out: ScalarValue[]): void {
    const { shape, data } = this.#input;
    if (dim === shape.length) {
      out.push(data(offset));
      return;
    }
    const stride = shape.slice(dim + 1).reduce((a, b) => a * b, 1);
    const vector = shape.length === 1 && this.#options.edgeitems === 0;
    const indices = vector ? Array.from({ length: shape[0]! }, (_, i) => i) : this.#indices(dim, false);
    for (const i of indices) this.#collect(dim + 1, offset + i * stride, out);
  }

  #print(dim: number, offset: number, indent: number): string {
    const { shape, data } = this.#input;
    const rest = shape.length - dim;
    if (rest === 0) return this.#format(data(offset));
    const stride = shape.slice(dim + 1).reduce((a, b) => a * b, 1);
    const indices = this.#indices(dim, true);
    if (rest > 1) {
      const parts = indices.map((i) => (i < 0 ? '...' : this.#print(dim + 1, offset + i * stride, indent + 1)));
      return `[${parts.join(`,${'\n'.repeat(rest - 1)}${' '.repeat(indent + 1)}`)}]`;
    }
    const noEdges = this.#summarize && this.#options.edgeitems === 0;
    const cells = noEdges ? ['...'] : indices.map((i) => (i < 0 ? ' ...' : this.#format(data(offset + i))));
    const perLine = Math.max(1, Math.floor((this.#options.linewidth - indent) / (this.#width + 2)));
    const lines: string[] = [];
    for (let i = 0; i < cells.length; i += perLine) lines.push(cells.slice(i, i + perLine).join(', '));
    return `[${lines.join(`,\n${' '.repeat(indent + 1)}`)}]`;
  }
}

/** One column format for all values: integers with a point, fixed, or scientific, padded to one width. */
class Formatter {
  readonly width: number;
  readonly #floating: boolean;
  readonly #precision: number;
  readonly #form: 'integer' | 'fixed' | 'scientific';

  constructor(values: readonly ScalarValue[], floating: boolean, options: PrintOptions) {
    this.#floating = floating;
    this.#precision = options.precision;
    this.#form = 'integer';
    let width = 1;
    if (!floating) {
      for (const value of values) width = Math.max(width, pythonText(value).length);
      this.width = width;
      return;
    }
    const finite = (values as readonly number[]).filter((v) => Number.isFinite(v) && v !== 0);
    if (finite.length > 0) {
      let smallest = Infinity;
      let largest = 0;
      let integers = true;
      for (const value of finite) {
        smallest = Math.min(smallest, Math.abs(value));
        largest = Math.max(largest, Math.abs(value));
        integers &&= Number.isInteger(value);
      }
      const scientific = options.sci_mode ?? (largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4);
      this.#form = scientific ? 'scientific' : integers ? 'integer' : 'fixed';
      for (const value of finite) width = Math.max(width, this.#text(value).length);
    }
    this.width = width;
  }

  format(value: ScalarValue): string {
    return (this.#floating ? this.#text(value as number) : pythonText(value)).padStart(this.width);
  }

  #text(value: number): string {
    if (Number.isNaN(value)) return 'nan';
    if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
    switch (this.#form) {
      case 'integer':
        return `${toFixed(value, 0)}.`;
      case 'fixed':
        return toFixed(value, this.#precision);
      case 'scientific':
        return toExponential(value, this.#precision);
      default:
        return this.#form satisfies never;
    }
  }
}

/** Python's `str` of an integer or a bool. */
function pythonText(value: ScalarValue): string {
  return typeof value === 'boolean' ? (value ? 'True' : 'False') : String(value);
}

/** `numerator / denominator` rounded to an integer, ties to even. */
function divideToEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** The magnitude of a finite double as an exact fraction. */
function fraction(value: number): [numerator: bigint, denominator: bigint] {
  let magnitude = Math.abs(value);
  let shift = 0;
  while (!Number.isInteger(magnitude)) {
    magnitude *= 2; // exact: doubling never rounds
    shift++;
  }
  return [BigInt(magnitude), 1n << BigInt(shift)];
}

function signOf(value: number): string {
  return value < 0 || Object.is(value, -0) ? '-' : '';
}

/** Python's `'{:.Nf}'`. */
export function toFixed(value: number, digits: number): string {
  const [numerator, denominator] = fraction(value);
  const text = divideToEven(numerator * 10n ** BigInt(digits), denominator)
    .toString()
    .padStart(digits + 1, '0');
  const point = text.length - digits;
  return signOf(value) + text.slice(0, point) + (digits > 0 ? `.${text.slice(point)}` : '');
}

/** Python's `'{:.Ne}'`. */
export function toExponential(value: number, digits: number): string {
  const [numerator, denominator] = fraction(value);
  // JavaScript's own digits are exact except for ties, so its exponent is at most one too large.
  let exponent = value === 0 ? 0 : Number(Math.abs(value).toExponential(20).split('e')[1]);
  const scaled = (): bigint => {
    const power = digits - exponent;
    return power >= 0
      ? divideToEven(numerator * 10n ** BigInt(power), denominator)
      : divideToEven(numerator, denominator * 10n ** BigInt(-power));
  };
  let mantissa = scaled();
  if (mantissa >= 10n ** BigInt(digits + 1)) {
    exponent++;
    mantissa = scaled();
  }
  const text = mantissa.toString().padStart(digits + 1, '0');
  const tail = `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
  return `${signOf(value)}${text[0]}${digits > 0 ? `.${text.slice(1)}` : ''}e${tail}`;
}
