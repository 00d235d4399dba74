/**
 * `torch.cuda`: cards, their facts, waiting, events, memory, seeds. https://docs.pytorch.org/docs/stable/cuda.html
 *
 * Everything that takes a device takes an index, a name (`cuda`, `cuda:1`) or nothing, which is the current card. Random numbers on a card are
 * drawn from the CPU's generator (the same seed gives the same numbers on every device), so the seeds here are that generator's.
 */
import { CudaError, probeDevices } from '../backend/cuda/driver.ts';
import { CudaOutOfMemoryError } from '../backend/cuda/memory.ts';
import { tensor } from '../ops/creation.ts';
import type { Tensor } from '../ops/methods.ts';
import { defaultGenerator } from '../random/generator.ts';
import { getCurrentCard, isOpen, setCurrentCard } from '../tensor/devices.ts';
import { backendOf, type CardArgument, cardCount, cardIndex, cardName, engineOfCard } from './card.ts';
import { current_stream, default_stream, Event, Stream } from './event.ts';
import * as memory from './memory.ts';

/** What is known of a card. https://docs.pytorch.org/docs/stable/generated/torch.cuda.get_device_properties.html */
export interface DeviceProperties {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
  readonly total_memory: number;
  readonly multi_processor_count: number;
  readonly warp_size: number;
  readonly L2_cache_size: number;
  readonly max_threads_per_multi_processor: number;
  readonly regs_per_multiprocessor: number;
  readonly shared_memory_per_multiprocessor: number;
  readonly shared_memory_per_block_optin: number;
  /** Kilohertz. */
  readonly clock_rate: number;
  readonly memory_clock_rate: number;
  readonly memory_bus_width: number;
  readonly is_integrated: boolean;
  readonly is_multi_gpu_board: boolean;
}

function set_device(device: CardArgument): void {
  const index = cardIndex(device);
  if (index >= cardCount()) {
    const probed = probeDevices();
    throw new Error('reason' in probed ? probed.reason : 'CUDA error: invalid device ordinal');
  }
  setCurrentCard(index);
}

/** Runs `body` with another card as the current one; `null`: with the one that is. */
function device<T>(card: CardArgument, body: () => T): T {
  const before = getCurrentCard();
  if (card !== null && card !== undefined) set_device(card);
  try {
    return body();
  } finally {
    setCurrentCard(before);
  }
}

function get_device_properties(card?: CardArgument): DeviceProperties {
  const { name, capability, totalBytes, multiprocessors, sharedBytesPerBlock, properties } = backendOf(card).driver;
  return {
    name,
    major: capability[0],
    minor: capability[1],
    total_memory: totalBytes,
    multi_processor_count: multiprocessors,
    warp_size: properties.warpSize,
    L2_cache_size: properties.l2Bytes,
    max_threads_per_multi_processor: properties.threadsPerMultiprocessor,
    regs_per_multiprocessor: properties.registersPerMultiprocessor,
    shared_memory_per_multiprocessor: properties.sharedBytesPerMultiprocessor,
    shared_memory_per_block_optin: sharedBytesPerBlock,
    clock_rate: properties.clockKilohertz,
    memory_clock_rate: properties.memoryClockKilohertz,
    memory_bus_width: properties.memoryBusBits,
    is_integrated: properties.integrated,
    is_multi_gpu_board: properties.multiGpuBoard,
  };
}

export const cuda = {
  /** Is there a driver and a card? */
  is_available: (): boolean => 'count' in probeDevices(),
  device_count: cardCount,
  /** Has a card been used? */
  is_initialized: (): boolean => Array.from({ length: cardCount() }, (_, i) => cardName(i)).some(isOpen),
  /** Opens the current card; an error says what is missing. */
  init: (): void => void backendOf(null),
  current_device: (): number => {
    backendOf(null);
    return getCurrentCard();
  },
  set_device,
  device,
  get_device_name: (card?: CardArgument): string => backendOf(card).driver.name,
  get_device_capability: (card?: CardArgument): [number, number] => [...backendOf(card).driver.capability],
  get_device_properties,
  /** The architecture that kernels are compiled for: they are made at run time, for the card that is there. */
  get_arch_list: (): string[] => (cuda.is_available() ? [backendOf(null).driver.architecture] : []),
  is_bf16_supported: (): boolean => cuda.is_available(),
  is_tf32_supported: (): boolean => cuda.is_available() && backendOf(null).driver.capability[0] >= 8,
  /** Computes everything pending on the card and waits for it. */
  synchronize: (card?: CardArgument): void => {
    const engine = engineOfCard(card);
    engine.flush();
    engine.backend.synchronize();
  },
  Event,
  Stream,
  current_stream,
  default_stream,
  /** Runs `body` on the stream: on its device, that is. */
  stream: <T>(on: Stream | null, body: () => T): T =>
    on === null || on.device_index === getCurrentCard() ? body() : device(on.device, body),
  ...memory,
  manual_seed: (seed: number | bigint): void => void defaultGenerator.manual_seed(seed),
  manual_seed_all: (seed: number | bigint): void => void defaultGenerator.manual_seed(seed),
  seed: (): void => void defaultGenerator.seed(),
  seed_all: (): void => void defaultGenerator.seed(),
  initial_seed: (): number | bigint => defaultGenerator.initial_seed(),
  get_rng_state: (): Tensor => tensor(defaultGenerator.get_state(), { device: 'cpu' }) as Tensor,
  set_rng_state: (state: Tensor): void => void defaultGenerator.set_state(state.numpy() as Uint8Array),
  OutOfMemoryError: CudaOutOfMemoryError,
  CudaError,
};
