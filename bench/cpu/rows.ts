/**
 * The rows of the suite `cpu`: what is computed, exactly; what a call of it moves and multiplies; who else computes it; how closely the
 * outputs have to agree.
 *
 * `limitSeconds` is the least time of a call on a machine with the measured limits: operations over the peak, or bytes over the bandwidth, or
 * both one after the other where a part of the work is of each kind. The code of a row is in `our-rows.ts` and `torch_worker.py` under the same name.
 */
import type { MachineLimits } from './limits.ts';

export type RivalName = 'PyTorch' | 'onnxruntime-node' | 'llama.cpp';

export interface Row {
  readonly id: string;
  readonly title: string;
  /** The exact graph, for the document. */
  readonly graph: string;
  readonly unit: string;
  /** Units of one call. */
  readonly work: number;
  readonly rivals: readonly RivalName[];
  /** Largest difference of outputs from PyTorch's (llama.cpp's tokens), relative to the largest of them. */
  readonly tolerance: number;
  readonly limit?: string;
  readonly limitSeconds?: (machine: MachineLimits) => number;
  /** Ratios to reach, as the issue has them. */
  readonly goals?: Readonly<Partial<Record<RivalName, number>>>;
  /** Share of the limit to reach. */
  readonly shareGoal?: number;
  /** Rows with the same weights: they are written once. */
  readonly weights?: string;
}

export const elements = 16 * 1024 * 1024;
export const layers = 6;
export const width = 768;
export const heads = 12;
export const gptVocabulary = 50_257;
export const bertVocabulary = 30_522;

const layerParameters = 4 * width * width + 2 * width * 4 * width;
const blockParameters = layers * layerParameters;
/** Operations of the two products of attention, all layers, without a mask. */
const attention = (batch: number, length: number): number => layers * batch * 2 * 2 * length * length * width;
const forward = (tokens: number, head: number): number => 2 * tokens * (blockParameters + head);
const bertHead = width * bertVocabulary;
const bertParameters =
  bertVocabulary * width + 512 * width + blockParameters + layers * (9 * width + 4 * width) + 2 * width + bertHead + bertVocabulary;
/** Forward, and twice as much backward; AdamW reads weight, gradient and two moments, and writes three. */
const stepOperations = 3 * (forward(512, bertHead) + attention(4, 128));
const adamBytes = 7 * 4 * bertParameters;
const gptDecodeWeights = blockParameters + gptVocabulary * width;
const smolBytes = 98.3e6;
const smolParameters = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536);

const overPeak =
  (operations: number) =>
  ({ peak }: MachineLimits): number =>
    operations / peak;
const overRead =
  (bytes: number) =>
  ({ read }: MachineLimits): number =>
    bytes / read;
/** Read once and written once. */
const overCopy =
  (bytes: number) =>
  ({ copy }: MachineLimits): number =>
    bytes / copy;

const gemm = (size: number): Row => ({
  id: `sgemm-${size}`,
  title: `sgemm ${size}`,
  graph: `\`a.mm(b)\`, both ${size} x ${size} fp32, normal values, a fresh result.`,
  unit: 'GFLOP/s',
  work: (2 * size ** 3) / 1e9,
  rivals: ['PyTorch'],
  tolerance: 1e-5,
  limit: 'FMA peak',
  limitSeconds: overPeak(2 * size ** 3),
  ...(size === 2048 ? { goals: { PyTorch: 0.92 } } : {}),
});

const gelu = (form: 'erf' | 'tanh', into: boolean): Row => ({
  id: `gelu-${form}-${into ? 'into' : 'fresh'}`,
  title: `gelu(x*a+b), ${form}, ${into ? 'into existing memory' : 'fresh result'}`,
  graph: `\`F.gelu(x * 1.5 + 0.25${form === 'tanh' ? ", approximate='tanh'" : ''})\` of 16,777,216 fp32 elements${
    into
      ? '; ours `out.copy_(...)`, PyTorch `torch.mul(x, 1.5, out=out); out.add_(0.25); gelu(out, out=out)`.'
      : ', a fresh result each time; PyTorch eager.'
  }`,
  unit: 'calls/s',
  work: 1,
  rivals: ['PyTorch'],
  tolerance: 2e-6,
  limit: 'copy bandwidth',
  limitSeconds: overCopy(8 * elements),
  ...(form === 'erf' && into ? { goals: { PyTorch: 2.2 } } : {}),
});

