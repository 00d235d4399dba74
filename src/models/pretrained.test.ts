/** Folders: what is read from them, what is written, and what is said of those that do not fit. */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';
import { load_file, save_file } from '../serialize/safetensors.ts';
import {
  AutoModel,
  BertForMaskedLM,
  BertModel,
  bertConfig,
  from_gguf,
  from_llama2c,
  from_pretrained,
  GPT2LMHeadModel,
  GPT2Model,
  gpt2Config,
  LlamaForCausalLM,
  llamaConfig,
  type PreTrainedModel,
} from './index.ts';
import { loadingBar } from './loading-bar.ts';
import { parseShardSize } from './shards.ts';

const scratch = mkdtempSync(join(tmpdir(), 'magpie-pretrained-'));
afterAll(() => rmSync(scratch, { recursive: true }));

let folders = 0;
/** A folder that a model was saved to, its tensors and config changed. */
function folderOf(
  model: PreTrainedModel,
  change: (tensors: Map<string, Tensor>) => void = () => {},
  config: Readonly<Record<string, unknown>> = {},
): string {
  const folder = join(scratch, `${folders++}`);
  model.save_pretrained(folder);
  const file = join(folder, 'model.safetensors');
  const tensors = load_file(file);
  change(tensors);
  save_file(tensors, file);
  const json = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...json, ...config }));
  return folder;
}
function rename(tensors: Map<string, Tensor>, name: (old: string) => string | null): void {
  const all = [...tensors];
  tensors.clear();
  for (const [old, tensor] of all) {
    const renamed = name(old);
    if (renamed !== null) tensors.set(renamed, tensor);
  }
}
function expectSame(a: PreTrainedModel, b: PreTrainedModel): void {
  const [left, right] = [a.state_dict(), b.state_dict()];
  expect([...right.keys()]).toEqual([...left.keys()]);
  for (const [name, tensor] of left) expect([name, torch.equal(right.get(name)!, tensor)]).toEqual([name, true]);
}

const gpt2 = (): GPT2LMHeadModel => new GPT2LMHeadModel(gpt2Config({ vocab_size: 13, n_positions: 8, n_embd: 8, n_layer: 2, n_head: 2 }));
const bert = (): BertForMaskedLM =>
  new BertForMaskedLM(
    bertConfig({
      ...{ vocab_size: 13, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 6 },
      max_position_embeddings: 8,
    }),
  );
const llama = (): LlamaForCausalLM =>
  new LlamaForCausalLM(
    llamaConfig({
      vocab_size: 13,
      hidden_size: 8,
      intermediate_size: 6,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
    }),
  );

test('an option that from_pretrained or save_pretrained does not have is refused by name', () => {
  expect(() => from_pretrained('nowhere', { torch_dtype: torch.float16 } as object)).toThrow(
    "from_pretrained() got an unexpected keyword argument 'torch_dtype'",
  );
  expect(() => AutoModel.from_pretrained('nowhere', { devcie: 'cpu' } as object)).toThrow("unexpected keyword argument 'devcie'");
  expect(() => from_gguf('nowhere', { dtype: torch.float16 } as object)).toThrow("from_gguf() got an unexpected keyword argument 'dtype'");
  expect(() => from_llama2c('nowhere', { dtype: torch.float16 } as object)).toThrow(
    "from_llama2c() got an unexpected keyword argument 'dtype'",
  );
});

