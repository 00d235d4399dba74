/**
 * What this machine can do at most, measured by emitted code: fused multiply-adds a second (fp32; bf16 with vdpbf16ps or tiles), bytes read a second and
 * bytes copied a second (read and written ones counted), with a number of threads.
 *
 * The best of several runs of some 0.1 s each: a busy machine only takes away. The arrays are larger than the caches and the memory is warm. A limit of
 * this minute, not a specification: a row can pass it when the machine has become quieter since.
 */
import { type CpuFeatures, cpuFeatures, selectIsa } from '../../src/backend/cpu/features.ts';
import { codeHeap, nativeHeap } from '../../src/backend/cpu/memory.ts';
import { NativeProgram, setNumThreads } from '../../src/backend/cpu/pool.ts';
import { Assembler, mem, r8, r9, rax, rcx, rdi, rdx, rsi, type Width } from '../../src/backend/cpu/x64/assembler.ts';

export interface MachineLimits {
  readonly threads: number;
  /** fp32 operations a second: two for a multiply-add. */
  readonly peak: number;
  /** The same of bf16 factors with fp32 sums; `peak` where the processor has nothing for them. */
  readonly peakBf16: number;
  readonly bf16By: 'AMX' | 'vdpbf16ps' | 'fp32 multiply-adds';
  readonly read: number;
  /** Bytes read and bytes written, together. */
  readonly copy: number;
}

export interface Processor {
  readonly model: string;
  readonly features: readonly string[];
  readonly isa: string;
}

const runs = 12;
const arrayBytes = 256 << 20;

type Emitted = { readonly code: Uint8Array; readonly perIndex: number };

/** `void kernel(u64* args, i64 begin, i64 end, u64 scratch)`: an outer loop over grid indices around `body`. */
function overIndices(
  isa: 'avx2' | 'avx512',
  before: (a: Assembler) => void,
  body: (a: Assembler) => void,
  after: (a: Assembler) => void,
): Uint8Array {
  const a = new Assembler(isa);
  const [again, done] = [a.newLabel(), a.newLabel()];
  before(a);
  a.bind(again);
  a.cmp(rsi, rdx);
  a.jcc('ge', done);
  body(a);
  a.inc(rsi);
  a.jmp(again);
  a.bind(done);
  after(a);
  a.vzeroupper();
  a.ret();
  return a.finish();
}

const innerSteps = 1000;

/** Independent chains of multiply-adds, as many as hide the latency. The registers hold zeros: their values take no time of their own. */
function multiplyAdds(isa: 'avx2' | 'avx512', bf16: boolean): Emitted {
  const wide: Width = isa === 'avx512' ? 'zmm' : 'ymm';
  const chains = isa === 'avx512' ? 24 : 12;
  const code = overIndices(
    isa,
    (a) => {
      for (let i = 0; i < chains + 2; i++) a.vxorps(wide, i, i, i);
    },
    (a) => {
      const loop = a.newLabel();
      a.mov(rax, innerSteps);
      a.bind(loop);
      for (let i = 0; i < chains; i++) {
        if (bf16) a.vdpbf16ps(wide, i, chains, chains + 1);
        else a.vfmadd231ps(wide, i, chains, chains + 1);
      }
      a.dec(rax);
      a.jcc('nz', loop);
    },
    () => {},
  );
  const lanes = isa === 'avx512' ? 16 : 8;
  return { code, perIndex: innerSteps * chains * lanes * 2 * (bf16 ? 2 : 1) };
}

/** Four independent tiles of 16 x 16 sums; each tdpbf16ps multiplies 16 x 32 by 32 x 16. */
function tiles(): Emitted {
  const configuration = new Uint8Array(64);
  configuration[0] = 1;
  for (let tile = 0; tile < 8; tile++) {
    configuration[16 + 2 * tile] = 64;
    configuration[48 + tile] = 16;
  }
  const code = overIndices(
    'avx512',
    (a) => {
      // Each thread: arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA) is for the process, and asking again does no harm.
      for (const register of [rdi, rsi, rdx] as const) a.push(register);
      a.mov(rdi, 0x1023);
      a.mov(rsi, 18);
      a.mov(rax, 158);
      a.syscall();
      for (const register of [rdx, rsi, rdi] as const) a.pop(register);
      a.leaRip(r8, a.data(configuration, 64));
      a.ldtilecfg(mem(r8));
      for (let tile = 0; tile < 8; tile++) a.tilezero(tile);
    },
    (a) => {
      const loop = a.newLabel();
      a.mov(rax, innerSteps);
      a.bind(loop);
      for (let tile = 0; tile < 4; tile++) a.tdpbf16ps(tile, 4 + (tile & 1), 6 + (tile >> 1));
      a.dec(rax);
      a.jcc('nz', loop);
    },
    (a) => a.tilerelease(),
  );
  return { code, perIndex: innerSteps * 4 * 16 * 16 * 32 * 2 };
}

