/**
 * Matrix multiplication of a few rows, reading B where it lies: every element of B is used only `smallRows` times, so packing would double
 * the work. The order of additions is that of `matmul.ts`.
 *
 * B contiguous along n: rows of B, scaled, are added to row sums in scratch, four at a time, so that memory is read in four streams.
 * B contiguous along k (a transposed weight): vectors of k from several columns are transposed in registers and become vectors of
 * columns. Missing columns and rows of a group repeat the last one and are not copied out.
 */
import type { FunctionBuilder, ModuleBuilder } from './encoder.ts';
import type { Value } from './integer-code.ts';
import { IntegerCode } from './integer-code.ts';
import type { MatmulType } from './matmul-parts.ts';
import { elementSize, i32Parameters, splatLoad, vectorShape } from './matmul-parts.ts';

export const smallRows = 4;
/** Bytes of one row's sums, and of all. */
const rowBytes = 8192;
export const smallScratchBytes: number = smallRows * rowBytes;

/** Stack: the product of the two pushed vectors is added to the sum. */
function multiplyAdd(f: FunctionBuilder, type: MatmulType, fused: boolean, sum: number, pushA: () => void, pushB: () => void): void {
  const shape = vectorShape[type];
  if (!fused) f.get(sum);
  pushA();
  pushB();
  if (fused) f.get(sum);
  else f.op(`${shape}.mul`);
  f.op(fused ? `${shape}.relaxed_madd` : `${shape}.add`);
  f.set(sum);
}

/** small(a, b, c, rows, columns, k, aRow, aK, bK, bColumn, cRow, scratch): strides in bytes; bK or bColumn is the size of an element. */
export function defineSmall(module: ModuleBuilder, type: MatmulType, fused: boolean, block: number, copyTile: number): number {
  const size = elementSize[type];
  const four = defineAddRows(module, type, fused, 4);
  const one = defineAddRows(module, type, fused, 1);
  const single = defineColumns(module, type, fused, 1);
  const several = defineColumns(module, type, fused, smallRows);
  const group = 32 / size;
  return module.function(null, i32Parameters(12), [], (f) => {
    const code = new IntegerCode(f);
    const [a, b, c, rows, columns, k, aRow, aK, bK, bColumn, cRow, scratch] = code.parameters(12);
    const zero = code.literal(0);
    const blocks = (body: (from: Value, depth: Value, first: Value) => void): void => {
      const start = f.local('i32');
      code.set(start, zero);
      f.loop((again) => {
        const from = code.of(start);
        body(from, code.keep(code.minimum(code.literal(block), code.subtract(k, from))), code.keep(code.equal(from, zero)));
        code.increment(start, code.literal(block));
        code.less(from, k)();
        f.brIf(again);
      });
    };
    const alongColumns = (): void =>
      code.range(zero, columns, rowBytes / size, (column) => {
        const width = code.keep(code.minimum(code.literal(rowBytes / size), code.subtract(columns, column)));
        blocks((from, depth, first) => {
          scratch();
          f.i32(0);
          f.i32(smallScratchBytes);
          f.memoryFill();
          const bFrom = code.keep(code.add(b, code.scale(column, size), code.multiply(from, bK)));
          const aFrom = code.keep(code.add(a, code.multiply(from, aK)));
          const step = f.local('i32');
          const add = (fn: number, count: number): void =>
            code.while(code.atLeast(code.subtract(depth, code.of(step)), code.literal(count)), () => {
              code.range(zero, rows, 1, (row) => {
                const items = code.add(aFrom, code.multiply(row, aRow), code.multiply(code.of(step), aK));
                const sums = code.add(scratch, code.scale(row, rowBytes));
                code.call(fn, sums, code.add(bFrom, code.multiply(code.of(step), bK)), bK, width, items, aK);
              });
              code.increment(step, code.literal(count));
            });
          code.set(step, zero);
          add(four, 4);
          add(one, 1);
          code.call(copyTile, scratch, code.literal(rowBytes), code.add(c, code.scale(column, size)), rows, width, cRow, first);
        });
      });
    const alongDepth = (): void =>
      code.range(zero, columns, group, (column) => {
        const left = code.keep(code.subtract(columns, column));
        blocks((from, depth, first) => {
          const aFrom = code.keep(code.add(a, code.multiply(from, aK)));
          const bFrom = code.keep(code.add(b, code.multiply(column, bColumn), code.scale(from, size)));
          const call = (fn: number): void => code.call(fn, aFrom, bFrom, rows, left, depth, aRow, aK, bColumn, scratch);
          code.if(
            code.equal(rows, code.literal(1)),
            () => call(single),
            () => call(several),
          );
          const wide = code.minimum(left, code.literal(group));
          code.call(copyTile, scratch, code.literal(32), code.add(c, code.scale(column, size)), rows, wide, cRow, first);
        });
      });
    code.if(code.equal(bColumn, code.literal(size)), alongColumns, alongDepth);
  });
}

