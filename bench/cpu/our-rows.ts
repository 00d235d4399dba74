/**
 * The rows of the suite `cpu` with this library, as a user would write them. Each prepares its tensors once and says how to measure a piece of time
 * and what its outputs are. Inputs and weights are random, made by whoever comes first, and handed over as safetensors.
 */
import { existsSync } from 'node:fs';
import torch, { nn, optim, type Tensor } from '../../src/index.ts';
import { from_gguf, GPT2LMHeadModel, generate, gpt2Config } from '../../src/models/index.ts';
import { load_file, save_file } from '../../src/serialize/safetensors.ts';
import { Bert } from './bert.ts';
import { bertVocabulary, elements, gptVocabulary, heads, layers, width } from './rows.ts';

const F = nn.functional;

export interface Sample {
  /** Calls (tokens, steps) that were made. */
  readonly calls: number;
  readonly seconds: number;
}

export interface Prepared {
  readonly outputs: () => Tensor[] | Promise<Tensor[]>;
  readonly sample: (budgetSeconds: number) => Promise<Sample> | Sample;
}

export interface Place {
  /** Where inputs lie: read when there, else written. */
  readonly file: string;
  readonly gguf?: string;
}

export const promptLength = 32;
export const decodedTokens = 24;

/** Tokens of prompts: any will do, all rivals get these. */
export const tokenAt = (i: number, vocabulary: number): number => (i * 7919 + 13) % vocabulary;
const prompt = (length: number, vocabulary: number): number[] => Array.from({ length }, (_, i) => tokenAt(i, vocabulary));
const tokenTensor = (batch: number, length: number, vocabulary: number): Tensor =>
  torch.tensor(prompt(batch * length, vocabulary).map(BigInt)).view(batch, length);

function inputs(file: string, make: () => Record<string, Tensor>): Record<string, Tensor> {
  if (existsSync(file)) return Object.fromEntries(load_file(file));
  torch.manual_seed(20_261_124);
  const made = torch.no_grad(make);
  save_file(made, file);
  return made;
}

function weights(model: nn.Module, file: string): void {
  if (existsSync(file)) model.load_state_dict(load_file(file));
  else save_file(model.state_dict(), file);
}

export function repeat(work: () => unknown): (budget: number) => Sample {
  return (budget) => {
    const begin = performance.now();
    let calls = 0;
    let seconds = 0;
    do {
      work();
      calls++;
      seconds = (performance.now() - begin) / 1000;
    } while (seconds < budget);
    return { calls, seconds };
  };
}

/** A function of tensors, without gradients: its results are computed at every call. */
function pure(file: string, make: () => Record<string, Tensor>, call: (t: Record<string, Tensor>) => Tensor | readonly Tensor[]): Prepared {
  const given = inputs(file, make);
  const once = (): Tensor[] =>
    torch.no_grad(() => {
      const results = [call(given)].flat() as Tensor[];
      torch.synchronize();
      return results;
    });
  return { outputs: once, sample: repeat(once) };
}

/** Values and the indices they come from. Which of two equal ones is first is left open: instead of the indices, what they point at is compared. */
function sorted(file: string, make: () => Record<string, Tensor>, call: (x: Tensor) => readonly [Tensor, Tensor]): Prepared {
  const { x } = inputs(file, make) as { x: Tensor };
  const once = (): readonly [Tensor, Tensor] => {
    const results = torch.no_grad(() => call(x));
    torch.synchronize();
    return results;
  };
  return {
    outputs: () => {
      const [values, indices] = once();
      return [values, x.gather(-1, indices)];
    },
    sample: repeat(once),
  };
}

function inPlace(file: string, call: (x: Tensor) => Tensor): Prepared {
  const { x } = inputs(file, () => ({ x: torch.randn(elements) })) as { x: Tensor };
  const out = torch.zeros(elements);
  const once = (): Tensor[] => {
    torch.no_grad(() => out.copy_(call(x)));
    torch.synchronize();
    return [out];
  };
  return { outputs: once, sample: repeat(() => once()) };
}

const square = (): Record<string, Tensor> => ({ x: torch.randn(4096, 4096) });

function bert(file: string): Bert {
  torch.manual_seed(1);
  const model = new Bert();
  weights(model, file);
  return model;
}

function bertForward(file: string): Prepared {
  const model = bert(file).eval();
  const tokens = tokenTensor(1, 128, bertVocabulary);
  const once = (): Tensor[] => {
    const hidden = torch.no_grad(() => model(tokens));
    torch.synchronize();
    return [hidden];
  };
  return { outputs: once, sample: repeat(() => once()) };
}

