/**
 * Detokenizer: text from tokens as they come, never half a character. All that it gives, one after the other, is `decode` of all tokens.
 *
 * Text of a token depends on its neighbours: a character's bytes may lie in several tokens, the first token of a text loses its space, and
 * clean-up removes spaces before punctuation that is yet to come. So tokens are decoded in a window that begins after the last token whose text was
 * whole, with one token before it for context, and what may still change is held back: a U+FFFD at the end, which may be a character that is
 * not complete, and with clean-up the letters that a pattern of it may begin with.
 */
import { cleanUpTokenization, type DecodeOptions, type PreTrainedTokenizer } from './tokenizer.ts';

export interface DetokenizerOptions extends DecodeOptions {
  /** Tokens before the first one: a prompt, whose continuation the text is. */
  readonly context?: readonly number[];
}

export class Detokenizer {
  readonly #tokenizer: PreTrainedTokenizer;
  readonly #skip: boolean;
  readonly #cleans: boolean;
  /** The token before the window; it says how the window begins. */
  #context: readonly number[];
  #window: number[] = [];
  /** How much of the window's text has been given, or is in `#raw`. */
  #taken = 0;
  /** Text before clean-up that waits for what comes after it. */
  #raw = '';

  constructor(
    tokenizer: PreTrainedTokenizer,
    { skip_special_tokens = false, clean_up_tokenization_spaces = tokenizer.cleansUp, context = [] }: DetokenizerOptions = {},
  ) {
    this.#tokenizer = tokenizer;
    this.#skip = skip_special_tokens;
    this.#cleans = clean_up_tokenization_spaces;
    // Special tokens of a prompt are not text: a text after them begins as after nothing.
    this.#context = context.filter((id) => !tokenizer.isSpecial(id)).slice(-contextLength);
  }

  /** Takes a token, gives the text that is certain now; often ''. */
  push(id: number): string {
    if ((this.#skip && this.#tokenizer.isSpecial(id)) || this.#tokenizer.convert_ids_to_tokens(id) === null) return '';
    this.#window.push(id);
    if (!this.#tokenizer.decodesInPieces) return '';
    const { text, whole } = this.#text();
    const certain = whole ? text.length : Math.max(0, text.length - 1);
    const fresh = text.slice(this.#taken, certain);
    if (whole) {
      this.#context = this.#window.slice(-1);
      this.#window = [];
      this.#taken = 0;
    } else this.#taken = Math.max(this.#taken, certain);
    return this.#clean(fresh, false);
  }

  /** What is left, after the last token. The detokenizer is as new then, but for its context. */
  end(): string {
    const rest = this.#window.length === 0 ? '' : this.#text().text.slice(this.#taken);
    if (this.#window.length > 0) this.#context = this.#window.slice(-1);
    this.#window = [];
    this.#taken = 0;
    return this.#clean(rest, true);
  }

  /** The window's text, after that of the context, and whether it ends with a whole character. */
  #text(): { readonly text: string; readonly whole: boolean } {
    const decode = (ids: readonly number[]): string => this.#tokenizer.decode(ids, { clean_up_tokenization_spaces: false });
    const all = decode([...this.#context, ...this.#window]);
    const before = this.#context.length === 0 ? '' : decode(this.#context);
    // A prompt may end within a character, which the first tokens complete.
    const from = all.startsWith(before) ? before.length : before.length - 1;
    return { text: all.slice(from), whole: !all.endsWith('\ufffd') };
  }

  /**
   * Every pattern of clean-up begins with a space and ends at most three characters later, and one that lies on both sides of a place has a space, an
   * apostrophe, n, v or r just before it: cleaning up to a place after any other character is cleaning by itself.
   */
  #clean(fresh: string, last: boolean): string {
    if (!this.#cleans) return fresh;
    this.#raw += fresh;
    const end = last ? this.#raw.length : this.#raw.length - (/[ 'nvr]*$/.exec(this.#raw)?.[0].length ?? 0);
    const certain = this.#raw.slice(0, end);
    this.#raw = this.#raw.slice(end);
    return cleanUpTokenization(certain);
  }
}

/** Of a prompt: enough for a character's bytes. */
const contextLength = 4;
