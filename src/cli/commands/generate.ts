/** `torch-magpie generate`: continues a text, streaming it. */
import { promptTokens } from '../../models/generate-text.ts';
import { generate, generateText } from '../../models/index.ts';
import { Interrupt } from '../interrupt.ts';
import type { GenerateFlags } from './definitions.ts';
import { noteRoom, type OpenedModel, openTextModel } from './open-model.ts';
import { noteSeed, samplingOf } from './sampling.ts';
import { Stopwatch, speedLine } from './speed.ts';
import { jsonLine, note, readInput, UsageError, write } from './terminal.ts';

type Reason = 'stop' | 'length' | 'interrupted';

export async function runGenerate(flags: GenerateFlags): Promise<void> {
  if (flags.prompt !== undefined && flags.promptIds !== undefined) throw new UsageError('give --prompt or --prompt-ids, not both');
  const text = flags.prompt ?? (flags.promptIds === undefined ? await promptFromInput() : null);
  const opened = openTextModel(flags.model, flags);
  const { tokenizer } = opened;
  if (tokenizer === null && text !== null)
    throw new Error(`${flags.model} has no tokenizer, so a text cannot be read: ${opened.missing}; --prompt-ids takes tokens`);
  if (tokenizer === null && flags.stop.length > 0)
    throw new Error(`${flags.model} has no tokenizer, so --stop cannot be looked for: ${opened.missing}`);
  if (flags.chat && tokenizer !== null && tokenizer.chat_template === null)
    throw new Error(`${flags.model} has no chat template, which --chat needs`);
  const said = text !== null && flags.chat ? [{ role: 'user', content: text }] : text;
  const prompt = said === null ? flags.promptIds! : promptTokens(tokenizer!, said);
  checkTokens(prompt, opened, flags.model);
  noteSeed(flags, opened.model.generation_config?.do_sample);
  const maxNewTokens = noteRoom(prompt.length, flags.maxNewTokens, opened, flags);

  const controller = new AbortController();
  const interrupt = new Interrupt(
    process,
    () => controller.abort(),
    () => process.exit(130),
  );
  const watch = new Stopwatch(opened.loadSeconds, prompt.length);
  const tokens: number[] = [];
  let whole = '';
  let reason: Reason = 'stop';
  try {
    for await (const piece of pieces(opened, prompt, { ...flags, maxNewTokens }, controller.signal, (token) => {
      tokens.push(token);
      watch.token();
    })) {
      whole += piece;
      await write(flags.json ? jsonLine({ text: piece, token: tokens.at(-1) }) : piece);
    }
    if (tokens.length === maxNewTokens) reason = 'length';
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    reason = 'interrupted';
  } finally {
    interrupt.dispose();
  }
  const speed = watch.result();
  if (flags.json) await write(jsonLine({ done: true, text: whole, token_ids: tokens, finish_reason: reason, ...speed }));
  else await write('\n');
  note(speedLine(speed), flags);
  if (reason === 'interrupted') process.exitCode = 130;
}

/** The text as it comes; without a tokenizer the tokens, with spaces between. */
async function* pieces(
  { model, tokenizer }: OpenedModel,
  prompt: readonly number[],
  flags: GenerateFlags,
  signal: AbortSignal,
  on_token: (token: number) => void,
): AsyncGenerator<string, void, void> {
  const options = { ...samplingOf(flags), signal };
  if (tokenizer !== null) return yield* generateText(model, tokenizer, prompt, { ...options, on_token });
  let first = true;
  for await (const token of generate(model, prompt, options)) {
    on_token(token);
    yield first ? `${token}` : ` ${token}`;
    first = false;
  }
}

async function promptFromInput(): Promise<string> {
  if (process.stdin.isTTY) throw new UsageError('no prompt: give --prompt, --prompt-ids, or a text on standard input');
  return readInput();
}

/** Out of range, a token would read beyond the embedding's rows: PyTorch says only `index out of range in self`. */
export function checkTokens(tokens: readonly number[], { model }: Pick<OpenedModel, 'model'>, name: string): void {
  const { vocab_size } = model.config;
  const bad = tokens.find((token) => token >= vocab_size);
  if (bad !== undefined) throw new Error(`${name}: token ${bad} is not in the model's vocabulary of ${vocab_size}`);
  if (tokens.length === 0) throw new Error(`${name}: the prompt has no tokens, and the model has none to begin with`);
}
