/** `torch-magpie/models`: models that others trained, from their files. */

export { type AutoClass, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification } from './auto.ts';
export { AutoTokenizer } from './auto-tokenizer.ts';
export { BertForMaskedLM, BertForSequenceClassification, BertModel, type BertOptions, type BertOutput } from './bert.ts';
export { KVCache, type KVCacheOptions } from './cache.ts';
export type { ChatMessage, ChatTemplateOptions } from './chat-template.ts';
export {
  type BertConfig,
  bertConfig,
  configFrom,
  type GPT2Config,
  gpt2Config,
  type LlamaConfig,
  llamaConfig,
  type ModelConfig,
  readConfig,
} from './config.ts';
export { Detokenizer, type DetokenizerOptions } from './detokenize.ts';
export { type GenerateOptions, type GenerationModel, type GenerationStep, generate, type Positions } from './generate.ts';
export { type GenerateTextOptions, generateText } from './generate-text.ts';
export { type GenerationConfig, generationConfig } from './generation-config.ts';
export { type FromGgufOptions, from_gguf } from './gguf.ts';
export { GPT2LMHeadModel, GPT2Model } from './gpt2.ts';
export { Conv1D } from './layers.ts';
export { LlamaForCausalLM, LlamaModel } from './llama.ts';
export { from_llama2c } from './llama2c.ts';
export type { LoadingCallback, LoadingOption } from './loading-bar.ts';
export { type CausalLMOptions, type LMOutput, PreTrainedModel } from './model.ts';
export { type PoolOptions, pool, readPooling } from './pooling.ts';
export { type AnyModel, type FromPretrainedOptions, from_pretrained, type ModelClass } from './pretrained.ts';
export type { SamplingOptions } from './sampling.ts';
export { StopStrings } from './stopping.ts';
export { type BatchEncoding, type DecodeOptions, PreTrainedTokenizer, type TokenizeOptions } from './tokenizer.ts';
export { tokenizerFromGguf, tokenizerFromLlama2c } from './tokenizer-gguf.ts';
