/**
 * What the parts of the emitter share: the function being written, locals of registers, temporaries, constants kept in locals.
 *
 * A vector register is one v128 local. With four lanes every type has 32 bits a lane. With two lanes (kernels with 64-bit types) f64, i64
 * and masks fill the v128, and f32 and i32 use its lower half; the upper half of those is arbitrary. A mask lane is all ones or all
 * zeros. Index registers are i32 locals.
 */
import type { Register, VectorType } from '../../kernel/vector-ir.ts';
import type { FunctionBuilder } from './encoder.ts';
import type { PlainOp, ValueType } from './opcodes.ts';

/** Picks the low halves of the 64-bit lanes, into the lower half. */
const narrowShuffle = [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11] as const;

export class EmitContext {
  readonly f: FunctionBuilder;
  readonly lanes: 2 | 4;
  /** fma with one rounding, by relaxed_madd. */
  readonly fused: boolean;
  readonly #locals = new Map<number, number>();
  readonly #constants = new Map<string, number>();
  readonly #free: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  readonly #taken: [ValueType, number][] = [];

  constructor(f: FunctionBuilder, lanes: 2 | 4, fused: boolean) {
    this.f = f;
    this.lanes = lanes;
    this.fused = fused;
  }

  get wide(): boolean {
    return this.lanes === 2;
  }
  bind(register: Register, local: number): void {
    this.#locals.set(register.id, local);
  }
  local(register: Register): number {
    let found = this.#locals.get(register.id);
    if (found === undefined) {
      found = this.f.local(register.type === 'index' ? 'i32' : 'v128');
      this.#locals.set(register.id, found);
    }
    return found;
  }
  get(register: Register): void {
    this.f.get(this.local(register));
  }
  set(register: Register): void {
    this.f.set(this.local(register));
  }

  /** A local for the current statement only. */
  take(type: ValueType): number {
    const local = this.#free[type].pop() ?? this.f.local(type);
    this.#taken.push([type, local]);
    return local;
  }
  release(): void {
    for (const [type, local] of this.#taken) this.#free[type].push(local);
    this.#taken.length = 0;
  }
  /** Pops a value into a new temporary. */
  keep(type: ValueType): number {
    const local = this.take(type);
    this.f.set(local);
    return local;
  }

  ops(...names: PlainOp[]): void {
    for (const name of names) this.f.op(name);
  }

  #constant(key: string, make: () => void): void {
    let local = this.#constants.get(key);
    if (local === undefined) {
      local = this.f.local('v128');
      const target = local;
      this.f.prologue(() => {
        make();
        this.f.set(target);
      });
      this.#constants.set(key, local);
    }
    this.f.get(local);
  }
  /** Pushes a v128 of equal i32 lanes. */
  i32x4(value: number): void {
    this.#constant(`i${value | 0}`, () => {
      this.f.i32(value);
      this.f.op('i32x4.splat');
    });
  }
  i64x2(value: bigint): void {
    this.#constant(`l${value}`, () => {
      this.f.i64(value);
      this.f.op('i64x2.splat');
    });
  }
  f32x4(value: number): void {
    this.#constant(`f${Object.is(value, -0) ? '-0' : value}`, () => {
      this.f.f32(value);
      this.f.op('f32x4.splat');
    });
  }
  f64x2(value: number): void {
    this.#constant(`d${Object.is(value, -0) ? '-0' : value}`, () => {
      this.f.f64(value);
      this.f.op('f64x2.splat');
    });
  }
  /** Pushes the i32 lanes 0, 1, 2, 3. */
  steps(): void {
    this.#constant('steps', () => this.f.v128(new Uint8Array(new Int32Array([0, 1, 2, 3]).buffer)));
  }

  /** Stack: a mask of 32-bit lanes becomes a mask register's value, and back. */
  widenMask(): void {
    if (this.wide) this.f.op('i64x2.extend_low_i32x4_s');
  }
  narrowMask(): void {
    if (this.wide) this.permute(narrowShuffle);
  }
  /** Stack: the low 32 bits of two 64-bit lanes. */
  narrow64(): void {
    this.permute(narrowShuffle);
  }
  /** Stack: the bytes of one vector, rearranged. */
  permute(bytes: readonly number[]): void {
    const value = this.take('v128');
    this.f.tee(value);
    this.f.get(value);
    this.f.shuffle(bytes);
  }
  /** Pushes a mask register as lanes as wide as `type` has. */
  getMaskFor(mask: Register, type: VectorType): void {
    this.get(mask);
    if (type === 'f32' || type === 'i32') this.narrowMask();
  }
}
