import { describe, expect, test } from 'vitest';
import { ByteSink, ModuleBuilder } from './encoder.ts';
import { hasFusedMultiplyAdd, hasSimd, wasmEngine } from './engine.ts';
import type { LaneOp, MemoryLaneOp, MemoryOp, PlainOp, ValueType } from './opcodes.ts';
import { laneOps, memoryLaneOps, memoryOps, plainOps } from './opcodes.ts';

const engine = wasmEngine();
type Call = (...args: (number | bigint)[]) => number | bigint;
function instantiate(module: ModuleBuilder, imports: Record<string, Record<string, unknown>> = {}): Record<string, Call> {
  return new engine.Instance(new engine.Module(module.finish()), imports).exports as Record<string, Call>;
}

const shapeOf = (prefix: string): ValueType => (prefix.includes('x') || prefix === 'v128' ? 'v128' : (prefix as ValueType));
/** Operand and result types, from the instruction's name. */
function signature(name: PlainOp): [ValueType[], ValueType[]] {
  const [prefix, op] = name.split('.');
  const shape = shapeOf(prefix);
  const conversion = /^(?:wrap|extend|convert|demote|promote|reinterpret|trunc_sat)_(?:low_|high_)?([if](?:32|64)(?:x\d)?)/.exec(op);
  if (op === 'splat')
    return [[prefix.startsWith('i64') ? 'i64' : prefix.startsWith('i') ? 'i32' : (prefix.slice(0, 3) as ValueType)], ['v128']];
  if (shape !== 'v128') {
    if (conversion !== null) return [[conversion[1] as ValueType], [shape]];
    if (/^(eqz)/.test(op)) return [[shape], ['i32']];
    if (/^(eq|ne|lt|gt|le|ge)(_|$)/.test(op)) return [[shape, shape], ['i32']];
    if (/^(clz|ctz|popcnt|abs|neg|ceil|floor|trunc|nearest|sqrt|extend)/.test(op)) return [[shape], [shape]];
    return [[shape, shape], [shape]];
  }
  if (/^(any_true|all_true|bitmask)/.test(op)) return [['v128'], ['i32']];
  if (/^(shl|shr)/.test(op)) return [['v128', 'i32'], ['v128']];
  if (/^(bitselect|relaxed)/.test(op)) return [['v128', 'v128', 'v128'], ['v128']];
  if (/^(not|abs|neg|ceil|floor|trunc|nearest|sqrt|extend|convert|demote|promote)/.test(op)) return [['v128'], ['v128']];
  return [['v128', 'v128'], ['v128']];
}
function validates(build: (module: ModuleBuilder) => void): boolean {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initial: 1, maximum: null, shared: false });
  build(module);
  return engine.validate(module.finish());
}

