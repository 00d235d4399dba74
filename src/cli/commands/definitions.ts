/**
 * The command line: every command with its options. What a command does is in a file of its own, loaded when it runs, so that help and errors of the
 * command line come at once.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommonOptions } from './terminal.ts';

export interface ModelFlags extends CommonOptions {
  readonly model: string;
  readonly device: string;
}
export interface SamplingFlags extends ModelFlags {
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop: readonly string[];
}
export interface GenerateFlags extends SamplingFlags {
  readonly prompt?: string;
  readonly promptIds?: readonly number[];
  readonly chat: boolean;
}
export interface ChatFlags extends SamplingFlags {
  readonly system?: string;
  readonly chatTemplate?: string;
}
const poolings = ['mean', 'cls', 'max', 'lasttoken'] as const;
export interface EmbedFlags extends ModelFlags {
  readonly pooling?: (typeof poolings)[number];
  readonly normalize: boolean;
  readonly batchSize: number;
  readonly maxLength?: number;
}
export interface InfoFlags extends CommonOptions {
  readonly full: boolean;
}

const generateExamples = `
Examples:
  torch-magpie generate --model ./SmolLM2-135M-Instruct --prompt "Once upon a time" --temperature 0.8 --seed 1
  echo "def fibonacci(n):" | torch-magpie generate --model model.gguf --max-new-tokens 64 --json`;

export function addCommands(program: Command): void {
  addGenerate(program);
  addChat(program);
  addEmbed(program);
  addInfo(program);
}

function addGenerate(program: Command): void {
  const command = program.command('generate').description('Continues a text; the continuation streams to standard output.');
  addModelOptions(command)
    .option('--prompt <text>', 'the text to continue (default: standard input)')
    .option('--prompt-ids <ids>', 'the same as tokens, separated by commas; for models without a tokenizer', tokenList)
    .option('--chat', "the prompt is a question: the model's chat template is put around it", false);
  addSamplingOptions(command, 128)
    .addHelpText('after', generateExamples)
    .action(async (flags: GenerateFlags) => (await import('./generate.ts')).runGenerate(flags));
}

function addChat(program: Command): void {
  const command = program.command('chat').description('A conversation with a model; /reset begins a new one, /exit or Ctrl-D ends.');
  addModelOptions(command)
    .option('--system <text>', 'what the model is told first')
    .option('--chat-template <file>', "a Jinja template instead of the model's own");
  addSamplingOptions(command, 512).action(async (flags: ChatFlags) => (await import('./chat.ts')).runChat(flags));
}

function addEmbed(program: Command): void {
  const command = program
    .command('embed')
    .description('Texts to vectors: one JSON object a line, with index, text and embedding.')
    .argument('[texts...]', 'texts (default: the lines of standard input, of which a blank one is a text too)');
  addModelOptions(command)
    .addOption(new Option('--pooling <how>', 'from token vectors to one (default: as the folder says, else mean)').choices(poolings))
    .option('--no-normalize', 'vectors as they are; without it they have length 1')
    .option('--batch-size <n>', 'texts at once', whole, 32)
    .option('--max-length <n>', "longer texts are cut (default: the model's length)", whole)
    .action(async (texts: readonly string[], flags: EmbedFlags) => (await import('./embed.ts')).runEmbed(texts, flags));
}

function addInfo(program: Command): void {
  program
    .command('info')
    .description('What is in a safetensors file, a GGUF file, a llama2.c .bin or its tokenizer, or a folder of a model.')
    .argument('<path>', 'a file or a folder')
    .option('--full', 'long metadata (a vocabulary, a template) whole', false)
    .option('--json', 'one JSON object a line: files, metadata, tensors, a total', false)
    .action(async (path: string, flags: InfoFlags) => (await import('./info.ts')).runInfo(path, flags));
}

function addModelOptions(command: Command): Command {
  return command
    .requiredOption('--model <dir-or-file>', 'a Hugging Face folder, a .gguf file, or a .bin of llama2.c')
    .option('--device <name>', 'where to compute: cpu, wasm, cuda', 'cpu')
    .option('--json', 'one JSON object a line on standard output, nothing else', false)
    .option('--quiet', 'no remarks on standard error', false);
}

function addSamplingOptions(command: Command, maxNewTokens: number): Command {
  return command
    .option('--max-new-tokens <n>', 'how many tokens to make at most', natural, maxNewTokens)
    .option('--temperature <x>', 'above 1 more varied, below 1 less; 0 takes the likeliest token', notNegative)
    .option('--top-k <n>', 'draw from the n likeliest tokens', natural)
    .option('--top-p <x>', 'draw from the likeliest tokens that have this probability together', share)
    .option('--min-p <x>', 'draw from tokens at least this fraction as likely as the likeliest', notNegative)
    .option('--repetition-penalty <x>', 'above 1 makes what was said less likely', notNegative)
    .option('--seed <n>', 'the same seed, the same text', natural)
    .option(
      '--stop <text>',
      'end before this text; may be given several times',
      (text: string, all: readonly string[]) => [...all, text],
      [],
    );
}

function numberOf(text: string, accepts: (value: number) => boolean, wanted: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || !accepts(value)) throw new InvalidArgumentError(`Expected ${wanted}.`);
  return value;
}
const natural = (text: string): number => numberOf(text, (value) => Number.isSafeInteger(value) && value >= 0, 'a whole number, 0 or more');
const whole = (text: string): number => numberOf(text, (value) => Number.isSafeInteger(value) && value > 0, 'a whole number, 1 or more');
const notNegative = (text: string): number => numberOf(text, (value) => value >= 0, 'a number, 0 or more');
const share = (text: string): number => numberOf(text, (value) => value > 0 && value <= 1, 'a number above 0, at most 1');

function tokenList(text: string): number[] {
  const ids = text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(Number);
  if (ids.length === 0 || ids.some((id) => !Number.isSafeInteger(id) || id < 0))
    throw new InvalidArgumentError('Expected whole numbers, separated by commas.');
  return ids;
}
