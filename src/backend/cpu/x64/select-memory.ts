/**
 * Selection of loads, stores, gathers and scatters for every element type.
 *
 * Memory outside the lanes asked for is never touched: AVX-512 masks its moves in hardware; AVX2 has masked moves of 4 and 8 bytes, and
 * smaller elements are copied one by one between memory and an area of the frame, under a test of the lane's bit. Gathers of small
 * elements and scatters that the hardware lacks use the same copying. Only row ends and rare kernels come here.
 */
import type { ElementName, StatementOf, VectorType } from '../../../kernel/vector-ir.ts';
import { elementSizes } from '../../../kernel/vector-ir.ts';
import { rax, rdx, type VectorMnemonic, type Width } from './assembler.ts';
import type { Builder } from './builder.ts';
import { type MachineMemory, memory, offset, type VirtualRegister } from './machine.ts';
import { decode, encode, packedBytes } from './select-convert.ts';

/** Which lanes take part: all, the first `count`, or those of a mask. */
export interface ActiveLanes {
  readonly count: VirtualRegister | number | null;
  readonly mask: VirtualRegister | null;
}

type Size = 1 | 2 | 4 | 8;
const vectorWidth = (bytes: number): Width => (bytes >= 64 ? 'zmm' : bytes === 32 ? 'ymm' : 'xmm');
const maskedMoves: Readonly<Record<Size, VectorMnemonic>> = { 1: 'vmovdqu8', 2: 'vmovdqu16', 4: 'vmovdqu32', 8: 'vmovdqu64' };

function isWhole(b: Builder, on: ActiveLanes): boolean {
  return on.mask === null && (on.count === null || (typeof on.count === 'number' && on.count >= b.lanes));
}
function laneMaskOf(b: Builder, on: ActiveLanes): VirtualRegister {
  if (on.mask !== null) return on.mask;
  const m = b.mask();
  b.laneMask(m, on.count ?? b.lanes);
  return m;
}

/** Copies elements lane by lane through rax where their lane is active. */
function copyLanes(
  b: Builder,
  size: Size,
  on: ActiveLanes,
  from: (lane: number) => MachineMemory,
  to: (lane: number) => MachineMemory,
): void {
  const known = on.mask === null && typeof on.count === 'number' ? on.count : isWhole(b, on) ? b.lanes : null;
  const bits = known === null ? b.maskBits(laneMaskOf(b, on)) : null;
  for (let l = 0; l < (known === null ? b.lanes : Math.min(known, b.lanes)); l++) {
    const skip = b.assembler.newLabel();
    if (bits !== null) {
      b.int('test32', 'uu', bits, 1 << l);
      b.int('jcc', 'uu', 'e', skip);
    }
    const source = from(l);
    b.int(size === 1 ? 'movzx8' : size === 2 ? 'movzx16' : size === 4 ? 'mov32' : 'mov', 'uu', rax, source);
    b.int(size === 1 ? 'mov8' : size === 2 ? 'mov16' : size === 4 ? 'mov32' : 'mov', 'uu', to(l), rax);
    if (bits !== null) b.int('.label', 'u', skip);
  }
}

function clearFirst(b: Builder, bytes: number): void {
  const z = b.zero();
  for (let at = 0; at < bytes; at += 32) b.store('vmovups', 'ymm', b.first(at), z);
}

export function selectLoad(
  b: Builder,
  dst: VirtualRegister,
  type: VectorType,
  dtype: ElementName,
  place: MachineMemory,
  on: ActiveLanes,
): void {
  const size = elementSizes[dtype];
  const bytes = packedBytes(b, dtype);
  if (isWhole(b, on)) {
    decode(b, dst, type, place, dtype);
    return;
  }
  if (b.avx512 && bytes <= 64) {
    const m = laneMaskOf(b, on);
    const packed = size >= 4 && (dtype !== 'int64' || type !== 'i32') ? dst : b.vec();
    b.opWith({ mask: m, zero: true }, maskedMoves[size], vectorWidth(bytes), packed, place);
    if (packed !== dst) decode(b, dst, type, packed, dtype);
  } else if (!b.avx512 && size >= 4 && bytes <= 32) {
    const m = laneMaskOf(b, on);
    const packed = dtype === 'int64' && type === 'i32' ? b.vec() : dst;
    b.op(size === 4 ? 'vpmaskmovd' : 'vpmaskmovq', vectorWidth(bytes), packed, size === 4 ? b.narrowMask(m) : m, place);
    if (packed !== dst) decode(b, dst, type, packed, dtype);
  } else {
    clearFirst(b, bytes);
    copyLanes(
      b,
      size,
      on,
      (l) => offset(place, l * size),
      (l) => b.first(l * size),
    );
    decode(b, dst, type, b.first(), dtype);
  }
}