function bertStep(file: string): Prepared {
  const model = bert(file);
  const tokens = tokenTensor(4, 128, bertVocabulary);
  const targets = tokenTensor(4, 129, bertVocabulary).narrow(1, 1, 128).contiguous();
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-4 });
  const outputs = (): Tensor[] => {
    model.eval();
    const loss = model.loss(tokens, targets);
    loss.backward();
    const gradients = [model.head.weight, model.tokens.weight, [...model.layers][0]!.qkv.weight].map((p) => p.grad!.clone());
    torch.synchronize();
    optimizer.zero_grad();
    model.train();
    return [loss.detach(), ...gradients];
  };
  const step = (): void => {
    const loss = model.loss(tokens, targets);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    torch.synchronize();
  };
  return { outputs, sample: repeat(step) };
}

function gpt2(file: string, bf16: boolean): GPT2LMHeadModel {
  torch.manual_seed(2);
  const model = new GPT2LMHeadModel(
    gpt2Config({
      n_layer: layers,
      n_head: heads,
      n_embd: width,
      vocab_size: gptVocabulary,
      n_positions: 1024,
      activation_function: 'gelu_new',
    }),
  );
  weights(model, file);
  if (bf16) model.to(torch.bfloat16);
  return model.eval();
}

type Model = Parameters<typeof generate>[0];

/** Tokens after the first; the prompt is not counted. */
async function timedTokens(model: Model, ids: readonly number[]): Promise<Sample> {
  let begin = 0;
  let calls = -1;
  for await (const _ of generate(model, ids, { max_new_tokens: decodedTokens + 1, stop_tokens: [] })) {
    if (calls++ < 0) begin = performance.now();
  }
  return { calls, seconds: (performance.now() - begin) / 1000 };
}

function gptDecode(file: string, bf16: boolean): Prepared {
  const model = gpt2(file, bf16);
  const ids = prompt(promptLength, gptVocabulary);
  return {
    // The logits behind the prompt, and those behind one more given token.
    outputs: () => {
      const cache = model.make_cache(1, 256);
      const logits = (tokens: number[], position: number): Tensor =>
        torch.no_grad(() => model(torch.tensor([tokens.map(BigInt)]), { cache, position, logits_to_keep: 1 }).logits.float());
      const first = logits(ids, 0);
      torch.synchronize();
      return [first, logits([11], promptLength)];
    },
    sample: () => timedTokens(model as unknown as Model, ids),
  };
}

function gptPrefill(file: string, bf16: boolean): Prepared {
  const model = gpt2(file, bf16);
  const tokens = tokenTensor(1, 128, gptVocabulary);
  const once = (): Tensor[] => {
    const logits = torch.no_grad(() => model(tokens, { cache: model.make_cache(1, 256), position: 0, logits_to_keep: 1 }).logits);
    torch.synchronize();
    return [logits];
  };
  return { outputs: () => once().map((t) => t.float()), sample: repeat(() => once()) };
}

/** "The history of the lighthouse begins long before electricity. Fires were lit on hilltops to guide ships home at night. In Alexandria, a great tower ..." */
export const smolPrompt: readonly number[] = [
  504, 1463, 282, 260, 33059, 5634, 986, 1092, 4866, 30, 426, 1946, 592, 1150, 335, 13083, 33959, 288, 3948, 7761, 1478, 418, 3163, 30, 533,
  23472, 28, 253, 1109, 11637, 436, 2837, 28, 284, 357, 436, 1137, 338, 624, 1420, 856, 325, 2269, 429, 1869, 578, 418, 3426, 30, 10893, 28,
  303, 11935, 10483, 592, 2837, 282, 5692, 335, 7739, 284, 27372, 28, 351, 20067, 338, 11785, 2664, 30, 5545, 366, 4161, 281, 601, 351, 480,
  3168, 28, 7811, 260, 13690, 284, 37640, 260, 267, 5381, 897, 9053, 30, 1550, 260, 19998, 2422, 281, 28, 502, 43780, 253, 13095, 30, 4104,
  768, 303, 11935, 10483, 1658, 411, 2253, 28, 284, 480, 42805, 457, 7270, 30, 1249, 800, 701, 1361, 3048, 601, 28, 288, 16380, 260, 24224,
  284, 1492,
];

function smol(gguf: string | undefined, work: 'decode' | 'prefill'): Prepared {
  if (gguf === undefined) throw new Error('the GGUF file is not there');
  const model = from_gguf(gguf);
  const ids = smolPrompt.slice(0, work === 'decode' ? promptLength : 128);
  const tokens = torch.tensor([ids.map(BigInt)]);
  const answer = async (): Promise<Tensor[]> => {
    const made: number[] = [];
    for await (const token of generate(model as unknown as Model, ids, { max_new_tokens: 8, stop_tokens: [] })) made.push(token as number);
    return [torch.tensor(made)];
  };
  const once = (): void => {
    const logits = torch.no_grad(() => model(tokens, { cache: model.make_cache(1, 256), position: 0, logits_to_keep: 1 }).logits);
    torch.no_grad(() => logits.argmax(-1)).item();
  };
  return { outputs: answer, sample: work === 'decode' ? () => timedTokens(model as unknown as Model, ids) : repeat(once) };
}

