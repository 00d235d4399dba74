/**
 * Vector IR: a kernel lowered to straight-line vector code inside structured loops. AVX-512, AVX2 and WebAssembly emitters share it.
 *
 * A kernel is lowered for a number of lanes P in {2, 4, 8, 16}; every vector register has P lanes of f32, f64, i32, i64 or mask (so f32
 * is a ymm in an AVX-512 kernel with P = 8, and half a v128 in a wasm kernel with P = 2). Virtual lanes (16, see ir.ts) are made by
 * `lower.ts`, which writes 16/P copies of a body where the order of a reduction demands it: an emitter never counts lanes.
 * A uniform value (a row's maximum) is a vector register whose lanes are equal. `index` registers are 64-bit integers in general
 * registers (32-bit locals are enough in wasm: values fit); comparisons give 0 or 1.
 *
 * A register is defined by one statement and is then visible to the end of the enclosing block; `assign` may change it later (loop
 * accumulators). Loop counters are changed by their loop only. Nothing here aliases: memory is touched in statement order.
 * No scheduling, no register allocation, no peepholes: those belong to the emitters.
 */
import type { DTypeName } from '../dtype/dtype.ts';
import type { BufferDeclaration } from './ir.ts';
import type { ComputeType, ScalarOp } from './scalar.ts';

export type VectorType = 'f32' | 'f64' | 'i32' | 'i64' | 'mask';
export type RegisterType = VectorType | 'index';
export type Lanes = 2 | 4 | 8 | 16;
/** How an element lies in memory. Complex buffers are seen as their real parts and imaginary parts in turn. */
export type ElementName = Exclude<DTypeName, 'complex64' | 'complex128'>;

export interface Register {
  readonly id: number;
  readonly type: RegisterType;
}
/** An index register, or an integer constant (|value| < 2^53; constants of addresses and counts fit 31 bits). */
export type IndexOperand = Register | number;

/** Byte address base + index * scale + displacement. Displacement fits 31 bits. Nothing is aligned beyond what itemsize promises. */
export interface Address {
  readonly base: Register;
  readonly index: Register | null;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: number;
}

/** idiv and irem truncate; by zero (possible only when the divisor is a register) they give 0. select: first !== 0 ? second : third. */
export type IndexOp = 'add' | 'sub' | 'mul' | 'idiv' | 'irem' | 'min' | 'max' | 'and' | 'or' | 'xor' | 'lt' | 'le' | 'eq' | 'ne' | 'select';
export type Comparison = 'lt' | 'le' | 'eq' | 'ne';

