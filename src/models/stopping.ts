/**
 * Stop strings: texts at which generation ends. A stop string may begin within a token and lie across several, so text that may be its beginning is
 * held back until it is certain that it is not.
 */

export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';
  #found = false;

  constructor(stops: readonly string[]) {
    const bad = stops.find((stop) => typeof stop !== 'string' || stop === '');
    if (bad !== undefined) throw new TypeError(`a stop string should be a text that is not empty, got ${JSON.stringify(bad)}`);
    this.#stops = stops;
  }

  /** Whether one of them has been there. */
  get found(): boolean {
    return this.#found;
  }

  /** Takes text, gives what comes before a stop string and is none. After the first stop string: ''. */
  push(text: string): string {
    if (this.#found) return '';
    this.#held += text;
    const at = Math.min(...this.#stops.map((stop) => this.#held.indexOf(stop)).filter((i) => i >= 0));
    if (Number.isFinite(at)) {
      this.#found = true;
      return this.#held.slice(0, at);
    }
    const keep = this.#beginning();
    const certain = this.#held.slice(0, this.#held.length - keep);
    this.#held = this.#held.slice(this.#held.length - keep);
    return certain;
  }

  /** What was held back, when nothing more comes. */
  end(): string {
    const rest = this.#found ? '' : this.#held;
    this.#held = '';
    return rest;
  }

  /** Length of the longest end of the text that a stop string begins with. */
  #beginning(): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, this.#held.length); length > 0; length--) {
      const end = this.#held.slice(-length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
