/**
 * transformers' Auto classes: the class of a task, chosen by the folder's config. `from_pretrained()` alone takes the class that the config names; these
 * take the one that the task needs, so `AutoModel` gives the model without its head, and a type that has no such class is an error.
 * https://huggingface.co/docs/transformers/model_doc/auto
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BertForMaskedLM, BertForSequenceClassification, BertModel } from './bert.ts';
import { type ModelConfig, readConfig } from './config.ts';
import { GPT2LMHeadModel, GPT2Model } from './gpt2.ts';
import { LlamaForCausalLM, LlamaModel } from './llama.ts';
import type { PreTrainedModel } from './model.ts';
import { type FromPretrainedOptions, from_pretrained, type ModelClass } from './pretrained.ts';

type Family = 'gpt2' | 'bert' | 'llama';
const familyOf = ({ model_type }: ModelConfig): Family => (model_type === 'gpt2' || model_type === 'bert' ? model_type : 'llama');

export interface AutoClass<M extends PreTrainedModel> {
  from_pretrained(path: string, options?: Omit<FromPretrainedOptions<M>, 'as'>): M;
}

function autoClass<M extends PreTrainedModel>(name: string, classes: Readonly<Partial<Record<Family, ModelClass<M>>>>): AutoClass<M> {
  return {
    from_pretrained(path, options = {}) {
      // Other files hold a language model, and say themselves which.
      if (!existsSync(join(path, 'config.json'))) {
        const model = from_pretrained<PreTrainedModel>(path, options as FromPretrainedOptions<PreTrainedModel>);
        if (Object.values(classes).some((type) => model instanceof type)) return model as M;
        throw new TypeError(`${path} holds a ${model.architecture()}, which is no class of ${name}`);
      }
      const config = readConfig(path);
      const as = classes[familyOf(config)];
      if (as === undefined)
        throw new TypeError(
          `Unrecognized configuration class for this kind of AutoModel: ${name}. Model type should be one of ${Object.keys(classes).join(', ')}, ${join(path, 'config.json')} has ${config.model_type}.`,
        );
      return from_pretrained<M>(path, { ...options, as });
    },
  };
}

export const AutoModel: AutoClass<GPT2Model | BertModel | LlamaModel> = autoClass<GPT2Model | BertModel | LlamaModel>('AutoModel', {
  gpt2: GPT2Model,
  bert: BertModel,
  llama: LlamaModel,
});
export const AutoModelForCausalLM: AutoClass<GPT2LMHeadModel | LlamaForCausalLM> = autoClass<GPT2LMHeadModel | LlamaForCausalLM>(
  'AutoModelForCausalLM',
  { gpt2: GPT2LMHeadModel, llama: LlamaForCausalLM },
);
export const AutoModelForMaskedLM: AutoClass<BertForMaskedLM> = autoClass<BertForMaskedLM>('AutoModelForMaskedLM', {
  bert: BertForMaskedLM,
});
export const AutoModelForSequenceClassification: AutoClass<BertForSequenceClassification> = autoClass<BertForSequenceClassification>(
  'AutoModelForSequenceClassification',
  { bert: BertForSequenceClassification },
);
