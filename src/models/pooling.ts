/**
 * Sentence embeddings: token vectors to one vector a sentence, as sentence-transformers does, and how its folders say which way.
 * https://sbert.net/docs/package_reference/sentence_transformer/models.html
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { functional } from '../nn/functional.ts';
import type { Tensor } from '../ops/methods.ts';
import { readJson } from './config.ts';
import { ConfigFields, isJson } from './config-fields.ts';

export type Pooling = 'mean' | 'cls' | 'max' | 'lasttoken';

export interface PoolOptions {
  /** `mean` or `max` over the tokens that are no padding, the first token (`cls`), or the last that is no padding (`lasttoken`). */
  readonly pooling?: Pooling;
  /** Makes every vector one of length 1, so that a dot product is the cosine. */
  readonly normalize?: boolean;
}

/** Hidden states `[batch, length, width]` and their mask `[batch, length]` to `[batch, width]`. */
export function pool(
  hidden: Tensor,
  attention_mask: Tensor | null = null,
  { pooling = 'mean', normalize = true }: PoolOptions = {},
): Tensor {
  const vectors = pooled(hidden, attention_mask, pooling);
  return normalize ? functional.normalize(vectors, 2, 1) : vectors;
}

function pooled(hidden: Tensor, mask: Tensor | null, pooling: Pooling): Tensor {
  switch (pooling) {
    case 'cls':
      return hidden.select(1, 0);
    case 'mean': {
      if (mask === null) return hidden.mean(1);
      const weights = mask.unsqueeze(-1).to(hidden.dtype);
      return hidden.mul(weights).sum(1).div(weights.sum(1).clamp_min(1e-9));
    }
    case 'max':
      return (mask === null ? hidden : hidden.masked_fill(mask.eq(0).unsqueeze(-1), Number.NEGATIVE_INFINITY)).amax(1);
    case 'lasttoken': {
      if (mask === null) return hidden.select(1, -1);
      // The last position with a one, wherever padding is.
      const last = mask.cumsum(1).mul(mask).argmax(1, true);
      return hidden.take_along_dim(last.unsqueeze(-1), 1).squeeze(1);
    }
    default:
      return pooling satisfies never;
  }
}

/** How a folder of sentence-transformers pools and whether it normalizes (`modules.json`, `1_Pooling/config.json`); null: it says nothing. */
export function readPooling(folder: string): Required<PoolOptions> | null {
  const file = join(folder, 'modules.json');
  if (!existsSync(file)) return null;
  const modules = readJson(file);
  if (!Array.isArray(modules) || !modules.every(isJson)) throw new TypeError(`${file}: expected a list of objects`);
  const typeOf = (module: object): string => new ConfigFields(module, file).text('type').split('.').at(-1)!;
  const unknown = modules.map(typeOf).filter((type) => !['Transformer', 'Pooling', 'Normalize'].includes(type));
  if (unknown.length > 0) throw new TypeError(`${file}: modules of type ${unknown.join(', ')} are not known here`);
  const normalize = modules.some((module) => typeOf(module) === 'Normalize');
  const module = modules.find((m) => typeOf(m) === 'Pooling');
  if (module === undefined) return null;
  const path = new ConfigFields(module, file).text('path');
  if (!/^[\w.-]+$/.test(path) || /^\.+$/.test(path))
    throw new TypeError(`${file}: "path" should be a folder beside it, got ${JSON.stringify(path)}`);
  const config = join(folder, path, 'config.json');
  const fields = new ConfigFields(readJson(config), config);
  const modes = Object.keys(fields.json).filter((key) => key.startsWith('pooling_mode_') && fields.boolean(key, false));
  const names: Readonly<Record<string, Pooling>> = {
    ...{ pooling_mode_mean_tokens: 'mean', pooling_mode_cls_token: 'cls', pooling_mode_max_tokens: 'max' },
    pooling_mode_lasttoken: 'lasttoken',
  };
  const named =
    fields.get('pooling_mode') === undefined ? null : fields.oneOf('pooling_mode', ['mean', 'cls', 'max', 'lasttoken'] as const);
  if (named !== null) return { pooling: named, normalize };
  if (modes.length !== 1 || !Object.hasOwn(names, modes[0]))
    throw new TypeError(`${config}: expected one of ${Object.keys(names).join(', ')}, got ${modes.join(', ') || 'none'}`);
  return { pooling: names[modes[0]], normalize };
}
