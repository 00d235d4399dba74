/**
 * The pieces of the packed matrix multiplication: packing panels, the register tile, and copying out a tile at an edge. See `matmul.ts`.
 * Each `define...` adds a function to a module and returns its index; the functions' parameters are i32, strides in bytes.
 */
import type { ModuleBuilder } from './encoder.ts';
import { IntegerCode } from './integer-code.ts';
import type { ValueType } from './opcodes.ts';

export type MatmulType = 'f32' | 'f64';
export const elementSize = { f32: 4, f64: 8 } as const satisfies Record<MatmulType, number>;
export const vectorShape = { f32: 'f32x4', f64: 'f64x2' } as const satisfies Record<MatmulType, string>;
export const splatLoad = { f32: 'v128.load32_splat', f64: 'v128.load64_splat' } as const satisfies Record<MatmulType, string>;

export const i32Parameters = (count: number): ValueType[] => new Array<ValueType>(count).fill('i32');

/**
 * pack(dst, src, count, depth, stride, depthStride): panels of `width` items along one axis; within a panel, `width` items for each of
 * `depth` steps along the other. The last panel is padded with zeros.
 */
export function definePack(module: ModuleBuilder, type: MatmulType, width: number): number {
  const size = elementSize[type];
  return module.function(null, i32Parameters(6), [], (f) => {
    const code = new IntegerCode(f);
    const [dst, src, count, depth, stride, depthStride] = code.parameters(6);
    const dstLocal = 0;
    const zero = code.literal(0);
    const from = f.local('i32');
    const left = f.local('i32');
    const item = f.local('i32');
    // One pointer per item of a panel: where the depth is contiguous they read whole cache lines between them.
    const pointers = Array.from({ length: width }, () => f.local('i32'));

    const copyVectors = (): void =>
      code.range(zero, depth, 1, () => {
        for (let offset = 0; offset < width * size; offset += 16) {
          dst();
          f.get(from);
          f.memory('v128.load', offset);
          f.memory('v128.store', offset);
        }
        code.increment(dstLocal, code.literal(width * size));
        code.increment(from, depthStride);
      });
    const copyItems = (): void => {
      pointers.forEach((pointer, i) => {
        code.set(pointer, i === 0 ? code.of(from) : code.add(code.of(pointers[i - 1]), stride));
      });
      code.range(zero, depth, 1, () => {
        pointers.forEach((pointer, i) => {
          dst();
          f.get(pointer);
          f.memory(`${type}.load`);
          f.memory(`${type}.store`, i * size);
          code.increment(pointer, depthStride);
        });
        code.increment(dstLocal, code.literal(width * size));
      });
    };
    const copyPadded = (): void =>
      code.range(zero, depth, 1, () => {
        for (let i = 0; i < width; i++) {
          dst();
          if (type === 'f32') f.f32(0);
          else f.f64(0);
          f.memory(`${type}.store`, i * size);
        }
        code.set(item, code.of(from));
        code.range(zero, code.of(left), 1, (lane) => {
          code.add(dst, code.scale(lane, size))();
          f.get(item);
          f.memory(`${type}.load`);
          f.memory(`${type}.store`);
          code.increment(item, stride);
        });
        code.increment(dstLocal, code.literal(width * size));
        code.increment(from, depthStride);
      });

    code.range(zero, count, width, (panel) => {
      code.set(left, code.subtract(count, panel));
      code.set(from, code.add(src, code.multiply(panel, stride)));
      const whole = (): void => {
        if ((width * size) % 16 !== 0) copyItems();
        else code.if(code.equal(stride, code.literal(size)), copyVectors, copyItems);
      };
      code.if(code.atLeast(code.of(left), code.literal(width)), whole, copyPadded);
    });
  });
}

/**
 * multiply(a, b, c, depth, cRow, first): one register tile, C = A panel x B panel, or C + that unless first. Two steps are unrolled; four
 * were slower, as V8's register allocator then spills.
 */
