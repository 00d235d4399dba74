/**
 * The `reference` device: plans executed by the kernel-IR interpreter, products by three loops. The oracle of every other device; never a default.
 */
import { arrayOver, decode, encodeInto } from '../../dtype/codec.ts';
import type { Buffer } from '../../graph/node.ts';
import type { Value } from '../../kernel/scalar-reference.ts';
import { gridCount, type MatmulStep, type ProgramPlan } from '../../schedule/plan.ts';
import * as dims from '../../shape/dim.ts';
import { Arena } from '../arena.ts';
import { runHostStep } from '../host-step.ts';
import type { Backend, Bindings, Executable, MemoryStats } from '../interface.ts';
import { legalizeBlocks } from '../legalize-blocks.ts';
import { compileReference } from './interpreter.ts';

export class HostBuffer implements Buffer {
  readonly bytes: number;
  readonly device: string;
  data: Uint8Array;
  constructor(bytes: number, device: string) {
    this.bytes = bytes;
    this.device = device;
    this.data = new Uint8Array(bytes);
  }
}

const blockLength = 384;

/** C = A x B in the order that every device keeps: blocks of 384 along k, each summed from zero by fused multiply-adds, then added in order. */
export function referenceMatmul(step: MatmulStep, symbols: ArrayLike<number>, memory: (buffer: number) => Uint8Array): void {
  const at = (d: dims.Dim): number => dims.evaluate(d, symbols);
  const [m, n, k] = [at(step.m), at(step.n), at(step.k)];
  const sizes = step.batch.map(at);
  const batches = sizes.reduce((p, d) => p * d, 1);
  const open = (o: MatmulStep['a']) => {
    const bytes = memory(o.buffer);
    const array = arrayOver(o.dtype, bytes.buffer as ArrayBuffer, bytes.byteOffset, Math.floor(bytes.byteLength / o.dtype.itemsize));
    return { array, dtype: o.dtype, batch: o.batch.map(at), row: at(o.row), column: at(o.column), offset: at(o.offset) };
  };
  const [a, b, c] = [open(step.a), open(step.b), open(step.c)];
  const round = step.c.dtype.compute === 'f32' ? Math.fround : (x: number): number => x;
  for (let batch = 0; batch < batches; batch++) {
    let rest = batch;
    let [aBase, bBase, cBase] = [a.offset, b.offset, c.offset];
    for (let i = sizes.length - 1; i >= 0; i--) {
      const digit = rest % sizes[i];
      rest = (rest - digit) / sizes[i];
      aBase += digit * a.batch[i];
      bBase += digit * b.batch[i];
      cBase += digit * c.batch[i];
    }
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let total = 0;
        for (let block = 0; block < k; block += blockLength) {
          let sum = 0;
          for (let p = block; p < Math.min(k, block + blockLength); p++)
            sum = round(
              Number(decode(a.dtype, a.array, aBase + i * a.row + p * a.column)) *
                Number(decode(b.dtype, b.array, bBase + p * b.row + j * b.column)) +
                sum,
            );
          total = block === 0 ? sum : round(total + sum);
        }
        encodeInto(c.dtype, c.array, cBase + i * c.row + j * c.column, c.dtype.compute === 'i64' ? BigInt(total) : total);
      }
  }
}

export class ReferenceBackend implements Backend {
  readonly name: string = 'reference';
  readonly limits = { buffersPerKernel: 64, parallelism: 1, canBlock: true };
  #live = 0;
  #peak = 0;

  allocate(bytes: number): HostBuffer {
    this.#live += bytes;
    this.#peak = Math.max(this.#peak, this.#live);
    return new HostBuffer(bytes, this.name);
  }
  free(buffer: Buffer): void {
    this.#live -= buffer.bytes;
    (buffer as HostBuffer).data = new Uint8Array(0);
  }
  available(): number {
    return 2 ** 33;
  }
  stats(): MemoryStats {
    return { liveBytes: this.#live, reservedBytes: this.#live, peakBytes: this.#peak };
  }
  compile(given: ProgramPlan): Executable {
    const plan = legalizeBlocks(given);
    const arena = new Arena(plan);
    const kernels = plan.steps.map((s) => (s.kind === 'kernel' ? compileReference(s.kernel) : null));
    const run = ({ externals, outputs, symbols, scalars }: Bindings): void => {
      const layout = arena.layout(symbols);
      const temporaries = new Uint8Array(layout.bytes);
      const memory = (id: number): Uint8Array => {
        const b = plan.buffers[id];
        if (b.kind === 'temporary')
          return temporaries.subarray(layout.offsets[id], layout.offsets[id] + dims.evaluate(b.size, symbols) * b.dtype.itemsize);
        return ((b.kind === 'external' ? externals : outputs)[b.slot] as HostBuffer).data;
      };
      plan.steps.forEach((step, i) => {
        if (step.kind === 'matmul') {
          referenceMatmul(step, symbols, memory);
          return;
        }
        if (step.kind === 'host') {
          runHostStep(step, symbols, memory);
          return;
        }
        const params = step.params.map((p): Value => {
          const raw = p.kind === 'symbol' ? symbols[p.slot] : scalars[p.slot];
          return p.type === 'i64'
            ? BigInt(raw)
            : p.type === 'bool'
              ? Boolean(raw)
              : p.type === 'f32'
                ? Math.fround(Number(raw))
                : Number(raw);
        });
        kernels[i]!.run(step.buffers.map(memory), params, 0, gridCount(step, symbols));
      });
    };
    return { run, dispose: () => {}, listing: () => '' };
  }
  write(buffer: Buffer, bytes: Uint8Array, offset = 0): void {
    (buffer as HostBuffer).data.set(bytes, offset);
  }
  read(buffer: Buffer, offset: number, bytes: number): Uint8Array {
    return (buffer as HostBuffer).data.slice(offset, offset + bytes);
  }
  async readAsync(buffer: Buffer, offset: number, bytes: number): Promise<Uint8Array> {
    return this.read(buffer, offset, bytes);
  }
  synchronize(): void {}
}
