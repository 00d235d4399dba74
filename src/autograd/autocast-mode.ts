/**
 * Autocast's state: by kind of device whether it is on and its lower precision, and the casts of parameters that are kept until the outermost
 * region ends. Of the layer of the other modes, because checkpointing repeats a part of the forward under the state of its first run.
 *
 * What is cast is said in `ops/autocast-lists.ts` and done in `ops/autocast.ts`; users call `torch.autocast` (`src/amp`).
 */
import { bfloat16, type DType, float16 } from '../dtype/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';

export interface DeviceAutocast {
  enabled: boolean;
  /** The lower precision. */
  dtype: DType;
}
/** The cast of a parameter: as it was then, recorded or not. */
export interface KeptCast {
  readonly made: Tensor;
  readonly count: number;
  readonly recorded: boolean;
}

export const autocastMode = {
  /** Calls may have to be cast. The only thing that a call looks at while autocast is off. */
  active: false,
  cacheEnabled: true,
  /** Regions entered and not left. */
  depth: 0,
  casts: new Map<Tensor, KeptCast>(),
};

/** A cpu's lower precision is bfloat16, a card's float16. The devices that PyTorch does not have are processors. */
const states = new Map<string, DeviceAutocast>(
  ['cpu', 'cuda', 'wasm', 'reference', 'null'].map((kind) => [kind, { enabled: false, dtype: kind === 'cuda' ? float16 : bfloat16 }]),
);

export const kindOf = (device: string): string => {
  const colon = device.indexOf(':');
  return colon < 0 ? device : device.slice(0, colon);
};
/** Of the device's kind; undefined where there is no autocast. */
export const autocastOf = (device: string): DeviceAutocast | undefined => states.get(kindOf(device));

export function setAutocast(state: DeviceAutocast, enabled: boolean): void {
  state.enabled = enabled;
  autocastMode.active = anyEnabled();
}
function anyEnabled(): boolean {
  for (const { enabled } of states.values()) if (enabled) return true;
  return false;
}

/** What autocast is at this moment, as a text: empty while it is off. */
export const autocastText = (): string =>
  autocastMode.active
    ? `${autocastMode.cacheEnabled} ${[...states].map(([kind, s]) => (s.enabled ? `${kind} ${s.dtype.name}` : '')).join(' ')}`
    : '';

/** Runs what an operator does inside: there nothing is cast again. */
export function withoutAutocast<T>(work: () => T): T {
  const { active } = autocastMode;
  autocastMode.active = false;
  try {
    return work();
  } finally {
    autocastMode.active = active;
  }
}

/** Runs work under the autocast of this moment, whenever that is, with kept casts of its own: theirs belong to that run's tape. */
export function autocastHere(): <T>(work: () => T) => T {
  const { active, cacheEnabled } = autocastMode;
  const then = [...states.values()].map((state) => ({ state, enabled: state.enabled, dtype: state.dtype }));
  return (work) => {
    const now = [...states.values()].map((state) => ({ state, enabled: state.enabled, dtype: state.dtype }));
    const before = { active: autocastMode.active, cacheEnabled: autocastMode.cacheEnabled, casts: autocastMode.casts };
    for (const { state, enabled, dtype } of then) Object.assign(state, { enabled, dtype });
    Object.assign(autocastMode, { active, cacheEnabled, casts: new Map() });
    autocastMode.depth++;
    try {
      return work();
    } finally {
      for (const { state, enabled, dtype } of now) Object.assign(state, { enabled, dtype });
      Object.assign(autocastMode, before);
      autocastMode.depth--;
    }
  };
}
