/**
 * Vector pieces of the matrix product that differ by dtype or instruction set: loads that widen, stores that round, tail masks, and
 * transposes in registers.
 *
 * bfloat16 is rounded with integer arithmetic: the instruction for it flushes subnormals, and not every AVX-512 processor has it.
 */

import { type Assembler, type Gpr, type Label, type Mem, mem, type VectorOptions } from './assembler.ts';
import type { MatmulDtype, MatmulShape } from './matmul-layout.ts';

/** Loads one vector of the compute type from memory of another. With `mask` (AVX-512) lanes outside are 0 and not touched. */
export function loadVector(a: Assembler, shape: MatmulShape, dtype: MatmulDtype, target: number, source: Mem, mask = 0): void {
  const options: VectorOptions = mask === 0 ? {} : { mask, zero: true };
  switch (dtype) {
    case 'float32':
      a.vmovups(shape.width, target, source, options);
      return;
    case 'float64':
      a.vmovupd(shape.width, target, source, options);
      return;
    case 'bfloat16':
      a.vpmovzxwd(shape.width, target, source, options);
      a.vpslld(shape.width, target, target, 16);
      return;
    case 'float16':
      a.vcvtph2ps(shape.width, target, source, options);
      return;
    default:
      dtype satisfies never;
  }
}

export function storeVector(a: Assembler, shape: MatmulShape, target: Mem, source: number, mask = 0): void {
  if (shape.bytes === 4) a.vmovups(shape.width, target, source, { mask });
  else a.vmovupd(shape.width, target, source, { mask });
}

export function broadcastElement(a: Assembler, shape: MatmulShape, target: number, source: Mem): void {
  if (shape.bytes === 4) a.vbroadcastss(shape.width, target, source);
  else a.vbroadcastsd(shape.width, target, source);
}

export function fuse(a: Assembler, shape: MatmulShape, sum: number, left: number, right: number | Mem): void {
  if (shape.bytes === 4) a.vfmadd231ps(shape.width, sum, left, right);
  else a.vfmadd231pd(shape.width, sum, left, right);
}

/** AVX2 only: a load or store of the lanes whose mask vector has the sign bit. */
export function maskedLoad(a: Assembler, shape: MatmulShape, target: number, mask: number, source: Mem): void {
  if (shape.bytes === 4) a.vmaskmovps(shape.width, target, mask, source);
  else a.vmaskmovpd(shape.width, target, mask, source);
}

export function maskedStore(a: Assembler, shape: MatmulShape, target: Mem, mask: number, source: number): void {
  if (shape.bytes === 4) a.vmaskmovps(shape.width, target, mask, source);
  else a.vmaskmovpd(shape.width, target, mask, source);
}

export function addVector(a: Assembler, shape: MatmulShape, sum: number, other: number | Mem, mask = 0): void {
  if (shape.bytes === 4) a.vaddps(shape.width, sum, sum, other, { mask });
  else a.vaddpd(shape.width, sum, sum, other, { mask });
}

/** 32-bit constant as a memory operand: AVX-512 repeats one element, AVX2 reads a whole vector. */
function constant(a: Assembler, shape: MatmulShape, value: number): [Mem, VectorOptions] {
  const words = new Uint32Array(shape.isa === 'avx512' ? 1 : 8).fill(value);
  const label = a.data(new Uint8Array(words.buffer), words.byteLength);
  return [mem(label), shape.isa === 'avx512' ? { broadcast: true } : {}];
}

/**
 * Rounds a float32 vector to nearest even and stores it in half the bytes. AVX-512: `mask` and mask register 3, one temporary.
 * AVX2: two temporaries.
 */
export function storeNarrow(
  a: Assembler,
  shape: MatmulShape,
  dtype: 'bfloat16' | 'float16',
  target: Mem,
  source: number,
  temporaries: readonly [number, number],
  mask = 0,
): void {
  const { width } = shape;
  if (dtype === 'float16') {
    a.vcvtps2ph(width, target, source, 0, { mask });
    return;
  }
  const [rounded, nan] = temporaries;
  a.vpsrld(width, rounded, source, 16);
  a.vpandd(width, rounded, rounded, ...constant(a, shape, 1));
  a.vpaddd(width, rounded, rounded, ...constant(a, shape, 0x7fff));
  a.vpaddd(width, rounded, rounded, source);
  a.vpsrld(width, rounded, rounded, 16);
  const [quiet, options] = constant(a, shape, 0x7fc0);
  if (shape.isa === 'avx512') {
    a.vcmppsK(width, 3, source, source, 3);
    a.vpblendmd(width, rounded, rounded, quiet, { ...options, mask: 3 });
    a.vpmovdw(width, target, rounded, { mask });
  } else {
    a.vcmpps(width, nan, source, source, 3);
    a.vblendvps(width, rounded, rounded, quiet, nan);
    a.vpackusdw(width, rounded, rounded, rounded);
    a.vpermq(width, rounded, rounded, 0x08);
    a.vmovdqu('xmm', target, rounded);
  }
}

