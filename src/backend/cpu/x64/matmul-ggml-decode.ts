/**
 * ggml's blocks in registers: code that turns a block of weights into vectors of float32.
 *
 * A unit is one block; `emitUnit` hands out its weights a vector at a time: the offset of the first (a multiple of the lanes) and the register, which the
 * receiver may use but not change. Each 16 weights are one vector of AVX-512 or two of AVX2, and are computed alike: q * d + m in one rounding,
 * where q * d is exact. Numbers of four bits are looked up in a register of sixteen weights on AVX-512, made by the same operation.
 * The scales of the large blocks are unpacked once a block, multiplied, and kept in memory that `scales` points at (128 bytes).
 * The formats themselves are defined in `graph/ggml.ts`.
 */
import { type BlockFormatName, blockFormats } from '../../../graph/ggml.ts';
import { type Assembler, type Gpr, type Mem, mem, type VectorOptions, type Width } from './assembler.ts';

export interface DecodeContext {
  readonly a: Assembler;
  readonly width: Width;
  readonly lanes: 8 | 16;
  readonly format: BlockFormatName;
  /** Points at 128 bytes for the block's scales. */
  readonly scales: Gpr;
  /** Points at all half-precision numbers as float32: looking one up costs two loads and no arithmetic. */
  readonly halves: Gpr;
  /** Clobbered. */
  readonly temporary: Gpr;
  /** Eight vector registers below 16, and for AVX-512 one more for the sixteen numbers of four bits, set by `emitDecodeConstants`. */
  readonly registers: readonly [number, number, number, number, number, number, number, number];
  readonly ladder: number;
}

export type Visit = (element: number, register: number) => void;

/** Constant 32-bit words of one vector. */
const vector = (a: Assembler, words: readonly number[]): Mem =>
  mem(a.data(new Uint8Array(Uint32Array.from(words).buffer), 4 * words.length));
/** One word in all lanes, as an operand. */
function same({ a, width }: { a: Assembler; width: Width }, word: number): [Mem, VectorOptions] {
  const lanes = width === 'zmm' ? 1 : width === 'ymm' ? 8 : 4;
  return [vector(a, new Array<number>(lanes).fill(word >>> 0)), width === 'zmm' ? { broadcast: true } : {}];
}
const floatBits = (value: number): number => new Uint32Array(new Float32Array([value]).buffer)[0];

/** Before any unit: what stays in registers. */
export function emitDecodeConstants({ a, width, ladder, format }: DecodeContext): void {
  const numbers = Array.from({ length: 16 }, (_, i) => floatBits(format === 'Q4_0' ? i - 8 : i));
  if (width === 'zmm') a.vmovups(width, ladder, vector(a, numbers));
}

/** The weights `from` to `to` (multiples of 16) of the block at `base`. */
export function emitUnit(context: DecodeContext, base: Gpr, visit: Visit, from = 0, to = blockFormats[context.format].weights): void {
  const wanted = (element: number): boolean => element >= from && element < to;
  const unit = new Unit(context, base, wanted, visit);
  switch (context.format) {
    case 'Q4_0':
    case 'Q4_1':
      unit.simpleScales();
      unit.halves(context.format === 'Q4_0' ? 2 : 4, null);
      return;
    case 'Q5_0':
    case 'Q5_1':
      unit.simpleScales();
      unit.halves(context.format === 'Q5_0' ? 6 : 8, context.format === 'Q5_0' ? 2 : 4);
      return;
    case 'Q8_0':
      unit.simpleScales();
      unit.bytes();
      return;
    case 'Q4_K':
    case 'Q5_K':
      unit.packedScales();
      for (let pair = 0; pair < 4; pair++) unit.pairOfGroups(pair);
      return;
    case 'Q6_K':
      unit.byteScales();
      for (let group = 0; group < 8; group++) unit.sixBits(group >> 2, (group >> 1) & 1, group & 1);
      return;
    default:
      context.format satisfies never;
  }
}