function embeddingGradient(file: string): Prepared {
  const given = inputs(file, () => ({ weight: torch.randn(bertVocabulary, width), factor: torch.randn(4096, width) })) as Record<
    'weight' | 'factor',
    Tensor
  >;
  const weight = given.weight.requires_grad_();
  const tokens = tokenTensor(1, 4096, bertVocabulary).view(4096);
  const once = (): Tensor[] => {
    const [gradient] = torch.autograd.grad(F.embedding(tokens, weight).mul(given.factor).sum(), [weight]) as [Tensor];
    torch.synchronize();
    return [gradient];
  };
  return { outputs: once, sample: repeat(() => once()) };
}

function operatorCall(file: string): Prepared {
  const { x, y } = inputs(file, () => ({ x: torch.randn(16), y: torch.randn(16) })) as { x: Tensor; y: Tensor };
  const calls = 1000;
  return {
    outputs: () => [x.add(y)],
    sample: (budget) => {
      let [total, seconds] = [0, 0];
      while (seconds < budget) {
        torch.synchronize();
        const begin = performance.now();
        for (let i = 0; i < calls; i++) x.add(y);
        seconds += (performance.now() - begin) / 1000;
        total += calls;
      }
      return { calls: total, seconds };
    },
  };
}

const approximate = { approximate: 'tanh' } as const;

/** Throws for a row that is not there. */
export function prepare(id: string, { file, gguf }: Place): Prepared {
  switch (id) {
    case 'sgemm-1024':
    case 'sgemm-2048': {
      const n = Number(id.slice(6));
      return pure(
        file,
        () => ({ a: torch.randn(n, n), b: torch.randn(n, n) }),
        ({ a, b }) => a.mm(b),
      );
    }
    case 'gelu-erf-fresh':
      return pure(
        file,
        () => ({ x: torch.randn(elements) }),
        ({ x }) => F.gelu(x.mul(1.5).add(0.25)),
      );
    case 'gelu-tanh-fresh':
      return pure(
        file,
        () => ({ x: torch.randn(elements) }),
        ({ x }) => F.gelu(x.mul(1.5).add(0.25), approximate),
      );
    case 'gelu-erf-into':
      return inPlace(file, (x) => F.gelu(x.mul(1.5).add(0.25)));
    case 'gelu-tanh-into':
      return inPlace(file, (x) => F.gelu(x.mul(1.5).add(0.25), approximate));
    case 'softmax':
      return pure(file, square, ({ x }) => F.softmax(x, -1));
    case 'layer-norm':
      return pure(
        file,
        () => ({ ...square(), weight: torch.randn(4096), bias: torch.randn(4096) }),
        ({ x, weight, bias }) => F.layer_norm(x, [4096], weight, bias),
      );
    case 'bert-forward':
      return bertForward(file);
    case 'bert-step':
      return bertStep(file);
    case 'gpt2-decode-fp32':
    case 'gpt2-decode-bf16':
      return gptDecode(file, id.endsWith('bf16'));
    case 'gpt2-prefill-fp32':
    case 'gpt2-prefill-bf16':
      return gptPrefill(file, id.endsWith('bf16'));
    case 'smollm2-decode':
      return smol(gguf, 'decode');
    case 'smollm2-prefill':
      return smol(gguf, 'prefill');
    case 'sort':
      return sorted(
        file,
        () => ({ x: torch.randn(1 << 20) }),
        (x) => torch.sort(x) as unknown as readonly [Tensor, Tensor],
      );
    case 'sort-rows':
      return sorted(
        file,
        () => ({ x: torch.randn(1024, 1024) }),
        (x) => torch.sort(x, 1) as unknown as readonly [Tensor, Tensor],
      );
    case 'topk':
      return sorted(
        file,
        () => ({ x: torch.randn(64, gptVocabulary) }),
        (x) => torch.topk(x, 50) as unknown as readonly [Tensor, Tensor],
      );
    case 'cumsum':
      return pure(file, square, ({ x }) => torch.cumsum(x, 1));
    case 'fft':
      return pure(
        file,
        () => ({ re: torch.randn(1024, 1024), im: torch.randn(1024, 1024) }),
        ({ re, im }) => torch.fft.fft(torch.complex(re, im)),
      );
    case 'rfft':
      return pure(
        file,
        () => ({ x: torch.randn(1 << 20) }),
        ({ x }) => torch.fft.rfft(x),
      );
    case 'transpose':
      return pure(file, square, ({ x }) => x.t().contiguous());
    case 'permute':
      return pure(
        file,
        () => ({ x: torch.randn(64, 128, 12, 64) }),
        ({ x }) => x.permute(0, 2, 1, 3).contiguous(),
      );
    case 'embedding-gradient':
      return embeddingGradient(file);
    case 'operator-call':
      return operatorCall(file);
    default:
      throw new Error(`no row is called ${id}`);
  }
}
