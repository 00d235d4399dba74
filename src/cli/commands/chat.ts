/**
 * `torch-magpie chat`: a conversation, by the model's chat template. On a terminal with a prompt; from a pipe each line is a message, and each answer
 * a line of output (or a JSON object).
 *
 * Ctrl-C stops an answer, which stays in the history as far as it came; at the prompt, or once more, it ends. Every turn reads the whole
 * conversation again: a cache across turns is not kept.
 */
import { readFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { checkChatTemplate } from '../../models/chat-template.ts';
import { type ChatMessage, generateText, type PreTrainedTokenizer } from '../../models/index.ts';
import type { ChatFlags } from './definitions.ts';
import { checkTokens } from './generate.ts';
import { noteRoom, type OpenedModel, openTextModel } from './open-model.ts';
import { noteSeed, samplingOf } from './sampling.ts';
import { Stopwatch, speedLine } from './speed.ts';
import { jsonLine, note, write } from './terminal.ts';

export async function runChat(flags: ChatFlags): Promise<void> {
  const opened = openTextModel(flags.model, flags);
  const { tokenizer } = opened;
  if (tokenizer === null) throw new Error(`${flags.model} has no tokenizer, so it cannot chat: ${opened.missing}`);
  if (flags.chatTemplate !== undefined) {
    Object.assign(tokenizer, { chat_template: readFileSync(flags.chatTemplate, 'utf8'), chat_template_source: flags.chatTemplate });
    checkChatTemplate(tokenizer.chat_template!, flags.chatTemplate);
  }
  noteSeed(flags, opened.model.generation_config?.do_sample);
  if (tokenizer.chat_template === null)
    throw new Error(`${flags.model} has no chat template: give one with --chat-template, or let 'generate' continue a text`);
  const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const lines = createInterface({
    input: process.stdin,
    ...(interactive ? { output: process.stdout, terminal: true } : { terminal: false }),
    historySize: 1000,
    prompt: '> ',
  });
  const conversation = new Conversation(opened, tokenizer, flags);
  const interrupts = new Interrupts(lines, interactive);
  if (interactive) {
    note(`${flags.model}, loaded in ${opened.loadSeconds.toFixed(1)} s. /reset begins anew, /exit ends; Ctrl-C stops an answer.`, flags);
    lines.prompt();
  }
  try {
    for await (const line of lines) {
      const text = line.trim();
      if (text === '/exit') break;
      if (text === '/reset') conversation.reset();
      else if (text !== '') await conversation.answer(text, interrupts.begin());
      if (interrupts.ended) break;
      interrupts.idle();
      if (interactive) lines.prompt();
    }
  } finally {
    interrupts.dispose();
    lines.close();
  }
  if (interrupts.ended) process.exitCode = 130;
}

class Conversation {
  readonly #opened: OpenedModel;
  readonly #tokenizer: PreTrainedTokenizer;
  readonly #flags: ChatFlags;
  #messages: ChatMessage[] = [];

  constructor(opened: OpenedModel, tokenizer: PreTrainedTokenizer, flags: ChatFlags) {
    this.#opened = opened;
    this.#tokenizer = tokenizer;
    this.#flags = flags;
    this.reset();
  }

  reset(): void {
    this.#messages = this.#flags.system === undefined ? [] : [{ role: 'system', content: this.#flags.system }];
  }

  async answer(text: string, signal: AbortSignal): Promise<void> {
    this.#messages.push({ role: 'user', content: text });
    const prompt = this.#prompt();
    checkTokens(prompt, this.#opened, this.#flags.model);
    const watch = new Stopwatch(this.#opened.loadSeconds, prompt.length);
    const max_new_tokens = noteRoom(prompt.length, this.#flags.maxNewTokens, this.#opened, this.#flags);
    const options = { ...samplingOf(this.#flags), max_new_tokens, signal, on_token: () => watch.token() };
    let answer = '';
    try {
      for await (const piece of generateText(this.#opened.model, this.#tokenizer, prompt, options)) {
        answer += piece;
        if (!this.#flags.json) await write(piece);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    this.#messages.push({ role: 'assistant', content: answer });
    const speed = watch.result();
    await write(this.#flags.json ? jsonLine({ role: 'assistant', content: answer, interrupted: signal.aborted, ...speed }) : '\n');
    note(speedLine(speed), this.#flags);
  }

  /** The conversation's tokens. Where the model cannot read that many, the oldest messages are left out, two at a time. */
  #prompt(): readonly number[] {
    const room = this.#tokenizer.model_max_length - this.#flags.maxNewTokens;
    for (;;) {
      const tokens = this.#tokenizer.apply_chat_template(this.#messages, { add_generation_prompt: true });
      const first = this.#messages[0].role === 'system' ? 1 : 0;
      if (tokens.length <= room || this.#messages.length - first < 3) return tokens;
      this.#messages.splice(first, 2);
      note('the conversation is longer than the model can read: its oldest messages are left out', this.#flags);
    }
  }
}

/** Ctrl-C: the first during an answer stops it; at the prompt, or a second one, it ends the program. */
class Interrupts {
  readonly #lines: Interface;
  readonly #interactive: boolean;
  readonly #listener: () => void;
  #controller: AbortController | null = null;
  #asked = false;
  #ended = false;

  constructor(lines: Interface, interactive: boolean) {
    this.#lines = lines;
    this.#interactive = interactive;
    this.#listener = () => this.#interrupt();
    // On a terminal readline reads the key itself and no signal comes.
    lines.on('SIGINT', this.#listener);
    process.on('SIGINT', this.#listener);
  }

  get ended(): boolean {
    return this.#ended;
  }
  begin(): AbortSignal {
    this.#asked = false;
    this.#controller = new AbortController();
    return this.#controller.signal;
  }
  idle(): void {
    this.#controller = null;
  }
  dispose(): void {
    process.off('SIGINT', this.#listener);
  }

  #interrupt(): void {
    if (this.#controller !== null && !this.#controller.signal.aborted) {
      this.#controller.abort();
      return;
    }
    if (this.#controller === null && this.#interactive && !this.#asked) {
      this.#asked = true;
      process.stderr.write('\n(Ctrl-C once more ends)\n');
      this.#lines.prompt();
      return;
    }
    this.#ended = true;
    this.#lines.close();
    if (this.#controller !== null) process.exit(130);
  }
}
