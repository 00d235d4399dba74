/**
 * `AutoTokenizer.from_pretrained(PATH)`: the tokenizer of a Hugging Face folder, of a GGUF file, or of a llama2.c `.bin`, which has it in a file beside it.
 * https://huggingface.co/docs/transformers/model_doc/auto#transformers.AutoTokenizer
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { openGguf } from '../serialize/gguf/index.ts';
import { PreTrainedTokenizer } from './tokenizer.ts';
import { readTokenizerFolder } from './tokenizer-files.ts';
import { tokenizerFromGguf, tokenizerFromLlama2c } from './tokenizer-gguf.ts';

export class AutoTokenizer {
  /**
   * A folder's `tokenizer.json`, or `vocab.json` with `merges.txt`, or `vocab.txt`; options and chat template from the files beside it. A folder
   * with nothing but one GGUF file stands for that, as it does for a model.
   */
  static from_pretrained(path: string): PreTrainedTokenizer {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) throw new Error(`${path} is not a local folder or file. Tokenizers are not downloaded here`);
    if (!stat.isDirectory()) return /\.bin$/i.test(path) ? tokenizerFromLlama2c(besideModel(path)) : fromGguf(path);
    const gguf = existsSync(join(path, 'config.json')) ? [] : readdirSync(path).filter((name) => name.endsWith('.gguf'));
    return gguf.length === 1 ? fromGguf(join(path, gguf[0])) : new PreTrainedTokenizer(readTokenizerFolder(path));
  }
}

function fromGguf(path: string): PreTrainedTokenizer {
  using file = openGguf(path);
  return tokenizerFromGguf(file.metadata, path);
}

/** llama2.c keeps the tokenizer of all its models in a file of its own: `tokenizer.bin`, `tok512.bin`. A `tok*.bin` is it itself. */
function besideModel(path: string): string {
  const isTokenizer = /^tok\w*\.bin$/i;
  const folder = dirname(path);
  const name = basename(path);
  if (isTokenizer.test(name)) return path;
  const names = readdirSync(folder).filter((one) => isTokenizer.test(one));
  if (names.length === 1) return join(folder, names[0]);
  throw new Error(
    `${path}: its tokenizer should be a file named tokenizer.bin or tok*.bin in the same folder, but ${names.length === 0 ? 'there is none' : `there are ${names.join(', ')}`}`,
  );
}
