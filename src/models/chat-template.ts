/**
 * Chat templates: a conversation to the text that a model was taught to read, by the model's own Jinja template.
 *
 * The template comes from a file; the interpreter has no access to anything but what is handed to it here, and what transformers hands to it.
 */
import { Template } from '@huggingface/jinja';
import { withTimeLimit } from './time-limit.ts';

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

/** A template is somebody else's: it may neither loop for long nor make lists without end. */
const timeLimit = 5000;
const mostRange = 100_000;

function boundedRange(): (start: number, stop?: number, step?: number) => number[] {
  let left = mostRange;
  return (start, stop, step = 1) => {
    const [from, to] = stop === undefined ? [0, start] : [start, stop];
    if (step === 0) throw new Error('range() step must not be zero');
    const count = Math.max(0, Math.ceil((to - from) / step));
    left -= count;
    if (!(left >= 0)) throw new Error(`range() was asked for more than ${mostRange} numbers`);
    return Array.from({ length: count }, (_, i) => from + i * step);
  };
}

function parse(template: string): Template {
  let known = parsed.get(template);
  if (known === undefined) {
    // The library's own `range` makes lists of any length. The line end after a block is no text.
    known = new Template(`{% set range = bounded_range %}\n${template}`);
    // Conversations of one model come again and again; other templates are few.
    if (parsed.size >= 8) parsed.clear();
    parsed.set(template, known);
  }
  return known;
}

/** Throws for a template that cannot be read. */
export function checkChatTemplate(template: string, source: string): void {
  try {
    parse(template);
  } catch (error) {
    throw new Error(`${source}: chat template: ${(error as Error).message}`);
  }
}

export function renderChat(
  template: string,
  messages: readonly ChatMessage[],
  { chat_template: _, add_generation_prompt = false, ...variables }: ChatTemplateOptions,
  specialTokens: Readonly<Record<string, string>>,
  source: string,
): string {
  try {
    const prepared = parse(template);
    const values = { bounded_range: boundedRange(), ...specialTokens, ...variables, messages: [...messages], add_generation_prompt };
    const late = (): Error => new Error(`it took more than ${timeLimit / 1000} s`);
    return withTimeLimit(() => prepared.render(values), timeLimit, late);
  } catch (error) {
    throw new Error(`${source}: chat template: ${(error as Error).message}`);
  }
}