class Unit {
  readonly #c: DecodeContext;
  readonly #base: Gpr;
  readonly #wanted: (element: number) => boolean;
  readonly #visit: Visit;
  /** d and m of the low and of the high half bytes, raw bytes, two temporaries, the result. */
  readonly #d0: number;
  readonly #m0: number;
  readonly #d1: number;
  readonly #m1: number;
  readonly #raw: number;
  readonly #q: number;
  readonly #high: number;
  readonly #w: number;
  constructor(context: DecodeContext, base: Gpr, wanted: (element: number) => boolean, visit: Visit) {
    this.#c = context;
    this.#base = base;
    this.#wanted = wanted;
    this.#visit = visit;
    [this.#d0, this.#m0, this.#d1, this.#m1, this.#raw, this.#q, this.#high, this.#w] = context.registers;
  }

  /** Offsets within 16 weights at which a vector begins. */
  #parts(): number[] {
    return this.#c.lanes === 16 ? [0] : [0, 8];
  }
  #at(offset: number): Mem {
    return mem(this.#base, offset);
  }

  // ---- scales

  /** Where the half-precision number at `offset` is as a float. */
  #half(offset: number): Mem {
    const { a, halves, temporary } = this.#c;
    a.movzx16(temporary, this.#at(offset));
    return mem(halves, 0, temporary, 4);
  }

