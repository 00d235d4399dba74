/**
 * `generateText()`: a prompt in, an answer's text out, piece by piece as it is made. `generate()` with a tokenizer on both ends: whole characters
 * only, no special tokens, and an end before a stop string rather than after it.
 */
import type { ChatMessage } from './chat-template.ts';
import { Detokenizer } from './detokenize.ts';
import { type GenerateOptions, type GenerationModel, generate } from './generate.ts';
import { StopStrings } from './stopping.ts';
import type { PreTrainedTokenizer } from './tokenizer.ts';

export interface GenerateTextOptions extends Omit<GenerateOptions, 'attention_mask' | 'tokenizer'> {
  /** Gives special tokens as text too. Default: leaves them out. */
  readonly skip_special_tokens?: boolean;
  /** Called with each token, before its text is given; the one that stops too. */
  readonly on_token?: (token: number) => void;
}

/**
 * The continuation of a text, of tokens, or the answer in a conversation (through the tokenizer's chat template). The pieces, one after the other, are
 * the text of the tokens; a piece is never empty.
 */
export async function* generateText<C>(
  model: GenerationModel<C>,
  tokenizer: PreTrainedTokenizer,
  prompt: string | readonly number[] | readonly ChatMessage[],
  options: GenerateTextOptions = {},
): AsyncGenerator<string, void, void> {
  const { skip_special_tokens = true, on_token, stop_strings = [], ...given } = options;
  const input_ids = promptTokens(tokenizer, prompt);
  const text = new Detokenizer(tokenizer, { skip_special_tokens, context: input_ids });
  const stops = new StopStrings(typeof stop_strings === 'string' ? [stop_strings] : stop_strings);
  const stop_tokens = given.stop_tokens ?? defaultStops(model, tokenizer);
  for await (const token of generate(model, input_ids, { ...given, stop_tokens, stop_strings, tokenizer })) {
    on_token?.(token);
    const piece = stops.push(text.push(token));
    if (piece !== '') yield piece;
    if (stops.found) return;
  }
  const rest = stops.push(text.end()) + stops.end();
  if (rest !== '') yield rest;
}

/** The tokens of a prompt. A text that has no tokens begins with BOS, or EOS where there is no such. */
export function promptTokens(
  tokenizer: PreTrainedTokenizer,
  prompt: string | readonly number[] | readonly ChatMessage[],
): readonly number[] {
  if (typeof prompt !== 'string') {
    if (prompt.every((x): x is number => typeof x === 'number')) return prompt;
    return tokenizer.apply_chat_template(prompt as readonly ChatMessage[], { add_generation_prompt: true });
  }
  const tokens = tokenizer.encode(prompt);
  if (tokens.length > 0) return tokens;
  const begin = tokenizer.bos_token_id ?? tokenizer.eos_token_id;
  return begin === null ? [] : [begin];
}

/** A model whose files do not say where to stop stops where its tokenizer says. */
function defaultStops<C>(model: GenerationModel<C>, tokenizer: PreTrainedTokenizer): readonly number[] {
  const own = model.generation_config?.eos_token_id;
  if (own !== undefined) return own;
  return tokenizer.eos_token_id === null ? [] : [tokenizer.eos_token_id];
}
