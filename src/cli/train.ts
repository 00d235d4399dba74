/**
 * Training, from options to a trained model: set up or resume, step until the plan is done or Ctrl-C, measure the held-out loss,
 * save. What is shown meanwhile is the business of the `TrainingView`; nothing here writes to a terminal.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import torch, { nn, type optim, type Tensor } from '../index.ts';
import { type Checkpoint, loadCheckpoint, saveCheckpoint } from './checkpoint.ts';
import { Gpt, languageLoss, makeOptimizer } from './gpt.ts';
import { breathe } from './interrupt.ts';
import type { StartOptions } from './options.ts';
import type { Point } from './plot.ts';
import { heldOutBatches, WindowSampler } from './sampler.ts';
import { TrainingPlan } from './schedule.ts';
import { fingerprint, loadText, splitTokens, type Vocabulary, vocabularyFrom, vocabularyOf } from './text.ts';

export interface TrainingProgress {
  readonly step: number;
  readonly totalSteps: number | undefined;
  readonly share: number;
  readonly loss: number;
  readonly heldOut: number | undefined;
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
}

export interface TrainingView {
  begin(run: Run): void;
  update(progress: TrainingProgress): void;
  /** Asked after each step. */
  stopRequested(): boolean;
}

export interface TrainingResult {
  readonly interrupted: boolean;
  readonly trainingLoss: number;
  readonly heldOutLoss: number;
  readonly heldOutCharacters: number;
  readonly checkpoint: string;
}

/** Everything that changes while training, and what it is made from. */
export interface Run {
  readonly model: Gpt;
  readonly optimizer: optim.AdamW;
  readonly sampler: WindowSampler;
  readonly plan: TrainingPlan;
  readonly vocabulary: Vocabulary;
  readonly training: Int32Array;
  readonly heldOut: Int32Array;
  readonly text: { readonly name: string; readonly fingerprint: string };
  readonly batch: number;
  readonly seed: number;
  readonly device: string;
  readonly trainingCurve: Point[];
  readonly heldOutCurve: Point[];
  readonly resumedAt: number;
  step: number;
  elapsed: number;
  /** Steps of this process that count for the speed, and their seconds. The first ones compile and do not count. */
  measuredSteps: number;
  measuredSeconds: number;
}

const unmeasuredSteps = 4;

/** Quick looks at the held-out loss while training, and the batches of each. */
const looks = 8;
const lookBatches = 8;
/** The training loss of the report is the mean over the last steps. */
const reportedSteps = 100;

export function prepareRun(options: StartOptions): Run {
  const saved = options.resume === undefined ? undefined : loadCheckpoint(options.resume);
  return saved === undefined ? newRun(options) : resumedRun(options, saved);
}

function newRun(options: StartOptions): Run {
  const { name, content } = loadText(options.text);
  const vocabulary = vocabularyOf(content);
  torch.manual_seed(options.seed);
  const config = {
    vocabulary: vocabulary.characters.length,
    layers: options.layers,
    heads: options.heads,
    width: options.width,
    context: options.context,
  };
  const model = new Gpt(config).to(options.device);
  return {
    model,
    optimizer: makeOptimizer(model, options.lr),
    sampler: new WindowSampler(options.seed),
    plan: new TrainingPlan(options, options.lr),
    vocabulary,
    ...splitTokens(vocabulary.encode(content), options.context),
    text: { name, fingerprint: fingerprint(content) },
    batch: options.batch,
    seed: options.seed,
    device: options.device,
    trainingCurve: [],
    heldOutCurve: [],
    resumedAt: 0,
    step: 0,
    elapsed: 0,
    measuredSteps: 0,
    measuredSeconds: 0,
  };
}

function resumedRun(options: StartOptions, saved: Checkpoint): Run {
  const file = options.text ?? (saved.text.name === 'Moby Dick' ? undefined : saved.text.name);
  const { name, content } = loadText(file);
  if (fingerprint(content) !== saved.text.fingerprint) {
    throw new Error(`'${options.resume}' was trained on another text ('${saved.text.name}') than '${name}'`);
  }
  for (const option of ['layers', 'heads', 'width', 'context', 'batch', 'seed', 'lr']) {
    if (options.given.has(option)) throw new Error(`--${option} comes from the checkpoint and cannot be changed with --resume`);
  }
  const vocabulary = vocabularyFrom(saved.vocabulary);
  const model = new Gpt(saved.config).to(options.device);
  model.load_state_dict(saved.model as Parameters<Gpt['load_state_dict']>[0]);
  const optimizer = makeOptimizer(model, saved.peak);
  optimizer.load_state_dict(saved.optimizer as Parameters<optim.AdamW['load_state_dict']>[0]);
  torch.set_rng_state(saved.generator);
  const sampler = new WindowSampler(0);
  sampler.load(saved.sampler);
  // Without a new budget the old plan goes on; `--seconds` adds time, `--steps` sets the total anew.
  const budget = options.given.has('steps')
    ? { seconds: saved.plan.seconds, steps: options.steps }
    : options.given.has('seconds')
      ? { seconds: saved.elapsed + options.seconds }
      : { seconds: saved.plan.seconds, steps: saved.plan.totalSteps };
  return {
    model,
    optimizer,
    sampler,
    plan: new TrainingPlan(budget, saved.peak),
    vocabulary,
    ...splitTokens(vocabulary.encode(content), saved.config.context),
    text: saved.text,
    batch: saved.batch,
    seed: saved.seed,
    device: options.device,
    trainingCurve: [...saved.curves.training],
    heldOutCurve: [...saved.curves.heldOut],
    resumedAt: saved.step,
    step: saved.step,
    elapsed: saved.elapsed,
    measuredSteps: 0,
    measuredSeconds: 0,
  };
}

