/**
 * `torch-magpie embed`: texts to vectors, one JSON object a line, with an encoder (BERT) and the pooling that its folder names. Every line of standard
 * input is a text, a blank one too (that of no words), so that lines of input and output correspond.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import torch from '../../index.ts';
import { readJson } from '../../models/config.ts';
import { ConfigFields } from '../../models/config-fields.ts';
import {
  AutoTokenizer,
  BertForMaskedLM,
  BertForSequenceClassification,
  BertModel,
  from_pretrained,
  type PoolOptions,
  pool,
  readPooling,
} from '../../models/index.ts';
import type { EmbedFlags } from './definitions.ts';
import { checkDevice } from './open-model.ts';
import { jsonLine, note, readLines, UsageError, write } from './terminal.ts';

export async function runEmbed(given: readonly string[], flags: EmbedFlags): Promise<void> {
  if (given.length === 0 && process.stdin.isTTY) throw new UsageError('no texts: give them as arguments, or as lines of standard input');
  const texts = given.length > 0 ? given : await readLines();
  const begin = performance.now();
  checkDevice(flags.device);
  const encoder = openEncoder(flags);
  const tokenizer = AutoTokenizer.from_pretrained(flags.model);
  const loaded = performance.now();
  const named = statSync(flags.model).isDirectory() ? readPooling(flags.model) : null;
  const how: PoolOptions = { pooling: flags.pooling ?? named?.pooling ?? 'mean', normalize: flags.normalize };
  const limits = [flags.maxLength ?? trainedLength(flags.model), tokenizer.model_max_length, encoder.config.max_position_embeddings];
  const limit = Math.min(...limits.map((n) => n ?? Number.POSITIVE_INFINITY));
  let tokens = 0;
  for (let at = 0; at < texts.length; at += flags.batchSize) {
    const batch = texts.slice(at, at + flags.batchSize);
    const options = { padding: true, padding_side: 'right', truncation: true, max_length: limit, return_tensors: 'pt' } as const;
    const { input_ids, attention_mask } = tokenizer(batch, options);
    tokens += attention_mask.sum().item() as number;
    const [ids, mask] = [input_ids.to(flags.device), attention_mask.to(flags.device)];
    const vectors = torch.no_grad(() => pool(encoder(ids, { attention_mask: mask }).last_hidden_state, mask, how));
    const rows = (await vectors.tolist_async()) as number[][];
    for (const [i, embedding] of rows.entries()) await write(jsonLine({ index: at + i, text: batch[i], embedding }));
  }
  const seconds = (performance.now() - loaded) / 1000;
  note(`loaded in ${((loaded - begin) / 1000).toFixed(2)} s; ${texts.length} texts, ${tokens} tokens in ${seconds.toFixed(2)} s`, flags);
}

/** How long the texts were that a folder's sentence-transformers model was made for; null: it does not say. */
function trainedLength(folder: string): number | null {
  const file = join(folder, 'sentence_bert_config.json');
  return existsSync(file) ? new ConfigFields(readJson(file), file).optionalSize('max_seq_length') : null;
}

function openEncoder({ model: path, device, quiet = false }: EmbedFlags): BertModel {
  const model = from_pretrained(path, { device, progress: !quiet });
  if (model instanceof BertModel) return model;
  if (model instanceof BertForMaskedLM || model instanceof BertForSequenceClassification) return model.bert;
  throw new Error(`${path}: embed needs an encoder (a BERT), this is a ${model.architecture()}`);
}
