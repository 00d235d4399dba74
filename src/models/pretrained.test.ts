/** Folders: what is read from them, what is written, and what is said of those that do not fit. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../index.ts';
import { load_file, save_file } from '../serialize/safetensors.ts';
import {
  BertForMaskedLM,
  BertModel,
  bertConfig,
  from_pretrained,
  GPT2LMHeadModel,
  GPT2Model,
  gpt2Config,
  LlamaForCausalLM,
  llamaConfig,
  type PreTrainedModel,
} from './index.ts';

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

describe('files of other ways', () => {
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
    expect(() => from_pretrained(join(scratch, 'nowhere'))).toThrow(/config\.json/);
    const folder = folderOf(gpt2());
    rmSync(join(folder, 'model.safetensors'));
    expect(() => from_pretrained(folder)).toThrow(
      `no file named model.safetensors or model.safetensors.index.json found in directory ${folder}`,
    );
    writeFileSync(join(folder, 'config.json'), '{"model_type": ');
    expect(() => from_pretrained(folder)).toThrow(/config\.json: .*JSON/);
  });
});