describe('what is saved', () => {
  test.each([
    ['GPT-2', gpt2],
    ['BERT', bert],
    ['Llama', llama],
  ])('%s loads again with every value', (_, make) => {
    const model = make();
    expectSame(model, from_pretrained(folderOf(model)));
  });

  test('keeps the dtype of the weights, and says it', () => {
    const folder = folderOf(llama().bfloat16());
    expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toMatchObject({ dtype: 'bfloat16' });
    const dtypes = (model: PreTrainedModel): string[] => [...new Set(model.parameters().map((p) => p.dtype.name))];
    expect(dtypes(from_pretrained(folder))).toEqual(['bfloat16']);
    expect(dtypes(from_pretrained(folder, { dtype: torch.float32 }))).toEqual(['float32']);
  });

  test('holds a tied weight once, and loading ties it again', () => {
    const folder = folderOf(gpt2());
    expect([...load_file(join(folder, 'model.safetensors')).keys()]).not.toContain('lm_head.weight');
    const model = from_pretrained(folder, { as: GPT2LMHeadModel });
    expect(model.lm_head.weight).toBe(model.transformer.wte.weight);
  });

  test('leaves fields of the config that are of no use here as they were, and generation_config.json too', () => {
    const model = gpt2();
    const folder = folderOf(model, undefined, { task_specific_params: { a: [1] }, torch_dtype: 'float32' });
    writeFileSync(join(folder, 'generation_config.json'), '{"eos_token_id":[3,4],"max_length":50}');
    const read = from_pretrained(folder);
    expect(read.generation_config!.eos_token_id).toEqual([3, 4]);
    const again = join(scratch, 'again');
    read.save_pretrained(again);
    const json = JSON.parse(readFileSync(join(again, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(json).toMatchObject({ task_specific_params: { a: [1] }, dtype: 'float32' });
    expect(json).not.toHaveProperty('torch_dtype');
    expect(JSON.parse(readFileSync(join(again, 'generation_config.json'), 'utf8'))).toEqual({ eos_token_id: [3, 4], max_length: 50 });
  });
});

describe('what is saved in shards', () => {
  const names = (folder: string): string[] => readdirSync(folder).sort();
  const byteSizes = (folder: string): number[] =>
    names(folder)
      .filter((name) => /^model-/.test(name))
      .map((name) => [...load_file(join(folder, name)).values()].reduce((n, t) => n + t.numel() * t.dtype.itemsize, 0));

  test('is no larger than asked for, has the index that transformers writes, and loads again', () => {
    const model = llama();
    const folder = join(scratch, 'shards');
    model.save_pretrained(folder, { max_shard_size: '1KB' });
    expect(names(folder)).toEqual([
      'config.json',
      ...[1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`),
      'model.safetensors.index.json',
    ]);
    expect(byteSizes(folder).every((size) => size <= 1000)).toBe(true);
    const { metadata, weight_map } = JSON.parse(readFileSync(join(folder, 'model.safetensors.index.json'), 'utf8')) as {
      metadata: object;
      weight_map: Record<string, string>;
    };
    const count = model.parameters().reduce((n, p) => n + p.numel(), 0);
    expect(metadata).toEqual({ total_parameters: count, total_size: 4 * count });
    expect(Object.keys(weight_map).sort()).toEqual([...model.state_dict().keys()].sort());
    expectSame(model, from_pretrained(folder));

    model.save_pretrained(folder);
    expect(names(folder)).toEqual(['config.json', 'model.safetensors']);
    model.save_pretrained(folder, { max_shard_size: 1 });
    expect(names(folder).length).toBe(model.parameters().length + 2);
    expectSame(model, from_pretrained(folder));
  });

  test('has sizes in bytes or with a unit', () => {
    expect(['5GB', '1.5 MiB', '10B', 7].map(parseShardSize)).toEqual([5e9, 1.5 * 2 ** 20, 10, 7]);
    for (const bad of ['x', '-1GB', 0, '1e3MB']) expect(() => parseShardSize(bad)).toThrow('`max_shard_size` should be a number of bytes');
  });

  test('is named where the index names a file that is not there', () => {
    const folder = join(scratch, 'shards');
    rmSync(join(folder, 'model-00002-of-00012.safetensors'));
    expect(() => from_pretrained(folder)).toThrow('index.json: the file model-00002-of-00012.safetensors is not there');
  });
});

describe('what is seen while a model is loaded', () => {
  const terminal = (isTTY: boolean): { written: string[]; stream: never } => {
    const written: string[] = [];
    const stream = {
      isTTY,
      columns: 100,
      rows: 30,
      write: (text: string) => written.push(text) > 0,
      on: () => {},
      once: () => {},
      removeListener: () => {},
    };
    return { written, stream: stream as never };
  };
  test('is one bar on a terminal', () => {
    const { written, stream } = terminal(true);
    {
      using bar = loadingBar(true, stream, 0);
      bar.update(1, 2, 'a');
      bar.update(2, 2, 'b');
    }
    expect(written.join('')).toMatch(/Loading weights .* 1\/2 a[\s\S]*2\/2 b/);
  });
  test('is nothing elsewhere, where nothing is wanted, and where it takes no time', () => {
    for (const [option, tty, wait] of [
      [true, false, 0],
      [false, true, 0],
      [true, true, 1e6],
    ] as const) {
      const { written, stream } = terminal(tty);
      using bar = loadingBar(option, stream, wait);
      bar.update(1, 1, 'a');
      expect(written).toEqual([]);
    }
  });
});

const stories = fileURLToPath(new URL('../../../shared/models/stories260k/', import.meta.url));
describe.skipIf(!existsSync(stories))('files of other formats (skipped where ../shared/models is absent)', () => {
  test.each(['stories260K.gguf', 'stories260K.bin'])('%s is loaded by from_pretrained, with its name and dtype', (name) => {
    const model = from_pretrained(join(stories, name), { as: LlamaForCausalLM });
    expect(model.name_or_path).toBe(join(stories, name));
    expect(model.training).toBe(false);
    expect(() => from_pretrained(join(stories, name), { as: GPT2LMHeadModel })).toThrow('cannot be loaded as GPT2LMHeadModel');
    const half = from_pretrained(join(stories, name), { dtype: torch.bfloat16 });
    expect(half.parameters().every((p) => p.dtype === torch.bfloat16)).toBe(true);
  });

  test('a folder with a single GGUF file stands for it; what comes out of it is saved as a Hugging Face folder', () => {
    const folder = join(scratch, 'gguf');
    mkdirSync(folder);
    copyFileSync(join(stories, 'stories260K.gguf'), join(folder, 'a.gguf'));
    const model = from_pretrained(folder, { as: LlamaForCausalLM });
    const again = join(scratch, 'from-gguf');
    model.save_pretrained(again);
    expectSame(model, from_pretrained(again));
    copyFileSync(join(folder, 'a.gguf'), join(folder, 'b.gguf'));
    expect(() => from_pretrained(folder)).toThrow('it has several models: a.gguf, b.gguf');
  });

  test('weights alone, and anything else, are refused by name', () => {
    const folder = folderOf(gpt2());
    expect(() => from_pretrained(join(folder, 'model.safetensors'))).toThrow('weights alone are no model');
    expect(() => from_pretrained(join(folder, 'config.json'))).toThrow('expected a folder, a .gguf file, or a .bin file of llama2.c');
  });
});

describe('files of other ways', () => {
  test('weights that torch.save wrote', () => {
    const model = gpt2();
    const folder = folderOf(model);
    torch.save(load_file(join(folder, 'model.safetensors')), join(folder, 'pytorch_model.bin'));
    rmSync(join(folder, 'model.safetensors'));
    expectSame(model, from_pretrained(folder));
  });

  test('weights that are no floating-point numbers are refused', () => {
    const folder = folderOf(gpt2(), (tensors) => tensors.set('transformer.ln_f.bias', torch.zeros(8, { dtype: torch.int64 })));
    expect(() => from_pretrained(folder)).toThrow(
      'model.safetensors: tensor "transformer.ln_f.bias" should hold floating-point numbers, got torch.int64',
    );
  });

  test('a model without its head is found in a file without the prefix, as the first GPT-2 files are, with their constants', () => {
    const model = gpt2();
    const folder = folderOf(model, (tensors) => {
      rename(tensors, (name) => name.replace(/^transformer\./, ''));
      tensors.set('h.0.attn.bias', torch.ones(1, 1, 8, 8).tril());
    });
    expectSame(model, from_pretrained(folder));
  });

  test('the base of a model is taken out of a file with a head', () => {
    const model = gpt2();
    const base = from_pretrained(folderOf(model), { as: GPT2Model });
    expectSame(model.transformer, base);
  });

  test('old BERT files call weights of LayerNorm gamma and beta, and hold heads that are not used', () => {
    const model = bert();
    const folder = folderOf(
      model,
      (tensors) => {
        rename(tensors, (name) => name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'));
        tensors.set('cls.seq_relationship.weight', torch.zeros(2, 8));
        tensors.set('bert.pooler.dense.weight', torch.zeros(8, 8));
        tensors.set('bert.embeddings.position_ids', torch.arange(8).view(1, 8));
      },
      { architectures: ['BertForPreTraining'] },
    );
    expectSame(model, from_pretrained(folder));
  });

  test('shards are read by their index', () => {
    const model = llama();
    const folder = folderOf(model);
    const tensors = [...load_file(join(folder, 'model.safetensors'))];
    rmSync(join(folder, 'model.safetensors'));
    const weight_map: Record<string, string> = {};
    for (const part of [0, 1]) {
      const mine = tensors.filter((_, i) => i % 2 === part);
      for (const [name] of mine) weight_map[name] = `model-${part}.safetensors`;
      save_file(new Map(mine), join(folder, `model-${part}.safetensors`));
    }
    const index = join(folder, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map }));
    const seen: string[] = [];
    expectSame(model, from_pretrained(folder, { progress: (done, total, name) => seen.push(`${done}/${total} ${name}`) }));
    expect(seen.length).toBe(tensors.length);
    expect(seen.at(-1)).toContain(`${tensors.length}/${tensors.length}`);

    writeFileSync(index, JSON.stringify({ weight_map: { ...weight_map, 'model.norm.weight': '../model.safetensors' } }));
    expect(() => from_pretrained(folder)).toThrow(
      /index\.json: tensor "model\.norm\.weight" should be in a \.safetensors file of the same folder/,
    );
    const [first, second] = tensors.map(([name]) => name);
    writeFileSync(index, JSON.stringify({ weight_map: { ...weight_map, [first]: weight_map[second] } }));
    expect(() => from_pretrained(folder)).toThrow(`"${first}" is not in`);
    writeFileSync(index, '{"weight_map": []}');
    expect(() => from_pretrained(folder)).toThrow('"weight_map" should be an object of file names');
  });
});

describe('a folder that does not fit', () => {
  test('is refused with one error that names what is missing, unexpected and of another shape', () => {
    const folder = folderOf(gpt2(), (tensors) => {
      tensors.delete('transformer.h.0.ln_1.weight');
      tensors.delete('transformer.wpe.weight');
      tensors.set('transformer.h.2.ln_1.weight', torch.zeros(8));
      tensors.set('transformer.ln_f.bias', torch.zeros(9));
    });
    expect(() => from_pretrained(folder)).toThrow(
      [
        'Error(s) in loading state_dict for GPT2LMHeadModel:',
        'Missing key(s) in state_dict: "transformer.wpe.weight", "transformer.h.0.ln_1.weight". ',
        'Unexpected key(s) in state_dict: "transformer.h.2.ln_1.weight". ',
        'size mismatch for transformer.ln_f.bias: copying a param with shape torch.Size([9]) from checkpoint, the shape in current model is torch.Size([8]).',
      ].join('\n\t'),
    );
    expect(() => from_pretrained(folder)).toThrow(folder);
  });

  test('because the head is not tied and not there is refused', () => {
    const folder = folderOf(gpt2(), undefined, { tie_word_embeddings: false });
    expect(() => from_pretrained(folder)).toThrow('Missing key(s) in state_dict: "lm_head.weight".');
  });

  test('because its config wants more layers than the file could have is refused before a layer is made', () => {
    const begin = performance.now();
    expect(() => from_pretrained(folderOf(gpt2(), undefined, { n_layer: 9999 }))).toThrow(/9999 layers, but the file has \d+ tensors/);
    expect(performance.now() - begin).toBeLessThan(2000);
  });

  test('because its embedding would be huge is refused without making it', () => {
    const folder = folderOf(gpt2(), undefined, { vocab_size: 2 ** 26, n_positions: 2 ** 26 });
    expect(() => from_pretrained(folder)).toThrow(
      /size mismatch for transformer\.wte\.weight: .*torch\.Size\(\[13, 8\]\).*torch\.Size\(\[67108864, 8\]\)/,
    );
  });

  test('because the class is of another family, or none that is known, is refused', () => {
    const folder = folderOf(gpt2());
    expect(() => from_pretrained(folder, { as: BertModel })).toThrow('a model of type gpt2 cannot be loaded as BertModel');
    const unknown = folderOf(gpt2(), undefined, { architectures: ['GPT2ForTokenClassification'] });
    expect(() => from_pretrained(unknown)).toThrow('architecture "GPT2ForTokenClassification" is not among GPT2LMHeadModel, GPT2Model');
    const named = folderOf(gpt2(), undefined, { architectures: ['toString'] });
    expect(() => from_pretrained(named)).toThrow('architecture "toString" is not among');
  });

  test('because it is empty, or its config is broken, is refused by name', () => {
    expect(() => from_pretrained(join(scratch, 'nowhere'))).toThrow(
      'nowhere is not a local folder or file. Models are not downloaded here',
    );
    const folder = folderOf(gpt2());
    rmSync(join(folder, 'model.safetensors'));
    expect(() => from_pretrained(folder)).toThrow(
      `no file named model.safetensors, model.safetensors.index.json or pytorch_model.bin found in directory ${folder}`,
    );
    writeFileSync(join(folder, 'config.json'), '{"model_type": ');
    expect(() => from_pretrained(folder)).toThrow(/config\.json: .*JSON/);
  });
});
