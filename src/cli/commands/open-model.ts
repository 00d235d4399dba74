/** DIR_OR_FILE: a model that writes text, with its tokenizer where there is one. */
import torch from '../../index.ts';
import { roomAfter } from '../../models/generate.ts';
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

/** How many tokens are made after a prompt; says so where they are fewer than was asked for. */
export function noteRoom(prompt: number, asked: number, { model }: Pick<OpenedModel, 'model'>, flags: CommonOptions): number {
  const room = roomAfter(prompt, asked, model.positions);
  if (room < asked) note(`the model has positions for ${model.positions.count} tokens: at most ${room} are made after this prompt`, flags);
  return room;
}

/** Before anything is read: a wrong device should not cost a minute. */
export function checkDevice(device: string): void {
  torch.zeros(1, { device });
}
