/**
 * What this processor can do, asked of the processor itself: cpuid and xgetbv in a few bytes of emitted code, once per JS thread.
 *
 * Never by model name: hypervisors hide features, and one family differs in what it has. A feature counts only when the operating
 * system saves its registers as well (XCR0). Tiles (AMX) also need a permission from Linux, which whoever uses them asks for.
 */
import { flags } from '../../util/flags.ts';
import { codeHeap, nativeHeap } from './memory.ts';
import { openOs, requireOs } from './os.ts';
import { IntegerAssembler } from './x64/integer.ts';
import { mem, r8, rax, rbx, rcx, rdi, rdx, rsi } from './x64/registers.ts';

export type CpuFeatures = {
  readonly model: string;
  readonly avx2: boolean;
  readonly fma: boolean;
  readonly f16c: boolean;
  readonly avx512f: boolean;
  readonly avx512bw: boolean;
  readonly avx512dq: boolean;
  readonly avx512vl: boolean;
  readonly avx512Bf16: boolean;
  readonly avx512Vnni: boolean;
  readonly avx512Fp16: boolean;
  readonly amxTile: boolean;
  readonly amxBf16: boolean;
  readonly amxInt8: boolean;
  /** Bytes; level 3 is what one group of cores shares. 0 where the processor does not say. */
  readonly l1DataBytes: number;
  readonly l2Bytes: number;
  readonly l3Bytes: number;
};

export type Isa = 'avx512' | 'avx2' | 'none';

let known: CpuFeatures | undefined;

/** Throws where `openOs()` says that there is no native device. */
export function cpuFeatures(): CpuFeatures {
  known ??= askProcessor();
  return known;
}

/** The best instruction set that kernels are emitted for; the flag `isa` chooses the lesser one. 'none' means: use WebAssembly. */
export function selectIsa(wanted: string = flags.isa): Isa {
  if (openOs().status === 'unavailable') return 'none';
  const best = bestIsa(cpuFeatures());
  if (wanted === '') return best;
  if (wanted === 'wasm') return 'none';
  if (wanted !== 'avx2' && wanted !== 'avx512') throw new Error(`MAGPIE_ISA must be avx2, avx512 or wasm, got '${wanted}'`);
  if (best === 'none' || (wanted === 'avx512' && best === 'avx2'))
    throw new Error(`MAGPIE_ISA=${wanted}, but this processor does not have it`);
  return wanted;
}

export function bestIsa(features: CpuFeatures): Isa {
  if (!features.avx2 || !features.fma || !features.f16c) return 'none';
  return features.avx512f && features.avx512bw && features.avx512dq && features.avx512vl ? 'avx512' : 'avx2';
}

type Registers = { readonly eax: number; readonly ebx: number; readonly ecx: number; readonly edx: number };

/** `void cpuid(leaf, subleaf, u32 out[4])` and `u64 xgetbv(index)`. */
function emitQueries(): Uint8Array[] {
  const cpuid = new IntegerAssembler();
  cpuid.push(rbx);
  cpuid.mov(r8, rdx);
  cpuid.mov32(rax, rdi);
  cpuid.mov32(rcx, rsi);
  cpuid.cpuid();
  [rax, rbx, rcx, rdx].forEach((register, i) => {
    cpuid.mov32(mem(r8, i * 4), register);
  });
  cpuid.pop(rbx);
  cpuid.ret();
  const xgetbv = new IntegerAssembler();
  xgetbv.mov32(rcx, rdi);
  xgetbv.xgetbv();
  xgetbv.shl(rdx, 32);
  xgetbv.or(rax, rdx);
  xgetbv.ret();
  return [cpuid.finish(), xgetbv.finish()];
}