/** AVX2: `pointer` = address of mask vectors whose first `count` elements are set; `count` is at most two vectors. Clobbers `temporary`. */
export function maskPointer(a: Assembler, shape: MatmulShape, pointer: Gpr, count: Gpr, temporary: Gpr): void {
  const bytes = new Uint8Array(4 * shape.lanes * shape.bytes);
  bytes.fill(255, 0, bytes.length / 2);
  const table: Label = a.data(bytes, 64);
  a.mov(temporary, 2 * shape.lanes);
  a.sub(temporary, count);
  a.leaRip(pointer, table);
  a.lea(pointer, mem(pointer, 0, temporary, shape.bytes));
}

/** AVX-512: masks k1 and k2 for the first `count` elements of two vectors. Clobbers rcx (when not `count`) and `temporary`. */
export function setMasks(a: Assembler, shape: MatmulShape, count: Gpr, temporary: Gpr, rcx: Gpr): void {
  const whole = a.newLabel();
  a.mov(temporary, -1);
  a.cmp(count, 2 * shape.lanes);
  a.jcc('ge', whole);
  a.mov(rcx, count);
  a.shl(temporary, 'cl');
  a.not(temporary);
  a.bind(whole);
  a.kmovw(1, temporary);
  a.shr32(temporary, shape.lanes);
  a.kmovw(2, temporary);
}

/** Transposes `lanes` vectors; both lists have that many registers, the result is in the returned ones, in order. */
export function transpose(a: Assembler, shape: MatmulShape, rows: readonly number[], spare: readonly number[]): readonly number[] {
  const { width, lanes } = shape;
  const low = [...spare];
  if (shape.bytes === 4) {
    for (let i = 0; i < lanes; i += 2) {
      a.vunpcklps(width, spare[i], rows[i], rows[i + 1]);
      a.vunpckhps(width, spare[i + 1], rows[i], rows[i + 1]);
    }
    for (let i = 0; i < lanes; i += 4) {
      for (let half = 0; half < 2; half++) {
        a.vunpcklpd(width, rows[i + 2 * half], spare[i + half], spare[i + 2 + half]);
        a.vunpckhpd(width, rows[i + 2 * half + 1], spare[i + half], spare[i + 2 + half]);
      }
    }
    if (lanes === 8) {
      for (let j = 0; j < 4; j++) {
        a.vperm2f128(width, spare[j], rows[j], rows[4 + j], 0x20);
        a.vperm2f128(width, spare[4 + j], rows[j], rows[4 + j], 0x31);
      }
      return low;
    }
    const result: number[] = [];
    for (let j = 0; j < 4; j++)
      gatherLanes(
        a,
        [0, 4, 8, 12].map((i) => rows[i + j]),
        [0, 4, 8, 12].map((i) => spare[i + j]),
        (lane) => 4 * lane + j,
        result,
      );
    return result;
  }
  for (let i = 0; i < lanes; i += 2) {
    a.vunpcklpd(width, spare[i], rows[i], rows[i + 1]);
    a.vunpckhpd(width, spare[i + 1], rows[i], rows[i + 1]);
  }
  if (lanes === 4) {
    for (let j = 0; j < 2; j++) {
      a.vperm2f128(width, rows[j], spare[j], spare[2 + j], 0x20);
      a.vperm2f128(width, rows[2 + j], spare[j], spare[2 + j], 0x31);
    }
    return rows;
  }
  const result: number[] = [];
  for (let j = 0; j < 2; j++)
    gatherLanes(
      a,
      [0, 2, 4, 6].map((i) => spare[i + j]),
      [0, 2, 4, 6].map((i) => rows[i + j]),
      (lane) => 2 * lane + j,
      result,
    );
  return result;
}

/** 4x4 transpose of 128-bit lanes: result[place(l)] holds lane l of the four registers. */
function gatherLanes(
  a: Assembler,
  from: readonly number[],
  spare: readonly number[],
  place: (lane: number) => number,
  result: number[],
): void {
  a.vshuff32x4('zmm', spare[0], from[0], from[1], 0x88);
  a.vshuff32x4('zmm', spare[1], from[0], from[1], 0xdd);
  a.vshuff32x4('zmm', spare[2], from[2], from[3], 0x88);
  a.vshuff32x4('zmm', spare[3], from[2], from[3], 0xdd);
  a.vshuff32x4('zmm', from[0], spare[0], spare[2], 0x88);
  a.vshuff32x4('zmm', from[2], spare[0], spare[2], 0xdd);
  a.vshuff32x4('zmm', from[1], spare[1], spare[3], 0x88);
  a.vshuff32x4('zmm', from[3], spare[1], spare[3], 0xdd);
  for (let lane = 0; lane < 4; lane++) result[place(lane)] = from[lane];
}
