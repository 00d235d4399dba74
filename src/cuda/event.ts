/**
 * Events and streams.
 *
 * A device here has one stream, on which everything runs in order, so every `Stream` of a device is that stream: what is written for
 * several streams gives the same results, without work side by side (the kernels of a graph do run side by side). An event stands between
 * launches; `record` therefore launches first what is pending.
 */
import { getCurrentCard } from '../tensor/devices.ts';
import { backendOf, type CardArgument, cardName, engineOfCard } from './card.ts';

export interface EventOptions {
  /** An event without time cannot be asked for an elapsed one. As in PyTorch the default is false. */
  readonly enable_timing?: boolean;
  readonly blocking?: boolean;
}

const events = new FinalizationRegistry<() => void>((release) => release());

/** https://docs.pytorch.org/docs/stable/generated/torch.cuda.Event.html */
export class Event {
  readonly enable_timing: boolean;
  #device: string | null = null;
  #handle = 0;

  constructor({ enable_timing = false }: EventOptions = {}) {
    this.enable_timing = enable_timing;
  }

  /** Marks this place in the stream of the current card: after everything that was asked for so far. */
  record(stream?: Stream): void {
    const device = stream?.device ?? cardName(getCurrentCard());
    const { driver } = backendOf(device);
    if (this.#device === null) {
      const handle = driver.event(this.enable_timing);
      this.#device = device;
      this.#handle = handle;
      events.register(this, () => driver.releaseEvent(handle));
    } else if (this.#device !== device) throw new Error(`Event device ${this.#device} does not match recording stream's device ${device}.`);
    engineOfCard(device).flush();
    driver.record(this.#handle);
  }

  /** Has everything before the last `record` been done? An event that was never recorded has nothing before it. */
  query(): boolean {
    return this.#device === null || backendOf(this.#device).driver.reached(this.#handle);
  }

  /** Waits for everything before the last `record`. */
  synchronize(): void {
    if (this.#device !== null) backendOf(this.#device).driver.waitFor(this.#handle);
  }

  /** Later work of the stream waits for the event: the stream's own events it is behind anyway; for another card's the host waits. */
  wait(stream?: Stream): void {
    if (this.#device !== null && this.#device !== (stream?.device ?? cardName(getCurrentCard()))) this.synchronize();
  }

  /** Milliseconds from this event to a later one. */
  elapsed_time(end: Event): number {
    if (!this.enable_timing || !end.enable_timing) throw new Error("Both events must be created with argument 'enable_timing=True'.");
    if (this.#device === null || end.#device === null) throw new Error('Both events must be recorded before calculating elapsed time.');
    if (this.#device !== end.#device) throw new Error(`Events are of different devices: ${this.#device} and ${end.#device}`);
    if (!this.query() || !end.query()) throw new Error('Both events must be completed before calculating elapsed time.');
    return backendOf(this.#device).driver.elapsed(this.#handle, end.#handle);
  }

  toString(): string {
    return this.#device === null ? '<torch.cuda.Event uninitialized>' : `<torch.cuda.Event ${this.#handle.toString(16)}>`;
  }
}

/** https://docs.pytorch.org/docs/stable/generated/torch.cuda.Stream.html */
export class Stream {
  readonly device: string;

  constructor(options: { readonly device?: CardArgument; readonly priority?: number } = {}) {
    this.device = cardName(options.device);
  }

  get device_index(): number {
    return Number(this.device.split(':')[1] ?? 0);
  }
  get cuda_stream(): number {
    return backendOf(this.device).driver.stream;
  }

  /** Computes everything pending on the device and waits for it. */
  synchronize(): void {
    const engine = engineOfCard(this.device);
    engine.flush();
    engine.backend.synchronize();
  }

  /** Is there nothing left to do? */
  query(): boolean {
    const engine = engineOfCard(this.device);
    if (engine.pendingNodes > 0) return false;
    const event = new Event();
    event.record(this);
    return event.query();
  }

  record_event(event: Event = new Event()): Event {
    event.record(this);
    return event;
  }
  wait_event(event: Event): void {
    event.wait(this);
  }
  /** Nothing to do for a stream of the same device; another's work is waited for. */
  wait_stream(stream: Stream): void {
    if (stream.device !== this.device) stream.synchronize();
  }
}

export const current_stream = (device?: CardArgument): Stream => new Stream({ device });
export const default_stream = current_stream;