const chunk = 64 << 10;

/** args: source, target. Every grid index is a chunk of 64 KiB; sums into four registers, or copies past the caches. */
function mover(isa: 'avx2' | 'avx512', copies: boolean): Emitted {
  const wide: Width = isa === 'avx512' ? 'zmm' : 'ymm';
  const bytes = isa === 'avx512' ? 64 : 32;
  const unroll = 8;
  const code = overIndices(
    isa,
    (a) => {
      for (let i = 0; i < unroll; i++) a.vxorps(wide, i, i, i);
    },
    (a) => {
      const loop = a.newLabel();
      a.mov(r8, rsi);
      a.shl(r8, Math.log2(chunk));
      a.mov(r9, r8);
      a.add(r8, mem(rdi, 0));
      a.add(r9, mem(rdi, 8));
      a.mov(rcx, chunk / (bytes * unroll));
      a.bind(loop);
      for (let i = 0; i < unroll; i++) {
        if (copies) a.vmovups(wide, i, mem(r8, i * bytes));
        // Four streams at a time: one alone does not keep the memory busy.
        else a.vaddps(wide, i, i, mem(r8, (i & 3) * (chunk / 4) + (i >> 2) * bytes));
      }
      if (copies) for (let i = 0; i < unroll; i++) a.vmovntps(wide, mem(r9, i * bytes), i);
      a.add(r8, copies ? bytes * unroll : (bytes * unroll) / 4);
      if (copies) a.add(r9, bytes * unroll);
      a.dec(rcx);
      a.jcc('nz', loop);
    },
    (a) => a.sfence(),
  );
  return { code, perIndex: chunk * (copies ? 2 : 1) };
}

/** Work a second of an emitted loop over `count` grid indices: the best run. */
function best({ code, perIndex }: Emitted, count: number, grain: number, args: number, threads: number): number {
  setNumThreads(threads);
  const [fn] = codeHeap().install([code]) as [number];
  const program = new NativeProgram([{ tasks: [{ fn, args, count, grain }] }]);
  let least = Number.POSITIVE_INFINITY;
  program.run();
  for (let run = 0; run < runs; run++) {
    const begin = performance.now();
    program.run();
    least = Math.min(least, performance.now() - begin);
  }
  program.dispose();
  codeHeap().free(fn);
  return (perIndex * count) / least / 1e-3;
}

export function measureLimits(threads: number): MachineLimits {
  const isa = selectIsa();
  if (isa === 'none') throw new Error('the suite cpu measures machine code, and this machine runs none: see docs/flags.md, MAGPIE_ISA');
  const features = cpuFeatures();
  const heap = nativeHeap();
  const blocks = [heap.alloc(arrayBytes), heap.alloc(arrayBytes), heap.alloc(64)] as const;
  const [source, target, args] = blocks;
  for (const { address } of [source, target]) heap.bytesAt(address, arrayBytes).fill(1);
  const words = heap.bytesAt(args.address, 16);
  new BigUint64Array(words.buffer, words.byteOffset, 2).set([BigInt(source.address), BigInt(target.address)]);
  const steady = (emitted: Emitted): number => best(emitted, 400 * threads, 100, args.address, threads);
  const moved = (emitted: Emitted): number => best(emitted, arrayBytes / chunk, 16, args.address, threads);
  try {
    const peak = steady(multiplyAdds(isa, false));
    const bf16: readonly [MachineLimits['bf16By'], number] =
      isa === 'avx512' && features.amxBf16
        ? ['AMX', best(tiles(), 400 * threads, 100, args.address, threads)]
        : isa === 'avx512' && features.avx512Bf16
          ? ['vdpbf16ps', steady(multiplyAdds(isa, true))]
          : ['fp32 multiply-adds', peak];
    return { threads, peak, bf16By: bf16[0], peakBf16: bf16[1], read: moved(mover(isa, false)), copy: moved(mover(isa, true)) };
  } finally {
    for (const block of blocks) heap.free(block);
    heap.trim();
  }
}

export function describeProcessor(): Processor {
  const features = cpuFeatures();
  const named: readonly (readonly [keyof CpuFeatures, string])[] = [
    ['avx2', 'AVX2'],
    ['fma', 'FMA'],
    ['avx512f', 'AVX-512'],
    ['avx512Vnni', 'AVX-512 VNNI'],
    ['avx512Bf16', 'AVX-512 BF16'],
    ['avx512Fp16', 'AVX-512 FP16'],
    ['amxBf16', 'AMX BF16'],
    ['amxInt8', 'AMX INT8'],
  ];
  return { model: features.model, isa: selectIsa(), features: named.filter(([key]) => features[key]).map(([, name]) => name) };
}
