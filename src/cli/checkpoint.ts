/**
 * The checkpoint: one safetensors file that holds everything a run needs to continue as if it had not stopped.
 *
 *   tensors    `model.<state_dict key>`, `optimizer.state.<n>.<name>`, `generator` (torch's CPU generator, uint8)
 *   metadata   `format`: "pt"; `magpie.checkpoint`: JSON of the rest (step, configuration, vocabulary, plan, sampler, curves) with
 *              `{ "$tensor": name }` where a tensor belongs
 *
 * Other programs can read the model by its keys; only we need to understand the rest.
 */
import torch, { type Tensor } from '../index.ts';
import { safe_open, save_file } from '../serialize/safetensors.ts';
import type { GptConfig } from './gpt.ts';
import type { Point } from './plot.ts';
import type { SamplerState } from './sampler.ts';
import type { PlanState } from './schedule.ts';
import { packState, unpackState } from './state.ts';

const layoutVersion = 1;

export interface Checkpoint {
  readonly version: typeof layoutVersion;
  readonly step: number;
  readonly config: GptConfig;
  readonly batch: number;
  readonly peak: number;
  readonly seed: number;
  readonly vocabulary: readonly string[];
  readonly text: { readonly name: string; readonly fingerprint: string };
  readonly plan: PlanState;
  /** Seconds of training so far. */
  readonly elapsed: number;
  readonly sampler: SamplerState;
  readonly curves: { readonly training: readonly Point[]; readonly heldOut: readonly Point[] };
  readonly model: unknown;
  readonly optimizer: unknown;
  readonly generator: Tensor;
}

export function saveCheckpoint(file: string, checkpoint: Omit<Checkpoint, 'version'>): void {
  const isTensor = (value: unknown): value is Tensor => torch.is_tensor(value);
  const { skeleton, tensors } = packState<Tensor>({ version: layoutVersion, ...checkpoint }, isTensor);
  save_file(tensors, file, { format: 'pt', 'magpie.checkpoint': skeleton });
}

export function loadCheckpoint(file: string): Checkpoint {
  using opened = safe_open(file);
  const skeleton = opened.metadata()['magpie.checkpoint'];
  if (skeleton === undefined) throw new Error(`'${file}' is no checkpoint of npm start: it holds weights only`);
  const tensors = new Map(opened.keys().map((name) => [name, opened.get_tensor(name)]));
  const checkpoint = unpackState(skeleton, tensors) as Checkpoint;
  if (checkpoint.version !== layoutVersion) {
    throw new Error(`'${file}' has layout ${String(checkpoint.version)}; this version reads layout ${layoutVersion}`);
  }
  return checkpoint;
}