export type VectorStatement =
  /** Address of buffer `slot` (argument word `slot`). */
  | { readonly kind: 'buffer'; readonly dst: Register; readonly slot: number }
  /** Parameter word. dst index: the int64; f32/f64/i32/i64: splat; mask: splat of word != 0. */
  | { readonly kind: 'param'; readonly dst: Register; readonly slot: number }
  | { readonly kind: 'index-const'; readonly dst: Register; readonly value: number }
  | { readonly kind: 'index'; readonly op: IndexOp; readonly dst: Register; readonly args: readonly IndexOperand[] }
  /** dst (index) = the address itself. */
  | { readonly kind: 'address'; readonly dst: Register; readonly address: Address }
  /** One integer (or bool) element to an index register: sign-extended; uint8 and bool zero-extended. */
  | { readonly kind: 'load-index'; readonly dst: Register; readonly dtype: ElementName; readonly address: Address }
  /** All lanes equal: number for f32/f64/i32, bigint for i64, boolean for mask. */
  | { readonly kind: 'splat-const'; readonly dst: Register; readonly value: number | bigint | boolean }
  /** Index register to all lanes: i32 (low bits), i64, mask (!= 0). */
  | { readonly kind: 'splat'; readonly dst: Register; readonly src: Register }
  /** Lane l = src + l; dst is i32 or i64. */
  | { readonly kind: 'iota'; readonly dst: Register; readonly src: IndexOperand }
  /** Lane l is true where l < count; count may be negative or above P. */
  | { readonly kind: 'lane-mask'; readonly dst: Register; readonly count: IndexOperand }
  /** A scalar op on lanes. Types as in scalar.ts with bool = mask; composite ops only where the target claims them. */
  | { readonly kind: 'vector'; readonly op: ScalarOp; readonly dst: Register; readonly args: readonly Register[] }
  /** Value conversion between any two vector types: float to int truncates, out of range or NaN gives INT_MIN; number to mask is != 0; mask to number is 0 or 1. */
  | { readonly kind: 'cast'; readonly dst: Register; readonly src: Register }
  /** Same bits: f32 <-> i32, f64 <-> i64. */
  | { readonly kind: 'bitcast'; readonly dst: Register; readonly src: Register }
  /** The value after storing as dtype and loading again (same register type). */
  | { readonly kind: 'round'; readonly dst: Register; readonly src: Register; readonly dtype: ElementName }
  /**
   * P consecutive elements, converted to the compute type of dtype (bool: mask). With `count` only lanes l < count, with `mask` only its
   * true lanes are read (memory of the others is not touched) and the others are 0. At most one of the two is set.
   * int64 into an i32 register keeps the low 32 bits (per-lane indices); likewise in broadcast and gather.
   */
  | {
      readonly kind: 'load';
      readonly dst: Register;
      readonly dtype: ElementName;
      readonly address: Address;
      readonly count: IndexOperand | null;
      readonly mask: Register | null;
    }
  /** One element to all lanes. */
  | { readonly kind: 'broadcast'; readonly dst: Register; readonly dtype: ElementName; readonly address: Address }
  /** Lane l is the element at base + displacement + indices[l] * itemsize; indices i32 (signed) or i64. Lanes masked off are 0 and not read. */
  | {
      readonly kind: 'gather';
      readonly dst: Register;
      readonly dtype: ElementName;
      readonly base: Register;
      readonly displacement: number;
      readonly indices: Register;
      readonly mask: Register | null;
    }
  /** Converts (as `round`) and writes; count and mask as in load. `count: 1` stores lane 0. */
  | {
      readonly kind: 'store';
      readonly src: Register;
      readonly dtype: ElementName;
      readonly address: Address;
      readonly count: IndexOperand | null;
      readonly mask: Register | null;
    }
  /** As gather, writing; lanes in order, so the last of equal indices wins. */
  | {
      readonly kind: 'scatter';
      readonly src: Register;
      readonly dtype: ElementName;
      readonly base: Register;
      readonly displacement: number;
      readonly indices: Register;
      readonly mask: Register | null;
    }
  /** Lane l = src lane l XOR distance (distance 1, 2, 4 or 8, below P; not for masks). */
  | { readonly kind: 'swap'; readonly dst: Register; readonly src: Register; readonly distance: number }
  /** Lane 0 to all lanes (not for masks). */
  | { readonly kind: 'splat-lane'; readonly dst: Register; readonly src: Register }
  /** Lane 0 of i32 (sign-extended), i64 or mask (0 or 1) to an index register. */
  | { readonly kind: 'extract'; readonly dst: Register; readonly src: Register }
  /** 1 if any (all) of the P lanes of a mask are true, else 0; dst is index. */
  | { readonly kind: 'mask-test'; readonly test: 'any' | 'all'; readonly dst: Register; readonly src: Register }
  /** Changes an already defined register; for vectors and index. */
  | { readonly kind: 'assign'; readonly dst: Register; readonly src: Register }
  /** Counter (index, defined here) runs from, from + step, ... while below to; step > 0. `from` and `to` are read once, at entry. */
  | {
      readonly kind: 'loop';
      readonly counter: Register;
      readonly from: IndexOperand;
      readonly to: IndexOperand;
      readonly step: number;
      readonly body: readonly VectorStatement[];
    }
  | {
      readonly kind: 'if';
      readonly op: Comparison;
      readonly a: IndexOperand;
      readonly b: IndexOperand;
      readonly then: readonly VectorStatement[];
      readonly else: readonly VectorStatement[];
    };

