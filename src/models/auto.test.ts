/** The class of a task: which one a folder gives, and what is said where it has none. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import torch from '../index.ts';
import {
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertModel,
  bertConfig,
  GPT2LMHeadModel,
  GPT2Model,
  gpt2Config,
  LlamaForCausalLM,
} from './index.ts';

const scratch = mkdtempSync(join(tmpdir(), 'magpie-auto-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const small = {
  vocab_size: 13,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 6,
  max_position_embeddings: 8,
};
const [gpt2, bert, classifier] = ['gpt2', 'bert', 'classifier'].map((name) => join(scratch, name));
new GPT2LMHeadModel(gpt2Config({ vocab_size: 13, n_positions: 8, n_embd: 8, n_layer: 1, n_head: 2 })).save_pretrained(gpt2);
new BertForMaskedLM(bertConfig(small)).save_pretrained(bert);
new BertForSequenceClassification(bertConfig({ ...small, num_labels: 3 })).save_pretrained(classifier);

test('a folder gives the class that the task needs', () => {
  expect(AutoModelForCausalLM.from_pretrained(gpt2)).toBeInstanceOf(GPT2LMHeadModel);
  expect(AutoModel.from_pretrained(gpt2)).toBeInstanceOf(GPT2Model);
  expect(AutoModel.from_pretrained(bert)).toBeInstanceOf(BertModel);
  expect(AutoModelForMaskedLM.from_pretrained(bert)).toBeInstanceOf(BertForMaskedLM);
  expect(AutoModelForSequenceClassification.from_pretrained(classifier)).toBeInstanceOf(BertForSequenceClassification);
});

test('a task that the type does not have is refused, with those that have it', () => {
  expect(() => AutoModelForCausalLM.from_pretrained(bert)).toThrow(
    'Unrecognized configuration class for this kind of AutoModel: AutoModelForCausalLM. Model type should be one of gpt2, llama',
  );
  expect(() => AutoModelForCausalLM.from_pretrained('gpt2')).toThrow('gpt2 is not a local folder or file');
});

test('a model says its device, its dtype and how large it is', () => {
  const model = AutoModelForCausalLM.from_pretrained(gpt2, { dtype: torch.bfloat16, device: 'wasm' });
  expect([model.device, model.dtype]).toEqual(['wasm', torch.bfloat16]);
  const all = model.num_parameters();
  expect(all).toBe(13 * 8 + 8 * 8 + 4 * 8 + (8 * 24 + 24) + (8 * 8 + 8) + (8 * 32 + 32) + (32 * 8 + 8) + 2 * 8);
  (model as GPT2LMHeadModel).transformer.wte.requires_grad_(false);
  expect(model.num_parameters({ only_trainable: true })).toBe(all - 13 * 8);
});

const stories = fileURLToPath(new URL('../../../shared/models/stories260k/stories260K.gguf', import.meta.url));
test.skipIf(!existsSync(stories))('a GGUF file is a causal language model (skipped where ../shared/models is absent)', () => {
  expect(AutoModelForCausalLM.from_pretrained(stories)).toBeInstanceOf(LlamaForCausalLM);
  expect(() => AutoModel.from_pretrained(stories)).toThrow('holds a LlamaForCausalLM, which is no class of AutoModel');
});
