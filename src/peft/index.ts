/** `torch-magpie/peft`: adapters for models that others trained, with peft's names and files. */
export { LoraConfig, type LoraOptions, type TaskType } from './config.ts';
export { LoraLinear } from './layer.ts';
export { LoraModel, type MergeOptions } from './lora-model.ts';
export { ModulesToSaveWrapper } from './modules-to-save.ts';
export { get_peft_model, type PeftFromPretrainedOptions, PeftModel } from './peft-model.ts';