export async function train(run: Run, out: string, view: TrainingView): Promise<TrainingResult> {
  view.begin(run);
  run.model.train();
  const before = run.elapsed;
  const started = performance.now();
  let nextLook = (Math.floor(run.plan.progress(run.step, run.elapsed) * looks) + 1) / looks;
  let interrupted = false;
  // Smoothed for the display only.
  let speed = 0;
  while (!run.plan.isDone(run.step)) {
    const begun = performance.now();
    const loss = trainStep(run);
    const seconds = (performance.now() - begun) / 1000;
    if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss} at step ${run.step}; try a smaller --lr`);
    run.step++;
    if (run.step > run.resumedAt + unmeasuredSteps) {
      run.measuredSteps++;
      run.measuredSeconds += seconds;
    }
    run.elapsed = before + (performance.now() - started) / 1000;
    run.trainingCurve.push({ step: run.step, loss });
    run.plan.observe(run.step, run.elapsed);
    const share = run.plan.progress(run.step, run.elapsed);
    if (share >= nextLook && share < 1) {
      run.heldOutCurve.push({ step: run.step, loss: (await measureHeldOut(run, lookBatches)).loss });
      while (nextLook <= share) nextLook += 1 / looks;
      run.elapsed = before + (performance.now() - started) / 1000;
    }
    const tokens = run.batch * run.model.config.context;
    speed = speed === 0 ? tokens / seconds : 0.95 * speed + (0.05 * tokens) / seconds;
    view.update({
      step: run.step,
      totalSteps: run.plan.totalSteps,
      share,
      loss: recentLoss(run, 20),
      heldOut: run.heldOutCurve.at(-1)?.loss,
      tokensPerSecond: speed,
      secondsLeft: run.plan.secondsLeft(run.step, run.elapsed, tokens / speed),
    });
    await breathe();
    if (view.stopRequested()) {
      interrupted = !run.plan.isDone(run.step);
      break;
    }
  }
  // Saved before the long look at the held-out text: what was trained must not be lost to a second Ctrl-C.
  const checkpoint = save(run, out);
  const { loss, characters } = await measureHeldOut(run);
  if (!interrupted) {
    run.heldOutCurve.push({ step: run.step, loss });
    save(run, out);
  }
  return { interrupted, trainingLoss: recentLoss(run, reportedSteps), heldOutLoss: loss, heldOutCharacters: characters, checkpoint };
}

/** One step of gradient descent; returns its loss. */
export function trainStep(run: Run): number {
  const { model, optimizer, batch } = run;
  const rate = run.plan.learningRate(run.step);
  for (const group of optimizer.param_groups) group.lr = rate;
  const drawn = run.sampler.batch(run.training, batch, model.config.context);
  optimizer.zero_grad();
  const loss = languageLoss(model, batchTensor(run, drawn.inputs, batch), batchTensor(run, drawn.targets, batch));
  loss.backward();
  nn.utils.clip_grad_norm_(model.parameters(), 1.0);
  optimizer.step();
  return Number(loss.item());
}

function batchTensor(run: Run, values: BigInt64Array, rows: number): Tensor {
  return torch.tensor(values, { device: run.device }).view(rows, run.model.config.context);
}

/** The mean loss over the held-out text, or over some batches of it. Draws no random numbers. */
export async function measureHeldOut(run: Run, limit?: number): Promise<{ loss: number; characters: number }> {
  const { model, batch } = run;
  const { context } = model.config;
  model.eval();
  let [sum, batches, characters] = [0, 0, 0];
  for (const { inputs, targets, rows } of heldOutBatches(run.heldOut, batch, context, limit)) {
    sum += torch.no_grad(() => Number(languageLoss(model, batchTensor(run, inputs, rows), batchTensor(run, targets, rows)).item()));
    batches++;
    characters += rows * context;
    await breathe();
  }
  model.train();
  return { loss: sum / batches, characters };
}

function recentLoss(run: Run, count: number): number {
  const recent = run.trainingCurve.slice(-count);
  return recent.reduce((sum, { loss }) => sum + loss, 0) / recent.length;
}

function save(run: Run, out: string): string {
  mkdirSync(out, { recursive: true });
  const file = join(out, 'checkpoint.safetensors');
  saveCheckpoint(file, {
    step: run.step,
    config: run.model.config,
    batch: run.batch,
    peak: run.plan.peak,
    seed: run.seed,
    vocabulary: run.vocabulary.characters,
    text: run.text,
    plan: run.plan.state(),
    elapsed: run.elapsed,
    sampler: run.sampler.state(),
    curves: { training: run.trainingCurve, heldOut: run.heldOutCurve },
    model: run.model.state_dict(),
    optimizer: run.optimizer.state_dict(),
    generator: torch.get_rng_state(),
  });
  return file;
}