export function selectStore(
  b: Builder,
  src: VirtualRegister,
  dtype: ElementName,
  place: MachineMemory,
  on: ActiveLanes,
  streaming = false,
): void {
  const size = elementSizes[dtype];
  const bytes = packedBytes(b, dtype);
  const packed = encode(b, src, dtype);
  if (isWhole(b, on)) {
    writePacked(b, packed, bytes, place, streaming);
  } else if (on.mask === null && on.count === 1 && size >= 4) {
    const move = dtype === 'float32' ? 'vmovss' : dtype === 'float64' ? 'vmovsd' : size === 4 ? 'vmovd' : 'vmovq';
    b.store(move, null, place, packed);
  } else if (b.avx512) {
    b.code.add(maskedMoves[size], vectorWidth(bytes), 'uu', [place, packed], { mask: laneMaskOf(b, on) });
  } else if (size >= 4) {
    const m = laneMaskOf(b, on);
    b.store(size === 4 ? 'vpmaskmovd' : 'vpmaskmovq', vectorWidth(bytes), place, size === 4 ? b.narrowMask(m) : m, packed);
  } else {
    b.store('vmovups', 'xmm', b.first(), packed);
    copyLanes(
      b,
      size,
      on,
      (l) => b.first(l * size),
      (l) => offset(place, l * size),
    );
  }
}

function writePacked(b: Builder, packed: VirtualRegister, bytes: number, place: MachineMemory, streaming: boolean): void {
  if (bytes === 4) b.store('vmovd', null, place, packed);
  else if (bytes === 8) b.store('vmovq', null, place, packed);
  else b.store(streaming ? 'vmovntps' : 'vmovups', vectorWidth(bytes), place, packed);
}

/** One element to all lanes. */
export function selectBroadcast(b: Builder, dst: VirtualRegister, type: VectorType, dtype: ElementName, place: MachineMemory): void {
  const w = b.w32;
  const fromGeneral = (name: string, shift: number): VirtualRegister => {
    const t = b.gpr();
    b.int(name, 'du', t, place);
    if (shift > 0) b.int('shl32', 'bu', t, shift);
    return t;
  };
  const splat = (to: VirtualRegister, t: VirtualRegister): void => {
    if (b.avx512) b.op('vpbroadcastd', w, to, t);
    else b.op('vpbroadcastd', w, to, b.make('vmovd', null, t));
  };
  switch (dtype) {
    case 'float32':
      b.op('vbroadcastss', w, dst, place);
      return;
    case 'int32':
      b.op('vpbroadcastd', w, dst, place);
      return;
    case 'float64':
      b.op('vbroadcastsd', b.w64, dst, place);
      return;
    case 'int64':
      if (type === 'i32') b.op('vpbroadcastd', w, dst, place);
      else b.op('vpbroadcastq', b.w64, dst, place);
      return;
    case 'bfloat16':
      splat(dst, fromGeneral('movzx16', 16));
      return;
    case 'int16':
      splat(dst, fromGeneral('movsx16', 0));
      return;
    case 'int8':
      splat(dst, fromGeneral('movsx8', 0));
      return;
    case 'uint8':
      splat(dst, fromGeneral('movzx8', 0));
      return;
    case 'float16':
      b.op('vbroadcastss', w, dst, b.make('vcvtph2ps', 'xmm', b.make('vmovd', null, fromGeneral('movzx16', 0))));
      return;
    case 'float8_e4m3fn':
    case 'float8_e5m2': {
      // P equal bytes, then as a load.
      const t = b.vec();
      b.op('vpbroadcastb', 'xmm', t, place);
      decode(b, dst, type, t, dtype);
      return;
    }
    case 'bool':
      b.splatMask(dst, fromGeneral('movzx8', 0));
      return;
    default:
      dtype satisfies never;
  }
}

