/**
 * The part of the WebAssembly JavaScript interface that we use, typed here because our `lib` has no DOM, and what the engine can do.
 */
import { ModuleBuilder } from './encoder.ts';

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
export interface WasmModule {
  readonly __wasmModule?: never;
}
export interface WasmEngine {
  readonly Memory: new (descriptor: { initial: number; maximum?: number; shared?: boolean }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (
    module: WasmModule,
    imports?: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Record<string, unknown> };
  readonly validate: (bytes: Uint8Array) => boolean;
}

const found = (globalThis as { WebAssembly?: WasmEngine }).WebAssembly;

/** The engine; throws where the platform has none. */
export function wasmEngine(): WasmEngine {
  if (found === undefined) throw new Error('torch-magpie: this JavaScript engine has no WebAssembly');
  return found;
}

let simd: boolean | undefined;
/** Whether the engine takes SIMD, which the device needs. */
export function hasSimd(): boolean {
  if (simd === undefined) {
    const module = new ModuleBuilder();
    module.function(null, [], ['v128'], (f) => {
      f.i32(0);
      f.op('i32x4.splat');
    });
    simd = found?.validate(module.finish()) ?? false;
  }
  return simd;
}

let fused: boolean | undefined;
/** Whether relaxed_madd exists and rounds once, here: the specification lets it be either, so a case that tells them apart is run. */
export function hasFusedMultiplyAdd(): boolean {
  fused ??= detectFused();
  return fused;
}
function detectFused(): boolean {
  const module = new ModuleBuilder();
  module.function('probe', ['f32', 'f32', 'f32'], ['f32'], (f) => {
    for (let local = 0; local < 3; local++) {
      f.get(local);
      f.op('f32x4.splat');
    }
    f.op('f32x4.relaxed_madd');
    f.lane('f32x4.extract_lane', 0);
  });
  const bytes = module.finish();
  if (found === undefined || !found.validate(bytes)) return false;
  const probe = new found.Instance(new found.Module(bytes)).exports['probe'] as (a: number, b: number, c: number) => number;
  // (1 + e)(1 - e) - 1 is -e^2 exactly; rounded after the product it is 0.
  return probe(1 + 2 ** -23, 1 - 2 ** -23, -1) === -(2 ** -46);
}
