/** Which card a call of `torch.cuda` is about: none given is the current one, an index, or a device's name. */
import { CudaBackend } from '../backend/cuda/device.ts';
import { probeDevices } from '../backend/cuda/driver.ts';
import { canonicalDevice, engineOf, getCurrentCard, isOpen } from '../tensor/devices.ts';
import type { Engine } from '../tensor/engine.ts';

export type CardArgument = number | string | null | undefined;

/** The device's name by which the engine knows it. */
export function cardName(card: CardArgument): string {
  const index = card ?? getCurrentCard();
  if (typeof index === 'number') {
    if (!Number.isInteger(index) || index < 0) throw new RangeError(`CUDA error: invalid device ordinal (${index})`);
    return canonicalDevice(`cuda:${index}`);
  }
  const name = canonicalDevice(index);
  if (!name.startsWith('cuda')) throw new TypeError(`Expected a cuda device, but got: ${index}`);
  return name;
}

export const cardIndex = (card: CardArgument): number => Number(cardName(card).split(':')[1] ?? 0);

export const engineOfCard = (card: CardArgument): Engine => engineOf(cardName(card));

/** The device of a card; opens it. */
export function backendOf(card: CardArgument): CudaBackend {
  const { backend } = engineOfCard(card);
  if (!(backend instanceof CudaBackend)) throw new Error(`internal: another device goes by the name ${cardName(card)}`);
  return backend;
}

/** The device of a card if it is open: what only asks how things are does not open one. */
export function openBackendOf(card: CardArgument): CudaBackend | null {
  return isOpen(cardName(card)) ? backendOf(card) : null;
}

export const cardCount = (): number => {
  const probed = probeDevices();
  return 'count' in probed ? probed.count : 0;
};
