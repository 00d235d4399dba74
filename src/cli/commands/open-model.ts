/** DIR_OR_FILE: a model that writes text, with its tokenizer where there is one. */
import torch from '../../index.ts';
import { AutoTokenizer, from_pretrained, GPT2LMHeadModel, LlamaForCausalLM, type PreTrainedTokenizer } from '../../models/index.ts';
import { type CommonOptions, note } from './terminal.ts';

export type TextModel = GPT2LMHeadModel | LlamaForCausalLM;

export interface OpenedModel {
  readonly model: TextModel;
  readonly tokenizer: PreTrainedTokenizer | null;
  /** Why there is no tokenizer. */
  readonly missing: string;
  readonly loadSeconds: number;
}

export function openTextModel(path: string, { device, quiet = false }: CommonOptions & { readonly device: string }): OpenedModel {
  const begin = performance.now();
  checkDevice(device);
  const model = from_pretrained(path, { device, progress: !quiet });
  if (!(model instanceof GPT2LMHeadModel || model instanceof LlamaForCausalLM))
    throw new Error(`${path}: ${model.architecture()} does not write text; 'embed' makes vectors with it`);
  const [tokenizer, missing] = openTokenizer(path);
  return { model, tokenizer, missing, loadSeconds: (performance.now() - begin) / 1000 };
}

function openTokenizer(path: string): [PreTrainedTokenizer | null, string] {
  try {
    return [AutoTokenizer.from_pretrained(path), ''];
  } catch (error) {
    return [null, (error as Error).message];
  }
}

/** How many tokens can be made after a prompt: a model that has learned a vector for each position has no more of them. */
export function roomAfter(prompt: number, asked: number, { model }: Pick<OpenedModel, 'model'>, flags: CommonOptions): number {
  if (!(model instanceof GPT2LMHeadModel)) return asked;
  const { n_positions } = model.config;
  if (prompt > n_positions) throw new Error(`the prompt has ${prompt} tokens, the model has positions for ${n_positions}`);
  // The last token that is made is not read again.
  const room = n_positions - prompt + 1;
  if (room < asked) note(`the model has positions for ${n_positions} tokens: at most ${room} are made after this prompt`, flags);
  return Math.min(room, asked);
}

/** Before anything is read: a wrong device should not cost a minute. */
export function checkDevice(device: string): void {
  torch.zeros(1, { device });
}
