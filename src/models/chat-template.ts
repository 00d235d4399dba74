/**
 * Chat templates: a conversation to the text that a model was taught to read, by the model's own Jinja template.
 *
 * The template comes from a file; the interpreter has no access to anything but what is handed to it here, and what transformers hands to it.
 */
import { Template } from '@huggingface/jinja';

export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
  readonly [field: string]: unknown;
}

export interface ChatTemplateOptions {
  /** Ends with what an answer begins with. */
  readonly add_generation_prompt?: boolean;
  /** Instead of the tokenizer's own. */
  readonly chat_template?: string;
  readonly tools?: readonly unknown[];
  readonly documents?: readonly unknown[];
  /** Anything else that the template reads: `enable_thinking`, `date_string`. */
  readonly [variable: string]: unknown;
}

const parsed = new Map<string, Template>();

export function renderChat(
  template: string,
  messages: readonly ChatMessage[],
  { chat_template: _, add_generation_prompt = false, ...variables }: ChatTemplateOptions,
  specialTokens: Readonly<Record<string, string>>,
  source: string,
): string {
  try {
    let known = parsed.get(template);
    if (known === undefined) {
      known = new Template(template);
      // Conversations of one model come again and again; other templates are few.
      if (parsed.size >= 8) parsed.clear();
      parsed.set(template, known);
    }
    return known.render({ ...specialTokens, ...variables, messages: [...messages], add_generation_prompt });
  } catch (error) {
    throw new Error(`${source}: chat template: ${(error as Error).message}`);
  }
}