export type StatementOf<K extends VectorStatement['kind']> = Extract<VectorStatement, { kind: K }>;

/** Entry: `void kernel(u64* args, i64 begin, i64 end, u64 scratch)`, see `Kernel` in ir.ts. begin and end are index registers. */
export interface VectorKernel {
  readonly name: string;
  readonly lanes: Lanes;
  readonly buffers: readonly BufferDeclaration[];
  readonly params: readonly ComputeType[];
  readonly begin: Register;
  readonly end: Register;
  readonly body: readonly VectorStatement[];
  /** Register ids are below this. */
  readonly registerCount: number;
}

/** The register type that holds a compute type. */
export function registerType(type: ComputeType): RegisterType {
  return type === 'bool' ? 'mask' : type;
}

/** Compute type of an element as a vector register. */
export const elementTypes: Readonly<Record<ElementName, VectorType>> = {
  float64: 'f64',
  float32: 'f32',
  float16: 'f32',
  bfloat16: 'f32',
  float8_e4m3fn: 'f32',
  float8_e5m2: 'f32',
  int64: 'i64',
  int32: 'i32',
  int16: 'i32',
  int8: 'i32',
  uint8: 'i32',
  bool: 'mask',
};

export const elementSizes: Readonly<Record<ElementName, 1 | 2 | 4 | 8>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
};

/** The register that a statement (re)defines, or null. For a loop, its counter. */
export function definedRegister(s: VectorStatement): Register | null {
  switch (s.kind) {
    case 'store':
    case 'scatter':
    case 'if':
      return null;
    case 'loop':
      return s.counter;
    default:
      return s.dst;
  }
}

/** The registers that a statement itself reads (not those of nested bodies). An assign also keeps dst alive, but does not read it. */
export function usedRegisters(s: VectorStatement): Register[] {
  const used: Register[] = [];
  const operand = (o: IndexOperand | null): void => {
    if (o !== null && typeof o !== 'number') used.push(o);
  };
  const address = (a: Address): void => {
    used.push(a.base);
    operand(a.index);
  };
  switch (s.kind) {
    case 'buffer':
    case 'param':
    case 'index-const':
    case 'splat-const':
      break;
    case 'index':
      for (const a of s.args) operand(a);
      break;
    case 'vector':
      used.push(...s.args);
      break;
    case 'address':
    case 'load-index':
    case 'broadcast':
      address(s.address);
      break;
    case 'splat':
    case 'cast':
    case 'bitcast':
    case 'round':
    case 'swap':
    case 'splat-lane':
    case 'extract':
    case 'mask-test':
    case 'assign':
      used.push(s.src);
      break;
    case 'iota':
      operand(s.src);
      break;
    case 'lane-mask':
      operand(s.count);
      break;
    case 'load':
      address(s.address);
      operand(s.count);
      operand(s.mask);
      break;
    case 'store':
      used.push(s.src);
      address(s.address);
      operand(s.count);
      operand(s.mask);
      break;
    case 'gather':
      used.push(s.base, s.indices);
      operand(s.mask);
      break;
    case 'scatter':
      used.push(s.src, s.base, s.indices);
      operand(s.mask);
      break;
    case 'loop':
      operand(s.from);
      operand(s.to);
      break;
    case 'if':
      operand(s.a);
      operand(s.b);
      break;
    default:
      s satisfies never;
  }
  return used;
}

/** The nested bodies of a statement. */
export function nestedBodies(s: VectorStatement): readonly (readonly VectorStatement[])[] {
  if (s.kind === 'loop') return [s.body];
  if (s.kind === 'if') return [s.then, s.else];
  return [];
}
