/**
 * Ctrl-C in two steps: the first asks the loop to finish its step, save and end (exit code 0); the second ends at once.
 *
 * Signals are delivered between turns of the event loop: a training loop has to let it turn (`breathe`) once a step.
 */
interface SignalSource {
  on(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  off(signal: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
}

export class Interrupt {
  #requested = false;
  readonly #source: SignalSource;
  readonly #listener: () => void;

  constructor(source: SignalSource, onFirst: () => void, exitNow: () => void) {
    this.#source = source;
    this.#listener = () => {
      if (this.#requested) exitNow();
      else {
        this.#requested = true;
        onFirst();
      }
    };
    source.on('SIGINT', this.#listener);
    source.on('SIGTERM', this.#listener);
  }

  get requested(): boolean {
    return this.#requested;
  }

  dispose(): void {
    this.#source.off('SIGINT', this.#listener);
    this.#source.off('SIGTERM', this.#listener);
  }
}

/** Lets signals, timers and output through. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
