/**
 * The six workloads of the `cuda` suite on our side: built from the weights and inputs that `cuda_rival.py` wrote, checked against its outputs, timed.
 *
 * Each is written as a user would write it, with nothing but the public API; the same functions go through `torch.compile` where there is one.
 * A decode step leaves its token on the card, as PyTorch's does here; recording an event launches what is pending.
 */
import { join } from 'node:path';
import torch, { flags, nn, optim, type Tensor } from '../src/index.ts';
import { from_pretrained, type KVCache, type PreTrainedModel } from '../src/models/index.ts';
import { load_file } from '../src/serialize/safetensors.ts';
import { median } from './harness.ts';

const F = nn.functional;

export interface Timing {
  /** Seconds of one call or token. */
  readonly seconds: number;
  /** Distance of the outputs from PyTorch's, and what PyTorch's own are away from its float32 where that was measured. */
  readonly error: number;
  readonly bound: number;
  readonly note?: string;
  /** The longest kernels of one call, where asked for. */
  readonly kernels?: readonly string[];
}
export interface WorkContext {
  readonly folder: string;
  readonly device: string;
  readonly references: ReadonlyMap<string, Tensor>;
  /** What the rival says of its works. */
  readonly works: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly profile: boolean;
  readonly put: (row: string, column: 'ours' | 'compiled', timing: Timing) => void;
  readonly failed: (row: string, column: 'ours' | 'compiled', error: unknown) => void;
}

type Compile = <A extends readonly unknown[], R>(f: (...args: A) => R) => (...args: A) => R;
const compile = (torch as { compile?: Compile }).compile;

interface Autocast {
  (device: string, options: { dtype: unknown }, body: () => unknown): unknown;
}
const autocast = (torch as { autocast?: Autocast }).autocast;

/** Median seconds of a call, each waited for. */
function timed(device: string, f: () => unknown, seconds = 1, least = 5, most = 100): number {
  for (let i = 0; i < 4; i++) f();
  torch.synchronize(device);
  const found: number[] = [];
  const begun = performance.now();
  while (found.length < least || (performance.now() - begun < seconds * 1000 && found.length < most)) {
    const begin = performance.now();
    f();
    torch.synchronize(device);
    found.push((performance.now() - begin) / 1000);
  }
  return median(found);
}

/** Launches what is pending without waiting for it. */
function launcher(device: string): () => void {
  if (device !== 'cuda') return () => torch.synchronize(device);
  const event = new torch.cuda.Event();
  return () => event.record();
}

/** The slowest kernels of one call, and their sum. */
function profiled({ profile, device }: WorkContext, f: () => unknown): { readonly kernels?: readonly string[] } {
  if (!profile || device !== 'cuda') return {};
  torch.synchronize(device);
  const lines: string[] = [];
  const print = console.error;
  console.error = (text: string) => lines.push(...String(text).split('\n'));
  flags.trace = 'profile';
  f();
  torch.synchronize(device);
  flags.trace = '';
  console.error = print;
  const times = lines.map((line) => [Number(/([\d.]+) us/.exec(line)?.[1] ?? 0), line.slice(0, 200)] as const).sort((a, b) => b[0] - a[0]);
  const sum = times.reduce((s, [us]) => s + us, 0);
  return { kernels: [`${lines.length} kernels, ${sum.toFixed(0)} us`, ...times.slice(0, 24).map(([, line]) => line)] };
}