const plain = (id: string, title: string, graph: string, bytes: number | null, tolerance = 0, goal = 1 / 1.5): Row => ({
  id,
  title,
  graph,
  unit: 'calls/s',
  work: 1,
  rivals: ['PyTorch'],
  tolerance,
  goals: { PyTorch: goal },
  ...(bytes === null ? {} : { limit: 'copy bandwidth', limitSeconds: overCopy(bytes) }),
});

const bertGraph =
  'token + position embedding, LayerNorm, 6 post-norm encoder layers (768 wide, 12 heads, 3,072 in the network, erf-gelu), no mask';
const gptGraph = 'GPT-2 of 6 layers, 768 wide, 12 heads, pre-norm, tanh-gelu, tied head of 50,257, no dropout, random weights';

const decode = (dtype: 'fp32' | 'bf16'): Row => ({
  id: `gpt2-decode-${dtype}`,
  title: `GPT-2 6/768 decode, ${dtype}`,
  graph: `${gptGraph}, weights and cache ${dtype}; 24 greedy tokens after the first behind a prompt of 32, batch 1, the cache in memory that is there. Ours \`for await (const token of generate(model, prompt))\`.`,
  unit: 'tokens/s',
  work: 1,
  rivals: dtype === 'fp32' ? ['PyTorch', 'onnxruntime-node'] : ['PyTorch'],
  tolerance: dtype === 'fp32' ? 1e-4 : 0.05,
  limit: 'read bandwidth',
  limitSeconds: overRead(gptDecodeWeights * (dtype === 'fp32' ? 4 : 2)),
  weights: 'gpt2',
  ...(dtype === 'fp32' ? { shareGoal: 0.85 } : { goals: { PyTorch: 1.5 } }),
});

const prefill = (dtype: 'fp32' | 'bf16'): Row => ({
  id: `gpt2-prefill-${dtype}`,
  title: `GPT-2 6/768 prefill of 128, ${dtype}`,
  graph: `${gptGraph}, ${dtype}; 128 tokens at once into an empty cache, logits of the last one.`,
  unit: 'calls/s',
  work: 1,
  rivals: dtype === 'fp32' ? ['PyTorch', 'onnxruntime-node'] : ['PyTorch'],
  tolerance: dtype === 'fp32' ? 1e-4 : 0.05,
  limit: dtype === 'fp32' ? 'FMA peak' : 'bf16 peak',
  limitSeconds: ({ peak, peakBf16 }) => (2 * 128 * blockParameters + attention(1, 128)) / (dtype === 'fp32' ? peak : peakBf16),
  weights: 'gpt2',
  goals: { PyTorch: dtype === 'fp32' ? 1.3 : 1 },
});