describe('the binary encoder', () => {
  test('every instruction of the tables validates with the types its name implies', () => {
    const wrong: string[] = [];
    for (const name of Object.keys(plainOps) as PlainOp[]) {
      if (name.includes('relaxed') || !name.includes('.')) continue;
      const [operands, results] = signature(name);
      const ok = validates((m) =>
        m.function(null, operands, results, (f) => {
          for (let i = 0; i < operands.length; i++) f.get(i);
          f.op(name);
        }),
      );
      if (!ok) wrong.push(name);
    }
    for (const name of Object.keys(memoryOps) as MemoryOp[]) {
      const type = shapeOf(name.split('.')[0]);
      const store = name.includes('store');
      const ok = validates((m) =>
        m.function(null, ['i32', type], store ? [] : [type], (f) => {
          f.get(0);
          if (store) f.get(1);
          f.memory(name, 300);
        }),
      );
      if (!ok) wrong.push(name);
    }
    for (const name of Object.keys(laneOps) as LaneOp[]) {
      const prefix = name.split('.')[0];
      const scalar: ValueType = prefix === 'i64x2' ? 'i64' : prefix.startsWith('i') ? 'i32' : (prefix.slice(0, 3) as ValueType);
      const replace = name.includes('replace');
      const ok = validates((m) =>
        m.function(null, ['v128', scalar], replace ? ['v128'] : [scalar], (f) => {
          f.get(0);
          if (replace) f.get(1);
          f.lane(name, 1);
        }),
      );
      if (!ok) wrong.push(name);
    }
    for (const name of Object.keys(memoryLaneOps) as MemoryLaneOp[]) {
      const ok = validates((m) =>
        m.function(null, ['i32', 'v128'], name.includes('store') ? [] : ['v128'], (f) => {
          f.get(0);
          f.get(1);
          f.memoryLane(name, 1, 8);
        }),
      );
      if (!ok) wrong.push(name);
    }
    expect(wrong).toEqual([]);
  });

  test('signed LEB128 constants come back as they were written', () => {
    const module = new ModuleBuilder();
    const small = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, -8193, 2 ** 31 - 1, -(2 ** 31)];
    const large = [0n, -1n, 64n, -65n, 2n ** 35n, -(2n ** 40n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)];
    small.forEach((v, i) => {
      module.function(`s${i}`, [], ['i32'], (f) => f.i32(v));
    });
    large.forEach((v, i) => {
      module.function(`l${i}`, [], ['i64'], (f) => f.i64(v));
    });
    module.function('f', [], ['f32'], (f) => f.f32(1.5));
    module.function('d', [], ['f64'], (f) => f.f64(-0));
    const exports = instantiate(module);
    expect(small.map((_, i) => exports[`s${i}`]())).toEqual(small);
    expect(large.map((_, i) => exports[`l${i}`]())).toEqual(large);
    expect(exports['f']()).toBe(1.5);
    expect(exports['d']()).toBe(-0);
  });

  test('unsigned LEB128 covers sizes above 2^31', () => {
    const sink = new ByteSink();
    sink.unsigned(2 ** 32 - 1);
    sink.unsigned(300);
    expect([...sink.view()]).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f, 0xac, 0x02]);
  });

  test('labels find their depth through nested blocks, loops and ifs, and functions call each other and imports', () => {
    const module = new ModuleBuilder();
    const twice = module.importFunction('env', 'twice', ['i32'], ['i32']);
    const add = module.function(null, ['i32', 'i32'], ['i32'], (f) => {
      f.get(0);
      f.get(1);
      f.op('i32.add');
    });
    // twice(the sum of the odd numbers below n), leaving by a branch out of three levels
    module.function('odd', ['i32'], ['i32'], (f) => {
      const i = f.local('i32');
      const sum = f.local('i32');
      f.block((out) => {
        f.loop((next) => {
          f.get(i);
          f.get(0);
          f.op('i32.ge_s');
          f.if(() => f.br(out));
          f.get(i);
          f.i32(1);
          f.op('i32.and');
          f.if(
            () => {
              f.get(sum);
              f.get(i);
              f.call(add);
              f.set(sum);
            },
            () => {
              f.get(sum);
              f.set(sum);
            },
          );
          f.get(i);
          f.i32(1);
          f.op('i32.add');
          f.tee(i);
          f.get(0);
          f.op('i32.le_s');
          f.brIf(next);
        });
      });
      f.get(sum);
      f.call(twice);
    });
    expect(instantiate(module, { env: { twice: (x: number) => 2 * x } })['odd'](10)).toBe(50);
  });

  test('the prologue runs before the body, though it is written later', () => {
    const module = new ModuleBuilder();
    module.function('f', [], ['i32'], (f) => {
      const x = f.local('i32');
      f.get(x);
      f.prologue(() => {
        f.i32(7);
        f.set(x);
      });
    });
    expect(instantiate(module)['f']()).toBe(7);
  });

  test('a shared memory and a plain one can be imported, and copied within', () => {
    for (const shared of [false, true]) {
      const memory = new engine.Memory({ initial: 1, maximum: 4, shared });
      const module = new ModuleBuilder();
      module.importMemory('env', 'memory', { initial: 1, maximum: 4, shared });
      module.function('move', ['i32', 'i32', 'i32'], [], (f) => {
        for (let i = 0; i < 3; i++) f.get(i);
        f.memoryCopy();
      });
      const bytes = new Uint8Array(memory.buffer);
      bytes.set([1, 2, 3], 100);
      instantiate(module, { env: { memory } })['move'](200, 100, 3);
      expect([...bytes.subarray(199, 204)]).toEqual([0, 1, 2, 3, 0]);
    }
  });

  test('the engine has SIMD, and the test for fused multiply-add agrees with validation', () => {
    expect(hasSimd()).toBe(true);
    const accepted = validates((m) =>
      m.function(null, ['v128'], ['v128'], (f) => {
        for (let i = 0; i < 3; i++) f.get(0);
        f.op('f32x4.relaxed_madd');
      }),
    );
    if (!accepted) expect(hasFusedMultiplyAdd()).toBe(false);
    expect(typeof hasFusedMultiplyAdd()).toBe('boolean');
  });
});