function askProcessor(): CpuFeatures {
  const os = requireOs();
  const heap = nativeHeap();
  const code = codeHeap();
  const addresses = code.install(emitQueries());
  const [cpuidCode, xgetbv] = addresses.map((address) => os.callable(address));
  const block = heap.alloc(16);
  const bytes = heap.bytesAt(block.address, 16);
  const out = new Uint32Array(bytes.buffer, bytes.byteOffset, 4);
  const cpuid = (leaf: number, subleaf = 0): Registers => {
    cpuidCode(leaf, subleaf, block.address);
    return { eax: out[0], ebx: out[1], ecx: out[2], edx: out[3] };
  };
  try {
    return readFeatures(cpuid, xgetbv);
  } finally {
    heap.free(block);
    for (const address of addresses) code.free(address);
  }
}

function readFeatures(cpuid: (leaf: number, subleaf?: number) => Registers, xgetbv: (index: number) => number): CpuFeatures {
  const has = (register: number, bit: number): boolean => ((register >>> bit) & 1) === 1;
  const nothing: Registers = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const lastLeaf = cpuid(0).eax;
  const lastExtended = cpuid(0x80000000).eax;
  const one = cpuid(1);
  const seven = lastLeaf >= 7 ? cpuid(7) : nothing;
  const sevenOne = seven.eax >= 1 ? cpuid(7, 1) : nothing;
  // Without OSXSAVE xgetbv itself is an illegal instruction.
  const saved = has(one.ecx, 27) ? xgetbv(0) : 0;
  const ymm = (saved & 0x6) === 0x6 && has(one.ecx, 28);
  const zmm = ymm && (saved & 0xe0) === 0xe0 && has(seven.ebx, 16);
  const tiles = (saved & 0x60000) === 0x60000 && has(seven.edx, 24);
  const amdCaches = lastExtended >= 0x8000001d && has(cpuid(0x80000001).ecx, 22);
  const caches = readCaches(cpuid, amdCaches ? 0x8000001d : lastLeaf >= 4 ? 4 : undefined);
  return {
    model: lastExtended >= 0x80000004 ? readModel(cpuid) : 'unknown',
    avx2: ymm && has(seven.ebx, 5),
    fma: ymm && has(one.ecx, 12),
    f16c: ymm && has(one.ecx, 29),
    avx512f: zmm,
    avx512dq: zmm && has(seven.ebx, 17),
    avx512bw: zmm && has(seven.ebx, 30),
    avx512vl: zmm && has(seven.ebx, 31),
    avx512Vnni: zmm && has(seven.ecx, 11),
    avx512Bf16: zmm && has(sevenOne.eax, 5),
    avx512Fp16: zmm && has(seven.edx, 23),
    amxTile: tiles,
    amxBf16: tiles && has(seven.edx, 22),
    amxInt8: tiles && has(seven.edx, 25),
    l1DataBytes: caches[1],
    l2Bytes: caches[2],
    l3Bytes: caches[3],
  };
}

function readModel(cpuid: (leaf: number) => Registers): string {
  const words = [2, 3, 4].flatMap((i) => {
    const { eax, ebx, ecx, edx } = cpuid(0x80000000 + i);
    return [eax, ebx, ecx, edx];
  });
  const text = words.map((word) => String.fromCharCode(word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24)).join('');
  return text.split('\0')[0].trim().replace(/\s+/g, ' ');
}

/** Data cache sizes by level; Intel's leaf 4 and AMD's 0x8000001D have one layout. */
function readCaches(cpuid: (leaf: number, subleaf: number) => Registers, leaf: number | undefined): number[] {
  const sizes = [0, 0, 0, 0, 0];
  for (let i = 0; leaf !== undefined && i < 16; i++) {
    const { eax, ebx, ecx } = cpuid(leaf, i);
    const kind = eax & 31;
    if (kind === 0) break;
    const instructionCache = kind === 2;
    const level = (eax >>> 5) & 7;
    if (instructionCache || level >= sizes.length) continue;
    sizes[level] = ((ebx >>> 22) + 1) * (((ebx >>> 12) & 0x3ff) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1);
  }
  return sizes;
}