export const rows: readonly Row[] = [
  gemm(1024),
  gemm(2048),
  gelu('erf', false),
  gelu('erf', true),
  gelu('tanh', false),
  gelu('tanh', true),
  {
    ...plain('softmax', 'softmax 4096x4096', '`F.softmax(x, -1)` of 4,096 x 4,096 fp32, a fresh result.', 8 * 4096 ** 2, 2e-6),
    goals: { PyTorch: 1.4 },
  },
  {
    ...plain(
      'layer-norm',
      'layer_norm 4096x4096',
      '`F.layer_norm(x, [4096], weight, bias)` of 4,096 x 4,096 fp32, a fresh result.',
      8 * 4096 ** 2,
      1e-5,
    ),
    goals: { PyTorch: 3 },
  },
  {
    id: 'bert-forward',
    title: 'BERT 6/768, 128 tokens, forward',
    graph: `${bertGraph}; batch 1, 128 tokens, fp32, eval, without gradients, up to the last hidden states (no head).`,
    unit: 'calls/s',
    work: 1,
    rivals: ['PyTorch', 'onnxruntime-node'],
    tolerance: 1e-4,
    limit: 'FMA peak',
    limitSeconds: overPeak(forward(128, 0) + attention(1, 128)),
    goals: { PyTorch: 1, 'onnxruntime-node': 1 },
    weights: 'bert',
  },
  {
    id: 'bert-step',
    title: 'BERT 6/768, batch 4 x 128, one AdamW step',
    graph: `${bertGraph}; dropout 0.1 after the embedding, on attention weights and after both halves of a layer; a head of 768 x 30,522 with bias and cross-entropy over all positions; forward, zero_grad, backward, AdamW (lr 1e-4, PyTorch's fused), fp32. Outputs are compared without dropout: loss and gradients.`,
    unit: 'steps/s',
    work: 1,
    rivals: ['PyTorch'],
    tolerance: 1e-3,
    limit: 'FMA peak, AdamW at copy bandwidth',
    limitSeconds: ({ peak, copy }) => stepOperations / peak + adamBytes / copy,
    goals: { PyTorch: 1.3 },
    weights: 'bert',
  },
  decode('fp32'),
  decode('bf16'),
  prefill('fp32'),
  prefill('bf16'),
  {
    id: 'smollm2-decode',
    title: 'SmolLM2-135M Q4_1 decode',
    graph:
      'SmolLM2-135M-Instruct.Q4_1.gguf, blocks kept as they are in the file; 24 greedy tokens after the first behind a prompt of 32 tokens, batch 1. llama.cpp through node-llama-cpp, flash attention as it decides.',
    unit: 'tokens/s',
    work: 1,
    rivals: ['llama.cpp'],
    tolerance: 0,
    limit: 'read bandwidth',
    limitSeconds: overRead(smolBytes),
    goals: { 'llama.cpp': 1.3 },
  },
  {
    id: 'smollm2-prefill',
    title: 'SmolLM2-135M Q4_1 prefill of 128',
    graph: 'The same file; 128 tokens at once into an empty cache, then one token.',
    unit: 'calls/s',
    work: 1,
    rivals: ['llama.cpp'],
    tolerance: 0,
    limit: 'fp32 FMA peak (integer products may pass it)',
    limitSeconds: overPeak(2 * 128 * smolParameters),
    goals: { 'llama.cpp': 1.5 },
  },
  plain('sort', 'sort of 1,048,576', '`torch.sort(x)` of 1,048,576 fp32 normal values in one row: values and indices.', null),
  plain('sort-rows', 'sort of 1024 rows of 1024', '`torch.sort(x, 1)` of 1,024 x 1,024 fp32: values and indices.', null),
  plain('topk', 'topk 50 of 50,257, 64 rows', '`torch.topk(x, 50)` of 64 x 50,257 fp32: values and indices.', null),
  plain('cumsum', 'cumsum 4096x4096', '`torch.cumsum(x, 1)` of 4,096 x 4,096 fp32.', 8 * 4096 ** 2, 1e-4),
  plain('fft', 'fft of 1024 rows of 1024', '`torch.fft.fft(x)` of 1,024 x 1,024 complex64.', 16 * 1024 ** 2, 1e-5),
  plain('rfft', 'rfft of 1,048,576', '`torch.fft.rfft(x)` of 1,048,576 fp32.', 8 * 1024 ** 2, 1e-5),
  plain('transpose', 'transpose 4096x4096', '`x.t().contiguous()` of 4,096 x 4,096 fp32.', 8 * 4096 ** 2, 0, 1),
  plain('permute', 'heads to the front', '`x.permute(0, 2, 1, 3).contiguous()` of 64 x 128 x 12 x 64 fp32.', 8 * 64 * 128 * 768, 0, 1),
  plain(
    'embedding-gradient',
    'embedding gradient 30,522 x 768, 4,096 tokens',
    '`F.embedding(tokens, weight)` and the gradient of its product with a constant, dense, 30,522 x 768 fp32; every gradient a fresh tensor.',
    4 * bertVocabulary * width + 2 * 4 * 4096 * width,
    1e-5,
    1,
  ),
  {
    id: 'operator-call',
    title: 'operator call',
    graph: '`x.add(y)` of 16 floats: ours records a graph node and computes nothing; PyTorch eager computes. One thread is used.',
    unit: 'calls/us',
    work: 1e-6,
    rivals: ['PyTorch'],
    tolerance: 0,
    limit: 'the goal of 0.3 us',
    limitSeconds: () => 0.3e-6,
  },
];

/** Two rows that are no calls in a worker but processes of their own. */
export const processRows = [
  {
    id: 'import',
    title: 'import to first result',
    graph:
      'A new process that imports the library, computes `(ones(2, 2) @ ones(2, 2)).sum()` and prints it: wall time until it has ended.',
  },
  {
    id: 'main-job',
    title: 'the main job',
    graph:
      'The character GPT of `npm start` (3 layers, 3 heads, width 96, context 96, batch 16, AdamW with clipping) on Moby Dick against `bench/start_torch.py`, PyTorch eager: the suite `start`.',
  },
] as const;
