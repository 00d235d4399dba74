/**
 * For tests: runs a vector kernel on the wasm device and in the interpreter on the same bytes, and compares buffers element by element.
 */
import { decode, viewArray } from '../../dtype/codec.ts';
import type { DType } from '../../dtype/dtype.ts';
import { interpretVectorKernel } from '../../kernel/interpret-vector.ts';
import type { Value } from '../../kernel/scalar-reference.ts';
import type { Register, VectorKernel, VectorStatement } from '../../kernel/vector-ir.ts';
import { verifyVectorKernel } from '../../kernel/verify-vector.ts';
import { kernelSource } from './emit.ts';
import { hasFusedMultiplyAdd } from './engine.ts';
import { WasmRuntime } from './runtime.ts';

let runtime: WasmRuntime | undefined;

/** Where the engine rounds fma twice, so must the interpreter: fma as mul and add. */
export function splitFma(kernel: VectorKernel): VectorKernel {
  let next = kernel.registerCount;
  const block = (body: readonly VectorStatement[]): VectorStatement[] =>
    body.flatMap((s): VectorStatement[] => {
      if (s.kind === 'loop') return [{ ...s, body: block(s.body) }];
      if (s.kind === 'if') return [{ ...s, then: block(s.then), else: block(s.else) }];
      if (s.kind !== 'vector' || s.op !== 'fma') return [s];
      const product: Register = { id: next++, type: s.dst.type };
      return [
        { kind: 'vector', op: 'mul', dst: product, args: [s.args[0], s.args[1]] },
        { kind: 'vector', op: 'add', dst: s.dst, args: [product, s.args[2]] },
      ];
    });
  const body = block(kernel.body);
  return { ...kernel, body, registerCount: next };
}

/** Runs on the device; the buffers are copied in and out. Bytes behind each buffer must stay as they are. */
export function runOnDevice(
  kernel: VectorKernel,
  buffers: readonly Uint8Array[],
  params: readonly Value[],
  begin: number,
  end: number,
): void {
  runtime ??= new WasmRuntime({ limit: 64 * 2 ** 20 });
  const r = runtime;
  const [fn] = r.compile([kernelSource(kernel, { fused: hasFusedMultiplyAdd() })]);
  const guard = 64;
  const args = r.alloc(8 * (buffers.length + params.length));
  const addresses = buffers.map((b) => r.alloc(b.length + guard + 8));
  const { u8, data } = r.views;
  buffers.forEach((b, i) => {
    u8.set(b, addresses[i]);
    u8.fill(0xa5, addresses[i] + b.length, addresses[i] + b.length + guard);
    data.setBigUint64(args + 8 * i, BigInt(addresses[i]), true);
  });
  params.forEach((value, i) => {
    const at = args + 8 * (buffers.length + i);
    switch (kernel.params[i]) {
      case 'f32':
        data.setBigInt64(at, 0n, true);
        data.setFloat32(at, value as number, true);
        return;
      case 'f64':
        data.setFloat64(at, value as number, true);
        return;
      default:
        data.setBigInt64(at, BigInt(value), true);
    }
  });
  fn(args, begin, end, 0);
  buffers.forEach((b, i) => {
    b.set(u8.subarray(addresses[i], addresses[i] + b.length));
    for (let k = 0; k < guard; k++) if (u8[addresses[i] + b.length + k] !== 0xa5) throw new Error(`buffer ${i} was written past its end`);
    r.free(addresses[i]);
  });
  r.free(args);
}

/** Differences between device and interpreter, as text (empty: none). NaNs are equal to each other. */
export function differences(
  kernel: VectorKernel,
  dtypes: readonly DType[],
  buffers: readonly Uint8Array[],
  params: readonly Value[],
  begin: number,
  end: number,
): string[] {
  verifyVectorKernel(kernel);
  const expected = buffers.map((b) => b.slice());
  const actual = buffers.map((b) => b.slice());
  interpretVectorKernel(hasFusedMultiplyAdd() ? kernel : splitFma(kernel), expected, params, begin, end);
  runOnDevice(kernel, actual, params, begin, end);
  const found: string[] = [];
  dtypes.forEach((dtype, slot) => {
    const real = dtype.real;
    const want = viewArray(real, expected[slot]);
    const have = viewArray(real, actual[slot]);
    for (let i = 0; i < want.length && found.length < 10; i++) {
      const w = decode(real, want, i);
      const h = decode(real, have, i);
      if (!Object.is(w, h))
        found.push(
          `buffer ${slot} [${i}]: expected ${String(w)}, got ${String(h)} (input ${buffers.map((b) => (b.length === want.byteLength ? String(decode(real, viewArray(real, b), i)) : '?')).join(', ')})`,
        );
    }
  });
  return found;
}
