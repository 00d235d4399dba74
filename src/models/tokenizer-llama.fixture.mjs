/**
 * Records tokenizer-llama.fixture.json: llama.cpp's tokens of the texts in tokenizer.fixture.json, with the vocabularies of two GGUF files.
 *
 *   mkdir apart && cd apart && npm install --ignore-scripts node-llama-cpp@3
 *   cp .../src/models/tokenizer-llama.fixture.mjs . && node tokenizer-llama.fixture.mjs .../src/models stories260K.gguf SmolLM2-135M-Instruct.Q4_1.gguf
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getLlama } from 'node-llama-cpp';

const [folder, ...files] = process.argv.slice(2);
const recorded = JSON.parse(readFileSync(join(folder, 'tokenizer.fixture.json'), 'utf8'));
const llama = await getLlama({ build: 'never', gpu: false });
const out = {};
for (const [name, texts, path] of [
  ['stories260k', recorded.texts, files[0]],
  ['smollm2', recorded.smollm2.texts, files[1]],
]) {
  const model = await llama.loadModel({ modelPath: path, vocabOnly: true });
  // The second parameter: special tokens within a text are tokens. BOS is not added.
  out[name] = texts.map((text) => [...model.tokenize(text, true)]);
}
writeFileSync(join(folder, 'tokenizer-llama.fixture.json'), `${JSON.stringify(out)}\n`);
process.exit(0);
