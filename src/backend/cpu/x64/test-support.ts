/**
 * Test helper: builds small vector kernels, runs them as machine code on memory that ends at a guard page, and compares the buffers with
 * what the interpreter of the vector IR leaves in them. NaNs are equal to each other whatever their payload.
 */

import { decode, viewArray } from '../../../dtype/codec.ts';
import { dtypeByName } from '../../../dtype/dtype.ts';
import { interpretVectorKernel } from '../../../kernel/interpret-vector.ts';
import type { BufferDeclaration } from '../../../kernel/ir.ts';
import type { ComputeType, ScalarOp } from '../../../kernel/scalar.ts';
import type { Value } from '../../../kernel/scalar-reference.ts';
import {
  type Address,
  type ElementName,
  elementSizes,
  elementTypes,
  type IndexOp,
  type IndexOperand,
  type Lanes,
  type Register,
  type RegisterType,
  type VectorKernel,
  type VectorStatement,
} from '../../../kernel/vector-ir.ts';
import { selectIsa } from '../features.ts';
import { CodeHeap } from '../memory.ts';
import { requireOs } from '../os.ts';
import type { Isa } from './assembler.ts';
import { type CompileOptions, compileKernel } from './emit.ts';

/** Instruction sets that this machine can run. */
export const runnableIsas: readonly Isa[] = { avx512: ['avx2', 'avx512'] as const, avx2: ['avx2'] as const, none: [] as const }[
  selectIsa(undefined)
];

/** Appends statements; bodies of loops are built by callbacks. */
export class KernelWriter {
  readonly buffers: BufferDeclaration[] = [];
  readonly params: ComputeType[] = [];
  body: VectorStatement[] = [];
  #registers = 0;
  readonly begin = this.register('index');
  readonly end = this.register('index');

