/** How long loading, the first token and the others took: what is said after an answer. */
export interface Speed {
  readonly load_seconds: number;
  readonly prompt_tokens: number;
  readonly tokens: number;
  /** From the call to the first token; null when there was none. */
  readonly first_token_ms: number | null;
  /** Of the tokens after the first; null when there was no second. */
  readonly tokens_per_second: number | null;
}

export class Stopwatch {
  readonly #begin = performance.now();
  readonly #loadSeconds: number;
  readonly #promptTokens: number;
  #first = 0;
  #last = 0;
  #tokens = 0;

  constructor(loadSeconds: number, promptTokens: number) {
    this.#loadSeconds = loadSeconds;
    this.#promptTokens = promptTokens;
  }

  token(): void {
    this.#last = performance.now();
    if (this.#tokens++ === 0) this.#first = this.#last;
  }

  result(): Speed {
    const seconds = (this.#last - this.#first) / 1000;
    return {
      load_seconds: round(this.#loadSeconds, 3),
      prompt_tokens: this.#promptTokens,
      tokens: this.#tokens,
      first_token_ms: this.#tokens === 0 ? null : round(this.#first - this.#begin, 1),
      tokens_per_second: this.#tokens < 2 || seconds === 0 ? null : round((this.#tokens - 1) / seconds, 1),
    };
  }
}

const round = (x: number, digits: number): number => Number(x.toFixed(digits));

export function speedLine({ load_seconds, prompt_tokens, tokens, first_token_ms, tokens_per_second }: Speed): string {
  const parts = [
    `loaded in ${load_seconds.toFixed(2)} s`,
    ...(first_token_ms === null ? [] : [`${prompt_tokens} tokens of prompt, first token after ${first_token_ms.toFixed(0)} ms`]),
    `${tokens} tokens${tokens_per_second === null ? '' : ` at ${tokens_per_second} tok/s`}`,
  ];
  return parts.join('; ');
}