/** base + index * itemsize of a lane, its index taken from the frame's second area. */
function indexedLane(
  b: Builder,
  base: VirtualRegister,
  displacement: number,
  indexType: VectorType,
  size: Size,
): (lane: number) => MachineMemory {
  return (l) => {
    if (indexType === 'i32') b.int('movsxd', 'uu', rdx, b.second(4 * l));
    else b.int('mov', 'uu', rdx, b.second(8 * l));
    return memory(base, displacement, rdx, size);
  };
}

type GatherStatement = StatementOf<'gather'>;

export function selectGather(
  b: Builder,
  s: GatherStatement,
  dst: VirtualRegister,
  base: VirtualRegister,
  indices: VirtualRegister,
  mask: VirtualRegister | null,
): void {
  const size = elementSizes[s.dtype];
  const type = s.dst.type as VectorType;
  const wideIndex = s.indices.type === 'i64';
  if (size < 4) {
    const on: ActiveLanes = { count: null, mask };
    if (mask !== null) clearFirst(b, packedBytes(b, s.dtype));
    b.store('vmovups', b.width(s.indices.type as VectorType), b.second(), indices);
    copyLanes(b, size, on, indexedLane(b, base, s.displacement, s.indices.type as VectorType, size), (l) => b.first(l * size));
    decode(b, dst, type, b.first(), s.dtype);
    return;
  }
  // int64 into an i32 register: the low halves, eight bytes apart.
  const wideValue = size === 8 && type !== 'i32';
  const name: VectorMnemonic = wideValue ? (wideIndex ? 'vpgatherqq' : 'vpgatherdq') : wideIndex ? 'vpgatherqd' : 'vpgatherdd';
  const w = wideValue || wideIndex ? b.w64 : b.w32;
  const value = b.vec();
  b.code.move(value, b.zero());
  const place: MachineMemory = memory(base, s.displacement, indices, size);
  if (b.avx512) {
    const m = b.mask();
    if (mask !== null) b.code.move(m, mask);
    else b.laneMask(m, b.lanes);
    b.code.add(name, w, 'bu', [value, place], { mask: m, maskAccess: 'b' });
  } else {
    const m = b.vec();
    b.code.move(m, mask === null ? b.ones() : wideValue ? mask : b.narrowMask(mask));
    b.code.add(name, w, 'bub', [value, place, m]);
  }
  b.code.move(dst, value);
}

export function selectScatter(
  b: Builder,
  s: StatementOf<'scatter'>,
  src: VirtualRegister,
  base: VirtualRegister,
  indices: VirtualRegister,
  mask: VirtualRegister | null,
): void {
  const size = elementSizes[s.dtype];
  const bytes = packedBytes(b, s.dtype);
  const indexType = s.indices.type as VectorType;
  if (b.avx512 && size >= 4) {
    const wide = size === 8;
    const wideIndex = indexType === 'i64';
    const name: VectorMnemonic = wide ? (wideIndex ? 'vpscatterqq' : 'vpscatterdq') : wideIndex ? 'vpscatterqd' : 'vpscatterdd';
    const m = b.mask();
    if (mask !== null) b.code.move(m, mask);
    else b.laneMask(m, b.lanes);
    b.code.add(name, wide || wideIndex ? b.w64 : b.w32, 'uu', [memory(base, s.displacement, indices, size), src], {
      mask: m,
      maskAccess: 'b',
    });
    return;
  }
  const packed = encode(b, src, s.dtype);
  b.store('vmovups', vectorWidth(Math.max(bytes, 16)), b.first(), packed);
  b.store('vmovups', b.width(indexType), b.second(), indices);
  const to = indexedLane(b, base, s.displacement, indexType, size);
  copyLanes(b, size, { count: null, mask }, (l) => b.first(l * size), to);
}