/** addRows(sums, b, bK, columns, a, aK): sums += a[0] * B row 0, then a[1] * B row 1, ... for `count` rows. */
function defineAddRows(module: ModuleBuilder, type: MatmulType, fused: boolean, count: number): number {
  const size = elementSize[type];
  const lanes = 16 / size;
  return module.function(null, i32Parameters(6), [], (f) => {
    const code = new IntegerCode(f);
    const [sums, b, bK, columns, a, aK] = code.parameters(6);
    const factors = Array.from({ length: count }, () => f.local('v128'));
    const pointers = Array.from({ length: count }, () => f.local('i32'));
    const sum = f.local('v128');
    const left = f.local('i32');
    factors.forEach((factor, i) => {
      a();
      f.memory(splatLoad[type]);
      f.set(factor);
      code.set(pointers[i], i === 0 ? b : code.add(code.of(pointers[i - 1]), bK));
      if (i + 1 < count) code.increment(4, aK);
    });
    // A lone element is handled as a vector of equal lanes, so that it rounds alike.
    const advance = (width: number): void => {
      const whole = width === lanes;
      sums();
      f.memory(whole ? 'v128.load' : splatLoad[type]);
      f.set(sum);
      factors.forEach((factor, i) => {
        const pushB = (): void => {
          f.get(pointers[i]);
          f.memory(whole ? 'v128.load' : splatLoad[type]);
        };
        multiplyAdd(f, type, fused, sum, () => f.get(factor), pushB);
        code.increment(pointers[i], code.literal(width * size));
      });
      sums();
      f.get(sum);
      if (whole) f.memory('v128.store');
      else f.memoryLane(type === 'f32' ? 'v128.store32_lane' : 'v128.store64_lane', 0);
      code.increment(0, code.literal(width * size));
      code.increment(left, code.literal(-width));
    };
    code.set(left, columns);
    code.while(code.atLeast(code.of(left), code.literal(lanes)), () => advance(lanes));
    code.while(code.atLeast(code.of(left), code.literal(1)), () => advance(1));
  });
}

/**
 * columns(a, b, rows, left, depth, aRow, aK, bColumn, out): the sums of `height` rows and two vectors of columns over `depth`, into rows of
 * 32 bytes.
 */
function defineColumns(module: ModuleBuilder, type: MatmulType, fused: boolean, height: number): number {
  const size = elementSize[type];
  const lanes = 16 / size;
  return module.function(null, i32Parameters(9), [], (f) => {
    const code = new IntegerCode(f);
    const [a, b, rows, left, depth, aRow, aK, bColumn, out] = code.parameters(9);
    const clamped = (index: number, base: Value, stride: Value, count: Value): number => {
      const pointer = f.local('i32');
      code.set(pointer, code.add(base, code.multiply(code.minimum(code.literal(index), code.subtract(count, code.literal(1))), stride)));
      return pointer;
    };
    const columns = Array.from({ length: lanes * 2 }, (_, i) => clamped(i, b, bColumn, left));
    const items = Array.from({ length: height }, (_, i) => clamped(i, a, aRow, rows));
    const sums = items.map(() => [f.local('v128'), f.local('v128')]);
    const loaded = Array.from({ length: lanes }, () => f.local('v128'));
    const turned = Array.from({ length: lanes }, () => f.local('v128'));
    const rest = f.local('i32');
    const offset = f.local('i32');

    const shuffle = (x: number, y: number, to: number, ...words: number[]): void => {
      f.get(x);
      f.get(y);
      const unit = 16 / words.length;
      f.shuffle(words.flatMap((word) => Array.from({ length: unit }, (_, byte) => word * unit + byte)));
      f.set(to);
    };
    const transpose = (): void => {
      const [p, q, r, s] = loaded;
      const [w, x, y, z] = turned;
      if (lanes === 2) {
        shuffle(p, q, w, 0, 2);
        shuffle(p, q, x, 1, 3);
        return;
      }
      shuffle(p, q, w, 0, 4, 1, 5);
      shuffle(p, q, x, 2, 6, 3, 7);
      shuffle(r, s, y, 0, 4, 1, 5);
      shuffle(r, s, z, 2, 6, 3, 7);
      shuffle(w, y, p, 0, 2);
      shuffle(w, y, q, 1, 3);
      shuffle(x, z, r, 0, 2);
      shuffle(x, z, s, 1, 3);
      loaded.forEach((from, i) => {
        f.get(from);
        f.set(turned[i]);
      });
    };
    const steps = (count: number): void => {
      for (let v = 0; v < 2; v++) {
        for (let l = 0; l < lanes; l++) {
          if (count === 1) {
            f.get(columns[v * lanes + l]);
            f.get(turned[0]);
            f.memoryLane(size === 4 ? 'v128.load32_lane' : 'v128.load64_lane', l);
            f.set(turned[0]);
          } else {
            f.get(columns[v * lanes + l]);
            f.memory('v128.load');
            f.set(loaded[l]);
          }
          code.increment(columns[v * lanes + l], code.literal(count * size));
        }
        if (count > 1) transpose();
        code.set(offset, code.literal(0));
        for (let step = 0; step < count; step++) {
          items.forEach((item, row) => {
            const pushA = (): void => {
              code.add(code.of(item), code.of(offset))();
              f.memory(splatLoad[type]);
            };
            multiplyAdd(f, type, fused, sums[row][v], pushA, () => f.get(turned[step]));
          });
          if (step + 1 < count) code.increment(offset, aK);
        }
      }
      for (const item of items) code.increment(item, code.scale(aK, count));
      code.increment(rest, code.literal(-count));
    };
    code.set(rest, depth);
    code.while(code.atLeast(code.of(rest), code.literal(lanes)), () => steps(lanes));
    code.while(code.atLeast(code.of(rest), code.literal(1)), () => steps(1));
    sums.forEach((pair, row) => {
      pair.forEach((sum, v) => {
        out();
        f.get(sum);
        f.memory('v128.store', row * 32 + v * 16);
      });
    });
  });
}