export function defineMultiply(
  module: ModuleBuilder,
  type: MatmulType,
  tile: { readonly rows: number; readonly vectors: number },
  fused: boolean,
): number {
  const size = elementSize[type];
  const shape = vectorShape[type];
  const unroll = 2;
  return module.function(null, i32Parameters(6), [], (f) => {
    const code = new IntegerCode(f);
    const [a, b, c, depth, cRow, first] = code.parameters(6);
    const sums = Array.from({ length: tile.rows }, () => Array.from({ length: tile.vectors }, () => f.local('v128')));
    const vectors = Array.from({ length: tile.vectors }, () => f.local('v128'));
    const item = f.local('v128');
    const left = f.local('i32');
    const steps = (count: number): void => {
      for (let index = 0; index < count; index++) {
        vectors.forEach((vector, v) => {
          b();
          f.memory('v128.load', (index * tile.vectors + v) * 16);
          f.set(vector);
        });
        sums.forEach((row, r) => {
          a();
          f.memory(splatLoad[type], (index * tile.rows + r) * size);
          f.set(item);
          row.forEach((sum, v) => {
            if (!fused) f.get(sum);
            f.get(item);
            f.get(vectors[v]);
            if (fused) f.get(sum);
            else f.op(`${shape}.mul`);
            f.op(fused ? `${shape}.relaxed_madd` : `${shape}.add`);
            f.set(sum);
          });
        });
      }
      code.increment(0, code.literal(count * tile.rows * size));
      code.increment(1, code.literal(count * tile.vectors * 16));
      code.increment(left, code.literal(-count));
    };
    code.set(left, depth);
    code.while(code.atLeast(code.of(left), code.literal(unroll)), () => steps(unroll));
    code.while(code.atLeast(code.of(left), code.literal(1)), () => steps(1));
    const finish = (add: boolean): void => {
      for (let r = 0; r < tile.rows; r++) {
        for (let v = 0; v < tile.vectors; v++) {
          c();
          if (add) {
            c();
            f.memory('v128.load', v * 16);
          }
          f.get(sums[r][v]);
          if (add) f.op(`${shape}.add`);
          f.memory('v128.store', v * 16);
        }
        if (r + 1 < tile.rows) code.increment(2, cRow);
      }
    };
    code.if(
      first,
      () => finish(false),
      () => finish(true),
    );
  });
}

/** copyTile(src, srcRow, c, rows, columns, cRow, first): sums in scratch to C, stored if first, else added. */
export function defineCopyTile(module: ModuleBuilder, type: MatmulType): number {
  const size = elementSize[type];
  const lanes = 16 / size;
  return module.function(null, i32Parameters(7), [], (f) => {
    const code = new IntegerCode(f);
    const [src, srcRow, c, rows, columns, cRow, first] = code.parameters(7);
    const from = f.local('i32');
    const to = f.local('i32');
    const left = f.local('i32');
    const row = (add: boolean): void => {
      const elements = (count: number): void => {
        f.get(to);
        if (add) {
          f.get(to);
          if (count === 1) f.memory(`${type}.load`);
          else f.memory('v128.load');
        }
        f.get(from);
        if (count === 1) f.memory(`${type}.load`);
        else f.memory('v128.load');
        if (add) f.op(count === 1 ? `${type}.add` : `${vectorShape[type]}.add`);
        if (count === 1) f.memory(`${type}.store`);
        else f.memory('v128.store');
        code.increment(to, code.literal(count * size));
        code.increment(from, code.literal(count * size));
        code.increment(left, code.literal(-count));
      };
      code.while(code.atLeast(code.of(left), code.literal(lanes)), () => elements(lanes));
      code.while(code.atLeast(code.of(left), code.literal(1)), () => elements(1));
    };
    code.range(code.literal(0), rows, 1, () => {
      code.set(from, src);
      code.set(to, c);
      code.set(left, columns);
      code.if(
        first,
        () => row(false),
        () => row(true),
      );
      code.increment(0, srcRow);
      code.increment(2, cRow);
    });
  });
}
