/** `npx torch-magpie` from outside: the built program in a process of its own, on tiny models. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import torch from '../index.ts';
import { AutoTokenizer, BertModel, bertConfig, generate, LlamaForCausalLM, llamaConfig, pool } from '../models/index.ts';
import { tokenizerFolder } from '../models/test-support.ts';
import { safe_open } from '../serialize/safetensors.ts';
import { buildCommand, jsonLines, run } from './commands/test-support.ts';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));
const stories = join(shared, 'models/stories260k');
const tiny = join(shared, 'conformance/models');
const present = existsSync(stories) && existsSync(tiny);
if (!present) console.warn(`models of ${shared} are not there: their tests are skipped`);

const scratch = mkdtempSync(join(tmpdir(), 'magpie-cli-'));
const llama = join(scratch, 'llama');
const bert = join(scratch, 'bert');
const template =
  "{% for m in messages %}{{ '<|begin|>' + m['role'] + ' ' + m['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}<|begin|>{% endif %}";
const words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'cat', 'sat', '##s', '.'];

/** A Llama of random weights, which says nonsense, with a tokenizer and a chat template; a BERT of ten words. */
function writeModels(): void {
  writeFileSync(badTemplate, '{% for x %}');
  torch.manual_seed(3);
  const small = { hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2 };
  const size = readTokens();
  new LlamaForCausalLM(llamaConfig({ vocab_size: size, ...small, initializer_range: 1, max_position_embeddings: 4096 })).save_pretrained(
    llama,
  );
  const files = tokenizerFolder();
  writeFileSync(join(llama, 'tokenizer.json'), JSON.stringify(files['tokenizer.json']));
  writeFileSync(
    join(llama, 'tokenizer_config.json'),
    JSON.stringify({ ...files['tokenizer_config.json'], chat_template: template, model_max_length: 4096 }),
  );
  new BertModel(bertConfig({ vocab_size: words.length, ...small, max_position_embeddings: 16 })).save_pretrained(bert);
  writeFileSync(join(bert, 'vocab.txt'), `${words.join('\n')}\n`);
}
const readTokens = (): number => Object.keys((tokenizerFolder()['tokenizer.json']['model'] as { vocab: object }).vocab).length;

beforeAll(() => {
  buildCommand();
  writeModels();
}, 120_000);
afterAll(() => rmSync(scratch, { recursive: true }));

interface Golden {
  readonly runs: readonly {
    readonly prompt: string;
    readonly prompt_ids: number[];
    readonly greedy_ids: number[];
    readonly text: string;
  }[];
}

const badTemplate = join(scratch, 'bad.jinja');

