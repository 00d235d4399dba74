/**
 * A process that measures onnxruntime-node or llama.cpp (through node-llama-cpp) for the suite `cpu`; it answers as `our-worker.ts` does.
 * Usage: node node-rival-worker.js onnxruntime-node|llama.cpp MODULE-FILE THREADS. The modules are no dependencies: types are the little that is used.
 */
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import type { Sample } from './our-rows.ts';
import { decodedTokens, promptLength, smolPrompt, tokenAt } from './our-rows.ts';
import { bertVocabulary, gptVocabulary, layers } from './rows.ts';

interface OrtTensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}
interface OrtSession {
  run(feeds: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>>;
}
interface Ort {
  readonly Tensor: new (type: string, data: ArrayLike<number> | BigInt64Array | Float32Array, dims: readonly number[]) => OrtTensor;
  readonly InferenceSession: { create(file: string, options: object): Promise<OrtSession> };
}
interface LlamaSequence {
  evaluate(tokens: readonly number[], options: object): AsyncGenerator<number>;
  clearHistory(): Promise<void>;
}
interface Llama {
  getLlama(options: object): Promise<{
    loadModel(options: object): Promise<{ createContext(options: object): Promise<{ getSequence(): LlamaSequence }> }>;
  }>;
}

interface Prepared {
  readonly outputs: () => Promise<object[]>;
  readonly sample: (budget: number) => Promise<Sample>;
}

type Request =
  | { readonly do: 'prepare'; readonly row: string; readonly onnx: string; readonly gguf: string }
  | { readonly do: 'sample'; readonly budget: number }
  | { readonly do: 'release' };

const [kind, moduleFile, threadsText] = process.argv.slice(2) as [string, string, string];
const threads = Number(threadsText);
const module = (await import(pathToFileURL(moduleFile).href)) as { default?: object };

/** The same sample as ours: every n-th element. */
function sampleOf(values: Float32Array, shape: readonly number[]): object {
  const stride = Math.max(1, Math.ceil(values.length / 50_000)) | 1;
  const picked = Float32Array.from({ length: Math.ceil(values.length / stride) }, (_, i) => values[i * stride]!);
  return { shape, data: Buffer.from(picked.buffer).toString('base64') };
}

async function repeat(work: () => Promise<unknown>, budget: number): Promise<Sample> {
  const begin = performance.now();
  let calls = 0;
  let seconds = 0;
  do {
    await work();
    calls++;
    seconds = (performance.now() - begin) / 1000;
  } while (seconds < budget);
  return { calls, seconds };
}

const ids = (count: number, vocabulary: number): number[] => Array.from({ length: count }, (_, i) => tokenAt(i, vocabulary));

async function prepareOrt(row: string, onnx: string): Promise<Prepared> {
  const ort = (module.default ?? module) as Ort;
  const open = (name: string): Promise<OrtSession> =>
    ort.InferenceSession.create(onnx + name, { intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
  const int64 = (values: readonly number[]): OrtTensor => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  if (row === 'bert-forward') {
    const session = await open('.onnx');
    const tokens = int64(ids(128, bertVocabulary));
    const run = (): Promise<Record<string, OrtTensor>> => session.run({ tokens });
    return {
      outputs: async () => {
        const { hidden } = await run();
        return [sampleOf(hidden!.data, hidden!.dims)];
      },
      sample: (budget) => repeat(run, budget),
    };
  }
  const [first, next] = [await open('-first.onnx'), await open('-next.onnx')];
  const positions = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);
  const start = (tokens: number[]): Promise<Record<string, OrtTensor>> =>
    first.run({ tokens: int64(tokens), positions: int64(positions(0, tokens.length)) });
  const step = (token: number, position: number, before: Record<string, OrtTensor>): Promise<Record<string, OrtTensor>> => {
    const feeds: Record<string, OrtTensor> = { tokens: int64([token]), positions: int64([position]) };
    for (let i = 0; i < 2 * layers; i++) feeds[`past${i}`] = before[`present${i}`]!;
    return next.run(feeds);
  };
  const logits = (result: Record<string, OrtTensor>): object => sampleOf(result['logits']!.data, [1, 1, gptVocabulary]);
  if (row.startsWith('gpt2-prefill')) {
    const tokens = ids(128, gptVocabulary);
    return { outputs: async () => [logits(await start(tokens))], sample: (budget) => repeat(() => start(tokens), budget) };
  }
  const prompt = ids(promptLength, gptVocabulary);
  return {
    outputs: async () => {
      const before = await start(prompt);
      return [logits(before), logits(await step(11, promptLength, before))];
    },
    sample: async () => {
      let state = await start(prompt);
      const begin = performance.now();
      for (let i = 0; i < decodedTokens; i++) {
        const { data } = state['logits']!;
        let best = 0;
        for (let k = 1; k < data.length; k++) if (data[k]! > data[best]!) best = k;
        state = await step(best, promptLength + i, state);
      }
      return { calls: decodedTokens, seconds: (performance.now() - begin) / 1000 };
    },
  };
}

let sequence: LlamaSequence | undefined;

async function prepareLlama(row: string, gguf: string): Promise<Prepared> {
  if (sequence === undefined) {
    const { getLlama } = module as unknown as Llama;
    const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error', progressLogs: false });
    const model = await llama.loadModel({ modelPath: gguf, gpuLayers: 0 });
    const context = await model.createContext({ contextSize: 256, batchSize: 256, threads: { ideal: threads, min: threads } });
    sequence = context.getSequence();
  }
  const opened = sequence;
  const evaluated = async (tokens: number[], count: number): Promise<{ made: number[]; seconds: number }> => {
    await opened.clearHistory();
    const made: number[] = [];
    let begin = performance.now();
    for await (const token of opened.evaluate(tokens, { temperature: 0, yieldEogToken: true })) {
      if (made.length === 0 && count > 1) begin = performance.now();
      if (made.push(token) === count) break;
    }
    return { made, seconds: (performance.now() - begin) / 1000 };
  };
  const prompt = smolPrompt.slice(0, row === 'smollm2-decode' ? promptLength : 128);
  return {
    outputs: async () => {
      const { made } = await evaluated(prompt, 8);
      return [sampleOf(Float32Array.from(made), [made.length])];
    },
    sample: async (budget) => {
      if (row === 'smollm2-decode') {
        const { made, seconds } = await evaluated(prompt, decodedTokens + 1);
        return { calls: made.length - 1, seconds };
      }
      return repeat(() => evaluated(prompt, 1), budget);
    },
  };
}

let prepared: Prepared | undefined;

async function answer(request: Request): Promise<object> {
  switch (request.do) {
    case 'prepare': {
      prepared = kind === 'llama.cpp' ? await prepareLlama(request.row, request.gguf) : await prepareOrt(request.row, request.onnx);
      const outputs = await prepared.outputs();
      await prepared.sample(0);
      return { outputs };
    }
    case 'sample':
      return prepared!.sample(request.budget);
    case 'release':
      prepared = undefined;
      return {};
    default:
      return request satisfies never;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply: object;
  try {
    reply = await answer(JSON.parse(line) as Request);
  } catch (error) {
    reply = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
