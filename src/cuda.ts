/** `torch.cuda` and `torch.backends.cuda`: facts about the card, its memory, and waiting for it. One card, one stream. */
import { CudaBackend } from './backend/cuda/device.ts';
import { probeDevices } from './backend/cuda/driver.ts';
import { matmulSettings } from './backend/cuda/settings.ts';
import { sizeText } from './backend/tracked-memory.ts';
import { engineOf } from './tensor/devices.ts';

function backend(): CudaBackend {
  const found = engineOf('cuda').backend;
  if (!(found instanceof CudaBackend)) throw new Error('internal: another device goes by the name cuda');
  return found;
}

/** Zeros where there is no card. */
function memory(): { readonly live: number; readonly peak: number; readonly reserved: number } {
  if (!cuda.is_available()) return { live: 0, peak: 0, reserved: 0 };
  const { liveBytes, peakBytes, reservedBytes } = backend().stats();
  return { live: liveBytes, peak: peakBytes, reserved: reservedBytes };
}

export const cuda = {
  /** Is there a driver and a card? https://docs.pytorch.org/docs/stable/generated/torch.cuda.is_available.html */
  is_available: (): boolean => 'count' in probeDevices(),
  device_count: (): number => {
    const probed = probeDevices();
    return 'count' in probed ? probed.count : 0;
  },
  current_device: (): number => backend().driver.index,
  get_device_name: (): string => backend().driver.name,
  get_device_capability: (): [number, number] => [...backend().driver.capability],
  /** Computes everything pending on the card and waits for it. */
  synchronize: (): void => {
    const engine = engineOf('cuda');
    engine.flush();
    engine.backend.synchronize();
  },
  memory_allocated: (): number => memory().live,
  max_memory_allocated: (): number => memory().peak,
  memory_reserved: (): number => memory().reserved,
  /** Free and total bytes of the card. */
  mem_get_info: (): [number, number] => {
    const { free, total } = backend().driver.memoryInfo();
    return [free, total];
  },
  /** Frees what nobody holds and gives unused memory back to the driver. */
  empty_cache: (): void => {
    if (cuda.is_available()) backend().emptyCache();
  },
  memory_summary: (): string => {
    const { live, peak, reserved } = memory();
    const { liveBuffers, sweeps, sweptBytes } = backend().tracked;
    const [free, total] = cuda.mem_get_info();
    const rows: readonly (readonly [string, string])[] = [
      ['Allocated memory', `${sizeText(live)} in ${liveBuffers} buffers`],
      ['Peak', sizeText(peak)],
      ['Reserved memory', sizeText(reserved)],
      ['Sweeps for garbage', `${sweeps}, which found ${sizeText(sweptBytes)}`],
      ['Free on the card', `${sizeText(free)} of ${sizeText(total)}`],
    ];
    return rows.map(([name, text]) => `| ${name.padEnd(20)} | ${text.padEnd(40)} |`).join('\n');
  },
};

/** `torch.backends.cuda` */
export const cudaBackends = {
  is_built: (): boolean => true,
  matmul: {
    get allow_tf32(): boolean {
      return matmulSettings.allowTf32;
    },
    set allow_tf32(on: boolean) {
      matmulSettings.allowTf32 = on;
    },
  },
};

export type Float32Precision = 'highest' | 'high' | 'medium';
let precision: Float32Precision = 'highest';
export const get_float32_matmul_precision = (): Float32Precision => precision;
/** `high` and `medium` allow TF32 in float32 products on the card. https://docs.pytorch.org/docs/stable/generated/torch.set_float32_matmul_precision.html */
export function set_float32_matmul_precision(value: Float32Precision): void {
  precision = value;
  matmulSettings.allowTf32 = value !== 'highest';
}