describe.skipIf(!present)('generate, on models of ../shared (skipped where that folder is absent)', () => {
  test.each(['stories260K.bin', 'stories260K.gguf'])('continues a story from %s as recorded, on standard output alone', async (name) => {
    const golden = JSON.parse(readFileSync(join(stories, 'golden.json'), 'utf8')) as Golden;
    const { prompt, text } = golden.runs[1];
    const { code, out, err } = await run(['generate', '--model', join(stories, name), '--prompt', prompt, '--max-new-tokens', '200']);
    expect([code, `${prompt}${out}`]).toEqual([0, `${text.trimStart()}\n`]);
    expect(err).toMatch(/^loaded in [\d.]+ s; 5 tokens of prompt, first token after \d+ ms; 200 tokens at [\d.]+ tok\/s\n$/);
  });

  test('says each piece as a JSON object, and a last one with everything', async () => {
    const golden = JSON.parse(readFileSync(join(stories, 'golden.json'), 'utf8')) as Golden;
    const { prompt, prompt_ids, greedy_ids } = golden.runs[1];
    const parameters = ['generate', '--model', join(stories, 'stories260K.bin'), '--max-new-tokens', '12', '--json', '--quiet'];
    const { code, out, err } = await run(parameters, { input: `${prompt}\n` });
    expect([code, err]).toEqual([0, '']);
    const lines = jsonLines(out);
    const last = lines.at(-1)!;
    const pieces = lines.slice(0, -1);
    expect(pieces.map(({ text }) => text).join('')).toBe(last['text']);
    expect(last).toMatchObject({
      done: true,
      token_ids: greedy_ids.slice(prompt_ids.length).slice(0, 12),
      finish_reason: 'length',
      tokens: 12,
    });
    expect(last['load_seconds']).toBeGreaterThan(0);
    expect(last['tokens_per_second']).toBeGreaterThan(0);
  });

  test('ends before a stop text', async () => {
    const { out } = await run([
      'generate',
      '--model',
      join(stories, 'stories260K.bin'),
      '--prompt',
      'Once upon a time',
      '--stop',
      'Lily',
      '--stop',
      'xx',
    ]);
    expect(out).toBe(', there was a little girl named \n');
  });

  test('a model without a tokenizer takes tokens, and says what a text would need', async () => {
    const model = join(tiny, 'gpt2-tiny');
    const golden = JSON.parse(readFileSync(join(model, 'golden.json'), 'utf8')) as { input_ids: number[][]; greedy24: number[] };
    const ids = golden.input_ids[0];
    const parameters = ['generate', '--model', model, '--max-new-tokens', '4', '--quiet'];
    const tokens = await run([...parameters, '--prompt-ids', ids.join(',')]);
    expect(tokens).toEqual({ code: 0, out: `${golden.greedy24.slice(ids.length, ids.length + 4).join(' ')}\n`, err: '' });
    const long = await run(['generate', '--model', model, '--max-new-tokens', '999', '--prompt-ids', '1,2,3', '--stop', 'x']);
    expect(long).toMatchObject({ code: 1, err: expect.stringContaining('has no tokenizer, so --stop cannot be looked for') });
    const full = await run(['generate', '--model', model, '--max-new-tokens', '999', '--prompt-ids', '1,2,3', '--json']);
    expect(full.err).toMatch(/^the model has positions for 128 tokens: at most 126 are made after this prompt\nloaded in/);
    expect(jsonLines(full.out).at(-1)).toMatchObject({ tokens: 126, finish_reason: 'length' });
    const text = await run([...parameters, '--prompt', 'hi']);
    expect([text.code, text.out]).toEqual([1, '']);
    expect(text.err).toMatch(
      /^error: .*gpt2-tiny has no tokenizer, so a text cannot be read: no file named tokenizer\.json .*--prompt-ids takes tokens\n$/,
    );
    const wild = await run([...parameters, '--prompt-ids', '1,99999']);
    expect(wild).toMatchObject({ code: 1, err: expect.stringMatching(/^error: .*token 99999 is not in the model's vocabulary of \d+\n$/) });
  });
});

describe('generate', () => {
  const parameters = ['generate', '--model', llama, '--prompt', 'the dog', '--quiet'];
  test('draws the same text from the same seed, and what the library draws', async () => {
    const drawing = [...parameters, '--temperature', '2', '--max-new-tokens', '8', '--json', '--seed'];
    const [first, second, other] = await Promise.all(['5', '5', '6'].map((seed) => run([...drawing, seed])));
    const ids = ({ out }: { out: string }): unknown => jsonLines(out).at(-1)!['token_ids'];
    expect(ids(first)).toEqual(ids(second));
    expect(ids(first)).not.toEqual(ids(other));
    const { from_pretrained } = await import('../models/index.ts');
    const model = from_pretrained<LlamaForCausalLM>(llama);
    const tokens: number[] = [];
    const prompt = AutoTokenizer.from_pretrained(llama).encode('the dog');
    for await (const token of generate(model, prompt, { temperature: 2, max_new_tokens: 8, seed: 5, stop_tokens: [1] })) tokens.push(token);
    expect(ids(first)).toEqual(tokens);
  });

  test('says that a seed has no effect where nothing is drawn', async () => {
    const given = ['generate', '--model', llama, '--prompt', 'the dog', '--max-new-tokens', '2', '--seed', '1'];
    const [greedy, zero, drawn] = await Promise.all([[], ['--temperature', '0'], ['--top-k', '3']].map((more) => run([...given, ...more])));
    expect(greedy.err).toMatch(/^--seed has no effect: without --temperature, --top-k, --top-p or --min-p the model takes the likeliest/);
    expect(zero.err).toMatch(/^--seed has no effect: --temperature 0 takes the likeliest token/);
    expect(drawn.err).toMatch(/^loaded in/);
    expect([greedy.code, zero.out]).toEqual([0, greedy.out]);
  });

  test("with --chat asks by the model's template, as chat does", async () => {
    const short = ['--json', '--quiet', '--max-new-tokens', '5'];
    const asked = await run([...parameters, ...short, '--chat']);
    const chatted = await run(['chat', '--model', llama, ...short], { input: 'the dog' });
    const [answer, reply] = [jsonLines(asked.out).at(-1)!, jsonLines(chatted.out)[0]];
    expect([answer['text'], answer['prompt_tokens']]).toEqual([reply['content'], reply['prompt_tokens']]);
  });

  test('ends quietly when the reader of its output has had enough', async () => {
    const { code, err } = await run(
      [...parameters, '--max-new-tokens', '3000', '--temperature', '3', '--repetition-penalty', '1.1', '--json'],
      {
        onOutput: (child) => child.stdout!.destroy(),
      },
    );
    expect([code, err]).toEqual([0, '']);
  });

  test('Ctrl-C ends it within a token, with what there is so far', async () => {
    let sent = 0;
    const { code, out } = await run([...parameters, '--max-new-tokens', '3000', '--temperature', '3', '--json'], {
      onOutput: (child) => void (sent++ === 0 && child.kill('SIGINT')),
    });
    expect(code).toBe(130);
    const last = jsonLines(out).at(-1)!;
    expect(last).toMatchObject({ done: true, finish_reason: 'interrupted' });
    expect(last['tokens']).toBeLessThan(3000);
  });

  test.each([
    [['generate', '--prompt', 'x'], "required option '--model <dir-or-file>' not specified"],
    [['generate', '--model', 'x', '--top-p', '2'], 'a number above 0, at most 1'],
    [['generate', '--model', 'x', '--prompt-ids', 'a'], 'whole numbers, separated by commas'],
    [['generate', '--model', 'x', '--prompt', 'a', '--prompt-ids', '1'], 'not both'],
    [['generate', '--model', 'x', 'y'], 'too many arguments'],
    [['sing'], "unknown command 'sing'"],
    [[], 'Usage: torch-magpie'],
  ])('%j is a wrong command line: exit code 2', async (wrong, message) => {
    const { code, out, err } = await run(wrong);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });

  test.each([
    [['generate', '--model', join(scratch, 'none'), '--prompt', 'x'], 'is not a local folder or file'],
    [['generate', '--model', scratch, '--prompt', 'x'], 'config.json'],
    [['generate', '--model', bert, '--prompt', 'x'], 'does not write text'],
    [['generate', '--model', llama, '--prompt', 'x', '--device', 'abacus'], 'abacus'],
    [['chat', '--model', llama, '--chat-template', join(scratch, 'none')], 'no such file'],
    [['chat', '--model', llama, '--chat-template', badTemplate], `${badTemplate}: chat template: `],
    [['embed', '--model', llama, 'x'], 'embed needs an encoder'],
    [['info', join(scratch, 'none')], 'no such file or folder'],
    [['info', fileURLToPath(import.meta.url)], 'not a safetensors file, a GGUF file'],
  ])('%j fails with one line: exit code 1', async (wrong, message) => {
    const { code, out, err } = await run(wrong);
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain(message);
    expect(err).toMatch(/^error: [^\n]*\n$/);
  });

  test('--help and --version are no errors', async () => {
    const [help, version] = await Promise.all([run(['generate', '--help']), run(['--version'])]);
    expect(help).toMatchObject({ code: 0, err: '', out: expect.stringContaining('--repetition-penalty') });
    expect(version).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });
});

describe('chat', () => {
  const parameters = ['chat', '--model', llama];
  test('from a pipe answers each line and remembers what was said', async () => {
    const { code, out, err } = await run([...parameters, '--json', '--max-new-tokens', '6', '--system', 'be brief'], {
      input: 'hello\n\nand you\n/reset\nhello\n/exit\nnever\n',
    });
    expect(code).toBe(0);
    const lines = jsonLines(out);
    expect(lines.map(({ role }) => role)).toEqual(['assistant', 'assistant', 'assistant']);
    const [first, second, third] = lines.map((line) => line['prompt_tokens'] as number);
    expect(second).toBeGreaterThan(first);
    expect(third).toBe(first);
    expect(lines[2]['content']).toBe(lines[0]['content']);
    expect(err.match(/tokens of prompt/g)).toHaveLength(3);
  });

  test('writes plain answers line by line, and nothing else on standard output', async () => {
    const { out } = await run([...parameters, '--quiet', '--max-new-tokens', '4'], { input: 'hello' });
    const { out: json } = await run([...parameters, '--json', '--quiet', '--max-new-tokens', '4'], { input: 'hello' });
    expect(out).toBe(`${jsonLines(json)[0]['content']}\n`);
  });

  test('Ctrl-C stops an answer and not the conversation; a second one ends it', async () => {
    const long = [...parameters, '--temperature', '3', '--seed', '1', '--max-new-tokens', '3000'];
    let sent = 0;
    const stopped = await run(long, { input: 'hello\n/exit\n', onOutput: (child) => void (sent++ === 0 && child.kill('SIGINT')) });
    expect(stopped.code).toBe(0);
    expect(Number(/; (\d+) tokens/.exec(stopped.err)![1])).toBeLessThan(3000);
    // With no answer under way, and nobody to ask, it ends.
    const [first, atPrompt] = [once(), once()];
    const ended = await run(long, {
      input: 'hello\n',
      keepOpen: true,
      onOutput: (child, out, err) => {
        if (out !== '') first(() => child.kill('SIGINT'));
        if (err.includes('tokens of prompt')) atPrompt(() => child.kill('SIGINT'));
      },
    });
    expect(ended.code).toBe(130);
  });
});

function once(): (work: () => void) => void {
  let done = false;
  return (work) => {
    if (!done) work();
    done = true;
  };
}

describe('embed', () => {
  test('gives the vectors of the library, a JSON object for each line', async () => {
    const texts = ['a cat sat.', 'cats'];
    const { code, out } = await run(['embed', '--model', bert, '--quiet', '--batch-size', '1'], { input: `${texts.join('\n')}\n` });
    expect(code).toBe(0);
    const { from_pretrained } = await import('../models/index.ts');
    const model = from_pretrained<BertModel>(bert);
    const { input_ids, attention_mask } = AutoTokenizer.from_pretrained(bert)(texts, { padding: true, return_tensors: 'pt' });
    expect((input_ids.tolist() as number[][])[1].slice(0, 4)).toEqual([2, 6, 8, 3]);
    const expected = torch.no_grad(() => pool(model(input_ids, { attention_mask }).last_hidden_state, attention_mask));
    const lines = jsonLines(out);
    expect(lines.map(({ index, text }) => [index, text])).toEqual(texts.map((text, i) => [i, text]));
    const got = torch.tensor(lines.map((line) => line['embedding'] as number[]));
    expect(got.sub(expected).abs().max().item()).toBeLessThan(1e-5);
    const first = await run(['embed', '--model', bert, '--quiet', '--pooling', 'cls', '--no-normalize', 'cats']);
    const cls = torch.no_grad(() => model(input_ids.narrow(0, 1, 1).narrow(1, 0, 4)).last_hidden_state.select(1, 0));
    expect(
      torch
        .tensor([jsonLines(first.out)[0]['embedding'] as number[]])
        .sub(cls)
        .abs()
        .max()
        .item(),
    ).toBeLessThan(1e-5);
  });
});

test('embed takes a blank line for a text, and no lines for none', async () => {
  const parameters = ['embed', '--model', bert, '--quiet'];
  const [blank, none, one] = await Promise.all(['cats\n\na cat\n', '', '\n'].map((input) => run(parameters, { input })));
  expect(jsonLines(blank.out).map(({ index, text }) => [index, text])).toEqual([
    [0, 'cats'],
    [1, ''],
    [2, 'a cat'],
  ]);
  expect(none).toEqual({ code: 0, out: '', err: '' });
  const numbers = jsonLines(one.out)[0]['embedding'] as number[];
  expect(numbers.every(Number.isFinite)).toBe(true);
  expect(Math.hypot(...numbers)).toBeCloseTo(1, 5);
});

describe('info', () => {
  test('lists every tensor of a folder and of a file, with dtype, shape and size', async () => {
    using file = safe_open(join(llama, 'model.safetensors'));
    const { code, out, err } = await run(['info', llama, '--json']);
    expect([code, err]).toEqual([0, '']);
    const lines = jsonLines(out);
    const tensors = lines.filter(({ kind }) => kind === 'tensor');
    expect(tensors.map(({ name }) => name).sort()).toEqual(file.keys().sort());
    for (const { name, shape, dtype, bytes } of tensors) {
      const tensor = file.get_tensor(name as string);
      expect([shape, dtype, bytes]).toEqual([[...tensor.shape], 'F32', 4 * tensor.numel()]);
    }
    expect(lines.find(({ key }) => key === 'model_type')).toEqual({ kind: 'metadata', key: 'model_type', value: 'llama' });
    expect(lines.at(-1)).toMatchObject({ kind: 'total', tensors: tensors.length });
    const text = await run(['info', join(llama, 'model.safetensors')]);
    for (const { name } of tensors) expect(text.out).toContain(`  ${name} `);
    expect(text.out).toMatch(/F32 {2}\[16, 16\] +1\.0 kB\n/);
  });

  test.skipIf(!present)("says of llama2.c's tokenizer that it is one", async () => {
    const file = join(stories, 'tok512.bin');
    const [text, json] = await Promise.all([run(['info', file]), run(['info', file, '--json'])]);
    expect([text.code, text.err]).toEqual([0, '']);
    expect(text.out).toMatch(/^tok512\.bin: tokenizer of llama2\.c \(no weights\), [\d.]+ kB\n {2}tokens = 512\n/);
    expect(jsonLines(json.out).find(({ key }) => key === 'vocabulary')!['value']).toHaveLength(512);
  });

  test.each([
    ['notes.bin', 'Only some notes, and no weights.', /it is text that begins with "Only some notes/],
    ['pointer.bin', 'version https://git-lfs.github.com/spec/v1', /pointer of Git LFS/],
  ])('says what %s is', async (name, text, message) => {
    const file = join(scratch, name);
    writeFileSync(file, text);
    const { code, err } = await run(['info', file]);
    expect([code, err]).toEqual([1, expect.stringMatching(message)]);
  });

  test.skipIf(!present)('shows a GGUF file and a llama2.c file, and a list of metadata whole when it is asked to', async () => {
    const file = join(stories, 'stories260K.gguf');
    const [short, full, json, bin] = await Promise.all([
      run(['info', file]),
      run(['info', file, '--full']),
      run(['info', file, '--json']),
      run(['info', join(stories, 'stories260K.bin')]),
    ]);
    expect(short.out).toContain('stories260K.gguf: GGUF 3, ');
    expect(short.out).toContain('"<0x00>", ... (512 entries)]');
    expect(full.out).toContain('"<0xFF>"');
    expect(short.out.match(/^ {2}blk\.\d\.attn_q\.weight +F32 +\[64, 64\]/gm)).toHaveLength(5);
    const lines = jsonLines(json.out);
    expect(lines.find(({ key }) => key === 'tokenizer.ggml.tokens')!['value']).toHaveLength(512);
    expect(lines.filter(({ kind }) => kind === 'tensor')).toHaveLength(48);
    expect(bin.out).toMatch(/llama2\.c[\s\S]*model\.embed_tokens\.weight +F32 +\[512, 64\]/);
  });

  test('ends quietly when its reader has had enough', async () => {
    const { code, err } = await run(['info', llama], { onOutput: (child) => child.stdout!.destroy() });
    expect([code, err]).toEqual([0, '']);
  });
});