/** ||x - y|| / ||y||. */
function distance(x: Tensor, y: Tensor): number {
  const [a, b] = [x, y].map((t) => t.detach().to('cpu').to(torch.float32).contiguous().numpy() as unknown as ArrayLike<number>);
  if (a.length !== b.length) return Number.NaN;
  let [difference, size] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

interface Causal extends PreTrainedModel {
  make_cache(batch: number, length: number): KVCache;
  (ids: Tensor, options: object): { readonly logits: Tensor };
}

/** Prefill and greedy decode. */
export function decoder(name: string, context: WorkContext): void {
  const { device, references, works, put, failed } = context;
  const { prompt, steps, 'eager error': eagerError } = works[name];
  const model = from_pretrained(join(context.folder, name), { device, progress: false }) as unknown as Causal;
  const [ids, forced] = ['ids', 'forced'].map((key) => references.get(`${name} ${key}`)!.to(device));
  const cache = model.make_cache(1, Math.max(256, 2 ** Math.ceil(Math.log2(prompt + steps))));
  const logitsOf = (tokens: Tensor, position: number): Tensor => model(tokens, { cache, position, logits_to_keep: 1 }).logits;
  const step = (tokens: Tensor, position: number): Tensor => logitsOf(tokens, position).argmax(-1);
  torch.no_grad(() => {
    const logits = [logitsOf(ids, 0)];
    for (let i = 0; i < 8; i++) logits.push(logitsOf(forced.narrow(1, i, 1), prompt + i));
    const error = distance(torch.cat(logits, 1), references.get(`${name} logits`)!);
    // As near to float32 as PyTorch is, with some room.
    const bound = Math.max(1e-4, 1.5 * eagerError);
    const greedy = references.get(`${name} greedy`)!.tolist() as unknown as number[][];
    const launch = launcher(device);
    const columns = [['ours', step], ...(compile === undefined ? [] : [['compiled', compile(step)]])] as [
      'ours' | 'compiled',
      typeof step,
    ][];
    for (const [column, run] of columns) {
      try {
        const prefill = (): Tensor => run(ids, 0);
        const made: number[] = [];
        const decode = (keep: boolean): number => {
          let token = prefill();
          const tokens = [token];
          torch.synchronize(device);
          const begin = performance.now();
          for (let i = 0; i < steps; i++) {
            token = run(token, prompt + i);
            if (keep) tokens.push(token);
            launch();
          }
          torch.synchronize(device);
          const seconds = (performance.now() - begin) / 1000 / steps;
          if (keep) made.push(...(torch.cat(tokens, 1).tolist() as unknown as number[][])[0]);
          return seconds;
        };
        decode(true);
        const same = greedy[0].findIndex((token, i) => Number(token) !== Number(made[i]));
        const seconds = median([1, 2, 3].map(() => decode(false)));
        const token = prefill();
        const note = same < 0 ? `the same ${greedy[0].length} tokens` : `${same} tokens the same, then others`;
        put(`${name} decode`, column, { seconds, error, bound, note, ...profiled(context, () => run(token, prompt + 100)) });
        put(`${name} prefill`, column, { seconds: timed(device, prefill), error, bound, ...profiled(context, prefill) });
      } catch (error_) {
        failed(`${name} decode`, column, error_);
      }
    }
  });
}

/** A prompt of 100,000 tokens; memory is part of the result. */
export function longPrefill(name: string, context: WorkContext): void {
  const { device, references, put } = context;
  const model = from_pretrained(join(context.folder, name), { device, progress: false }) as unknown as Causal;
  const ids = references.get(`${name} ids`)!.to(device);
  const cache = model.make_cache(1, ids.size(1));
  torch.no_grad(() => {
    const logitsOf = (): Tensor => model(ids, { cache, position: 0, logits_to_keep: 1 }).logits;
    if (device === 'cuda') torch.cuda.reset_peak_memory_stats();
    const error = distance(logitsOf(), references.get(`${name} logits`)!);
    const seconds = timed(device, () => logitsOf().argmax(-1), 1, 2);
    const note = device === 'cuda' ? `peak ${(torch.cuda.max_memory_allocated() / 1e9).toFixed(1)} GB` : '';
    put(`${name} prefill`, 'ours', { seconds, error, bound: 0.05, note, ...profiled(context, logitsOf) });
  });
}

interface BertSize {
  readonly vocab: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
}
class Bert extends nn.Module {
  tokens: nn.Embedding;
  positions: nn.Embedding;
  norm: nn.LayerNorm;
  layers: nn.ModuleList<nn.TransformerEncoderLayer>;
  drop: nn.Dropout;
  head: nn.Linear;
  readonly where: Tensor;

  constructor({ vocab, width, layers, heads }: BertSize, dropout: number, device: string) {
    super();
    this.tokens = new nn.Embedding(vocab, width);
    this.positions = new nn.Embedding(512, width);
    this.norm = new nn.LayerNorm(width);
    const layer = { d_model: width, nhead: heads, dim_feedforward: 4 * width, dropout, activation: 'gelu', batch_first: true } as const;
    this.layers = new nn.ModuleList(Array.from({ length: layers }, () => new nn.TransformerEncoderLayer(layer)));
    this.drop = new nn.Dropout(dropout);
    this.head = new nn.Linear(width, vocab);
    this.where = torch.arange(512, { device });
  }

  override forward(ids: Tensor): Tensor {
    let x = this.drop(this.norm(this.tokens(ids).add(this.positions(this.where.narrow(0, 0, ids.size(1))))));
    for (const layer of this.layers) x = layer(x);
    return this.head(x);
  }
}

/** A training step of a BERT with its head. */
export function bert(context: WorkContext, size: BertSize): void {
  const { device, references, put, failed } = context;
  const [ids, labels] = ['ids', 'labels'].map((key) => references.get(`bert ${key}`)!.to(device));
  const trainer = (dropout: number, amp: boolean, wrap: Compile): (() => Tensor) => {
    const model = new Bert(size, dropout, device);
    model.load_state_dict(load_file(join(context.folder, 'bert', 'model.safetensors')));
    model.to(device);
    if (amp && autocast === undefined) model.to(torch.bfloat16);
    model.train();
    const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-4 });
    const lossOf = (x: Tensor, y: Tensor): Tensor => {
      const scores = (): Tensor => F.cross_entropy(model(x).flatten(0, 1).to(torch.float32), y.flatten());
      return amp && autocast !== undefined ? (autocast('cuda', { dtype: torch.bfloat16 }, scores) as Tensor) : scores();
    };
    return wrap((): Tensor => {
      optimizer.zero_grad();
      const loss = lossOf(ids, labels);
      loss.backward();
      optimizer.step();
      return loss.detach();
    });
  };
  const plain: Compile = (f) => f;
  const columns = [['ours', plain], ...(compile === undefined ? [] : [['compiled', compile]])] as ['ours' | 'compiled', Compile][];
  for (const [kind, tf32, amp] of [
    ['fp32', false, false],
    ['tf32', true, false],
    ['amp', false, true],
  ] as const) {
    torch.backends.cuda.matmul.allow_tf32 = tf32;
    const row = `bert step ${kind}`;
    for (const [column, wrap] of columns) {
      try {
        const check = trainer(0, amp, wrap);
        const losses = torch.stack(Array.from({ length: 6 }, () => check().to('cpu')));
        const error = distance(losses, references.get(`${row} losses`)!);
        const step = trainer(0.1, amp, wrap);
        const seconds = timed(device, step);
        const note = amp && autocast === undefined ? 'weights in bfloat16: there is no torch.autocast' : undefined;
        put(row, column, { seconds, error, bound: amp ? 3e-2 : 1e-3, ...(note && { note }), ...profiled(context, step) });
      } catch (error) {
        failed(row, column, error);
      }
    }
    torch.backends.cuda.matmul.allow_tf32 = false;
  }
}