  /** d and m; or all sixteen weights in m, of four bits on AVX-512. */
  simpleScales(): void {
    const { a, width, format, ladder } = this.#c;
    const minimum = format === 'Q4_1' || format === 'Q5_1';
    if (minimum) a.vbroadcastss(width, this.#m0, this.#half(2));
    if (this.#looksUp()) {
      if (minimum) a.vfmadd231ps(width, this.#m0, ladder, this.#half(0), { broadcast: true });
      else a.vmulps(width, this.#m0, ladder, this.#half(0), { broadcast: true });
      return;
    }
    a.vbroadcastss(width, this.#d0, this.#half(0));
    if (format === 'Q4_0' || format === 'Q5_0')
      a.vmulps(width, this.#m0, this.#d0, ...same(this.#c, floatBits(format === 'Q4_0' ? -8 : -16)));
  }
  /** Weights come out of a register of sixteen. */
  #looksUp(): boolean {
    const { width, format } = this.#c;
    return width === 'zmm' && (format === 'Q4_0' || format === 'Q4_1' || format === 'Q4_K');
  }

  /** Six-bit scales and minima: sixteen bytes, four scales, four minima, and again, each as a product with d and with -m. */
  packedScales(): void {
    const { a } = this.#c;
    const xmm = { a, width: 'xmm' } as const;
    const [low, upper, third, temporary] = [this.#raw, this.#q, this.#high, this.#w];
    a.vbroadcastss(this.#c.width, this.#d0, this.#half(0));
    a.vbroadcastss(this.#c.width, this.#m0, this.#half(2));
    a.vxorps(this.#c.width, this.#m0, this.#m0, ...same(this.#c, 0x80000000));
    a.vmovq(low, this.#at(4));
    a.vmovd(third, this.#at(12));
    a.vpsrld('xmm', upper, low, 2);
    a.vpsrld('xmm', temporary, third, 4);
    a.vpunpckldq('xmm', third, third, temporary);
    a.vpand('xmm', low, low, same(xmm, 0x3f3f3f3f)[0]);
    a.vpand('xmm', upper, upper, same(xmm, 0x30303030)[0]);
    a.vpand('xmm', third, third, same(xmm, 0x0f0f0f0f)[0]);
    a.vpor('xmm', upper, upper, third);
    a.vpunpcklqdq('xmm', low, low, upper);
    this.#keepScales((part) => {
      if (part > 0) a.vpsrldq('xmm', low, low, 8);
      a.vpmovzxbd(this.#c.width, this.#q, low);
    }, this.#m0);
  }

  /** Sixteen signed bytes, each as a product with d and with -32 d. */
  byteScales(): void {
    const { a, width, lanes } = this.#c;
    a.vbroadcastss(width, this.#d0, this.#half(208));
    a.vmulps(width, this.#m0, this.#d0, ...same(this.#c, floatBits(-32)));
    this.#keepScales((part) => a.vpmovsxbd(width, this.#q, this.#at(192 + part * lanes)), this.#m0);
  }

  #keepScales(load: (part: number) => void, second: number): void {
    const { a, width, lanes, scales } = this.#c;
    for (let part = 0; part < 16 / lanes; part++) {
      load(part);
      a.vcvtdq2ps(width, this.#q, this.#q);
      a.vmulps(width, this.#w, this.#q, this.#d0);
      a.vmulps(width, this.#q, this.#q, second);
      a.vmovups(width, mem(scales, part * lanes * 4), this.#w);
      a.vmovups(width, mem(scales, 64 + part * lanes * 4), this.#q);
    }
  }
  #kept(register: number, index: number): void {
    this.#c.a.vbroadcastss(this.#c.width, register, mem(this.#c.scales, index * 4));
  }

  // ---- weights

  /** q * d + m of the integers in `q`, handed out. */
  #affine(element: number, q: number, d: number, m: number): void {
    const { a, width } = this.#c;
    a.vcvtdq2ps(width, this.#w, q);
    a.vfmadd213ps(width, this.#w, d, m);
    this.#visit(element, this.#w);
  }
  /** The low and the high halves of the raw bytes, in `q`. */
  #lower(): number {
    const { a, width } = this.#c;
    a.vpandd(width, this.#q, this.#raw, ...same(this.#c, 15));
    return this.#q;
  }
  #upper(): number {
    const { a, width } = this.#c;
    a.vpsrld(width, this.#q, this.#raw, 4);
    return this.#q;
  }
  #any(first: number, second: number): boolean {
    return this.#wanted(first) || this.#wanted(second);
  }

  /** Sixteen bytes of half bytes, low ones first, with a fifth bit in the four bytes at `bits`. */
  halves(start: number, bits: number | null): void {
    const { a, width, lanes } = this.#c;
    const table = this.#looksUp();
    if (bits !== null) a.vpbroadcastd(width, this.#high, this.#at(bits));
    for (const part of this.#parts()) {
      a.vpmovzxbd(width, this.#raw, this.#at(start + part));
      for (const half of [0, 1]) {
        const element = half * 16 + part;
        if (!this.#wanted(element)) continue;
        if (table) {
          // The look-up sees the low four bits only.
          a.vpermps(width, this.#w, half === 0 ? this.#raw : this.#upper(), this.#m0);
          this.#visit(element, this.#w);
          continue;
        }
        const source = half === 0 ? this.#lower() : this.#upper();
        if (bits !== null) {
          const counts = Array.from({ length: lanes }, (_, i) => element + i);
          a.vpsrlvd(width, this.#d1, this.#high, vector(a, counts));
          a.vpslld(width, this.#d1, this.#d1, 4);
          a.vpandd(width, this.#d1, this.#d1, ...same(this.#c, 16));
          a.vpord(width, this.#q, source, this.#d1);
        }
        this.#affine(element, this.#q, this.#d0, this.#m0);
      }
    }
  }

  bytes(): void {
    const { a, width } = this.#c;
    for (const half of [0, 16])
      for (const part of this.#parts()) {
        if (!this.#wanted(half + part)) continue;
        a.vpmovsxbd(width, this.#w, this.#at(2 + half + part));
        a.vcvtdq2ps(width, this.#w, this.#w);
        a.vmulps(width, this.#w, this.#w, this.#d0);
        this.#visit(half + part, this.#w);
      }
  }

  /** 64 weights of Q4_K and Q5_K: the low and the high halves of 32 bytes, each half a group with a scale and a minimum. */
  pairOfGroups(pair: number): void {
    const { a, width, format } = this.#c;
    const first = 64 * pair;
    const low = [0, 16].some((e) => this.#wanted(first + e));
    const high = [32, 48].some((e) => this.#wanted(first + e));
    if (!low && !high) return;
    const planes = format === 'Q5_K';
    const table = this.#looksUp();
    const scaleAt = (group: number): number => (group < 4 ? group : group + 4);
    [
      [this.#d0, this.#m0, 2 * pair],
      [this.#d1, this.#m1, 2 * pair + 1],
    ].forEach(([d, m, group], i) => {
      if (!(i === 0 ? low : high)) return;
      this.#kept(m, 16 + scaleAt(group) + 4);
      if (table) a.vfmadd231ps(width, m, this.#c.ladder, mem(this.#c.scales, 4 * scaleAt(group)), { broadcast: true });
      else this.#kept(d, scaleAt(group));
    });
    for (const chunk of [0, 16])
      for (const part of this.#parts()) {
        const at = chunk + part;
        if (!this.#any(first + at, first + 32 + at)) continue;
        a.vpmovzxbd(width, this.#raw, this.#at((planes ? 48 : 16) + 32 * pair + at));
        if (planes) a.vpmovzxbd(width, this.#high, this.#at(16 + at));
        for (const half of [0, 1]) {
          const element = first + 32 * half + at;
          if (!this.#wanted(element)) continue;
          const [d, m] = half === 0 ? [this.#d0, this.#m0] : [this.#d1, this.#m1];
          if (table) {
            a.vpermps(width, this.#w, half === 0 ? this.#raw : this.#upper(), m);
            this.#visit(element, this.#w);
            continue;
          }
          const q = half === 0 ? this.#lower() : this.#upper();
          if (planes) {
            this.#bitsTo(4 - (2 * pair + half), 16);
            a.vpord(width, q, q, this.#w);
          }
          this.#affine(element, q, d, m);
        }
      }
  }

  /** w = the upper bits, shifted left (right, if negative), and masked. */
  #bitsTo(left: number, bits: number): void {
    const { a, width } = this.#c;
    if (left > 0) a.vpslld(width, this.#w, this.#high, left);
    if (left < 0) a.vpsrld(width, this.#w, this.#high, -left);
    a.vpandd(width, this.#w, left === 0 ? this.#high : this.#w, ...same(this.#c, bits));
  }

  /** 32 weights of Q6_K, of the low and of the high half bytes: sixteen of each, with a scale each. */
  sixBits(half: number, group: number, sixteen: number): void {
    const { a, width } = this.#c;
    const first = 128 * half + 32 * group + 16 * sixteen;
    const wanted = [first, first + 64].map((e) => this.#wanted(e));
    if (!wanted.includes(true)) return;
    const scale = 8 * half + 2 * group + sixteen;
    [
      [this.#d0, this.#m0],
      [this.#d1, this.#m1],
    ].forEach(([d, m], i) => {
      if (!wanted[i]) return;
      this.#kept(d, scale + 4 * i);
      this.#kept(m, 16 + scale + 4 * i);
    });
    for (const part of this.#parts()) {
      a.vpmovzxbd(width, this.#raw, this.#at(64 * half + 32 * group + 16 * sixteen + part));
      a.vpmovzxbd(width, this.#high, this.#at(128 + 32 * half + 16 * sixteen + part));
      for (const nibble of [0, 1]) {
        if (!wanted[nibble]) continue;
        const q = nibble === 0 ? this.#lower() : this.#upper();
        this.#bitsTo(4 - 2 * group - 4 * nibble, 0x30);
        a.vpord(width, q, q, this.#w);
        this.#affine(first + 64 * nibble + part, q, nibble === 0 ? this.#d0 : this.#d1, nibble === 0 ? this.#m0 : this.#m1);
      }
    }
  }
}