  register(type: RegisterType): Register {
    return { id: this.#registers++, type };
  }
  add(s: VectorStatement): void {
    this.body.push(s);
  }
  buffer(name: ElementName, access: BufferDeclaration['access'] = 'readwrite'): Register {
    const dst = this.register('index');
    this.add({ kind: 'buffer', dst, slot: this.buffers.length });
    this.buffers.push({ dtype: dtypeByName(name)!, access });
    return dst;
  }
  param(type: ComputeType): Register {
    const dst = this.register(type === 'bool' ? 'mask' : type);
    this.add({ kind: 'param', dst, slot: this.params.length });
    this.params.push(type);
    return dst;
  }
  index(op: IndexOp, ...args: IndexOperand[]): Register {
    const dst = this.register('index');
    this.add({ kind: 'index', op, dst, args });
    return dst;
  }
  vector(op: ScalarOp, type: RegisterType, ...args: Register[]): Register {
    const dst = this.register(type);
    this.add({ kind: 'vector', op, dst, args });
    return dst;
  }
  constant(type: 'f32' | 'f64' | 'i32' | 'i64' | 'mask', value: Value): Register {
    const dst = this.register(type);
    this.add({ kind: 'splat-const', dst, value });
    return dst;
  }
  load(dtype: ElementName, address: Address, count: IndexOperand | null = null, mask: Register | null = null): Register {
    const dst = this.register(elementTypes[dtype]);
    this.add({ kind: 'load', dst, dtype, address, count, mask });
    return dst;
  }
  store(src: Register, dtype: ElementName, address: Address, count: IndexOperand | null = null, mask: Register | null = null): void {
    this.add({ kind: 'store', src, dtype, address, count, mask });
  }
  assign(dst: Register, src: Register): void {
    this.add({ kind: 'assign', dst, src });
  }
  nested(build: () => void): VectorStatement[] {
    const outer = this.body;
    this.body = [];
    build();
    const inner = this.body;
    this.body = outer;
    return inner;
  }
  loop(from: IndexOperand, to: IndexOperand, step: number, build: (counter: Register) => void): void {
    const counter = this.register('index');
    const body = this.nested(() => build(counter));
    this.add({ kind: 'loop', counter, from, to, step, body });
  }
  kernel(lanes: Lanes, name = 'test'): VectorKernel {
    const { buffers, params, begin, end, body } = this;
    return { name, lanes, buffers, params, begin, end, body, registerCount: this.#registers };
  }
}

export const at = (base: Register, index: Register | null = null, dtype: ElementName = 'int8', displacement = 0): Address => ({
  base,
  index,
  scale: elementSizes[dtype],
  displacement,
});

let heap: CodeHeap | undefined;
/** Runs a kernel natively; the buffers are copied in and out. Each ends (`placement` end) or begins where no access is allowed. */
export function runNative(
  kernel: VectorKernel,
  isa: Isa,
  buffers: readonly Uint8Array[],
  params: readonly Value[],
  begin: number,
  end: number,
  placement: 'start' | 'end' = 'end',
  options: CompileOptions = {},
): void {
  const os = requireOs();
  heap ??= new CodeHeap(os);
  const page = os.pageBytes;
  const code = heap.install([compileKernel(kernel, isa, options)])[0]!;
  const maps = buffers.map((bytes) => {
    const inner = Math.max(1, Math.ceil(bytes.length / page)) * page;
    const start = os.map(inner + 2 * page);
    os.protect(start, page, 'none');
    os.protect(start + page + inner, page, 'none');
    const address = placement === 'start' ? start + page : start + page + inner - bytes.length;
    const view = new Uint8Array(os.view(start + page, inner));
    view.set(bytes, address - start - page);
    return { start, total: inner + 2 * page, address, view, from: address - start - page };
  });
  const block = os.map(page);
  const words = new DataView(os.view(block, page));
  maps.forEach((m, i) => {
    words.setBigUint64(8 * i, BigInt(m.address), true);
  });
  kernel.params.forEach((type, i) => {
    const word = 8 * (buffers.length + i);
    const value = params[i]!;
    if (type === 'f32') words.setFloat32(word, value as number, true);
    else if (type === 'f64') words.setFloat64(word, value as number, true);
    else words.setBigInt64(word, BigInt(value), true);
  });
  os.callable(code)(block, begin, end, 0);
  maps.forEach((m, i) => {
    buffers[i]!.set(m.view.subarray(m.from, m.from + buffers[i]!.length));
    os.unmap(m.start, m.total);
  });
  os.unmap(block, page);
  heap.free(code);
}

/** The first difference between two buffers of one dtype, or null. */
export function difference(dtype: ElementName, got: Uint8Array, wanted: Uint8Array): string | null {
  const type = dtypeByName(dtype)!;
  const x = viewArray(type, got);
  const y = viewArray(type, wanted);
  for (let i = 0; i < got.length / elementSizes[dtype]; i++) {
    const p = decode(type, x, i);
    const q = decode(type, y, i);
    if (!Object.is(p, q)) return `element ${i} of ${got.length / elementSizes[dtype]} is ${p}, wanted ${q}`;
  }
  return null;
}

/** Runs natively and in the interpreter on copies of the same bytes; answers with the first difference. */
export function compare(
  kernel: VectorKernel,
  isa: Isa,
  buffers: readonly Uint8Array[],
  params: readonly Value[] = [],
  begin = 0,
  end = 0,
  options: CompileOptions = {},
): string | null {
  const wanted = buffers.map((b) => b.slice());
  interpretVectorKernel(kernel, wanted, params, begin, end);
  for (const placement of ['end', 'start'] as const) {
    const got = buffers.map((b) => b.slice());
    runNative(kernel, isa, got, params, begin, end, placement, options);
    for (let i = 0; i < got.length; i++) {
      const found = difference(kernel.buffers[i]!.dtype.name as ElementName, got[i]!, wanted[i]!);
      if (found !== null) return `${isa}, ${kernel.lanes} lanes, ${kernel.name}, buffer ${i}: ${found}`;
    }
  }
  return null;
}

/** Deterministic random numbers. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const floats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  1e-3,
  3e38,
  -3e38,
  1e-40,
  -1e-44,
  Infinity,
  -Infinity,
  Number.NaN,
  2147483648,
  -2147483648,
  4294967296,
  8388609,
  9.3e18,
  -9.3e18,
  448,
  464,
  480,
  57344,
  61440,
  65520,
  2 ** -9,
  2 ** -10,
  2 ** -16,
];
const integers = [
  0n,
  1n,
  -1n,
  2n,
  -2n,
  31n,
  32n,
  63n,
  64n,
  -31n,
  127n,
  -128n,
  255n,
  32767n,
  2147483647n,
  -2147483648n,
  4294967295n,
  2n ** 53n,
  -(2n ** 53n),
  2n ** 63n - 1n,
  -(2n ** 63n),
  1000003n,
];

/** Random elements among which the awkward ones are frequent. */
export function elements(dtype: ElementName, count: number, random: () => number): Uint8Array {
  const bytes = new Uint8Array(count * elementSizes[dtype]);
  const view = new DataView(bytes.buffer);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  for (let i = 0; i < count; i++) {
    const float = random() < 0.5 ? pick(floats) : (random() - 0.5) * 10 ** Math.floor(random() * 12 - 4);
    const integer = random() < 0.5 ? pick(integers) : BigInt(Math.floor((random() - 0.5) * 2 ** Math.floor(random() * 53)));
    switch (dtype) {
      case 'float64':
        view.setFloat64(8 * i, float, true);
        break;
      case 'float32':
        view.setFloat32(4 * i, float, true);
        break;
      case 'int64':
        view.setBigInt64(8 * i, BigInt.asIntN(64, integer), true);
        break;
      case 'int32':
        view.setInt32(4 * i, Number(BigInt.asIntN(32, integer)), true);
        break;
      case 'bool':
        bytes[i] = random() < 0.5 ? 1 : 0;
        break;
      default:
        for (let k = 0; k < elementSizes[dtype]; k++) bytes[i * elementSizes[dtype] + k] = random() * 256;
    }
  }
  return bytes;
}
