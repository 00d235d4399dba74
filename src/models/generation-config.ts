/** `generation_config.json`: how a model's makers say that it should generate. Fields that this library does not know are kept, not judged. */
import { ConfigFields, type Json } from './config-fields.ts';

export interface GenerationConfig {
  readonly eos_token_id?: readonly number[];
  readonly pad_token_id?: number | null;
  readonly do_sample?: boolean;
  readonly temperature?: number;
  readonly top_k?: number;
  readonly top_p?: number;
  readonly min_p?: number;
  readonly repetition_penalty?: number;
  readonly json: Json;
}

export function generationConfig(json: unknown, file = 'generation_config.json'): GenerationConfig {
  const fields = new ConfigFields(json, file);
  const present = <T>(name: string, read: () => T): Record<string, T> => (fields.get(name) === undefined ? {} : { [name]: read() });
  return {
    ...present('eos_token_id', () => fields.tokens('eos_token_id')),
    ...present('pad_token_id', () => fields.token('pad_token_id')),
    ...present('do_sample', () => fields.boolean('do_sample', false)),
    ...Object.assign({}, ...samplingNames.map((name) => present(name, () => fields.number(name)))),
    json: fields.json,
  };
}
const samplingNames = ['temperature', 'top_k', 'top_p', 'min_p', 'repetition_penalty'] as const;
