/**
 * The model: a GPT as in nanoGPT. Learned token and position embeddings, pre-norm blocks of causal self-attention and a
 * four times wider GELU network, a last LayerNorm, and a head that is not tied to the embedding.
 *
 * Initialization and the choice of what decays follow nanoGPT (https://github.com/karpathy/nanoGPT). It has no dropout: a minute of
 * training never sees the text often enough to overfit. `bench/start_torch.py` is this file in Python; keep them alike.
 */
import torch, { nn, optim, type Tensor } from '../index.ts';

const F = nn.functional;

export interface GptConfig {
  readonly vocabulary: number;
  readonly layers: number;
  readonly heads: number;
  readonly width: number;
  readonly context: number;
}

class SelfAttention extends nn.Module {
  readonly heads: number;
  qkv: nn.Linear;
  projection: nn.Linear;

  constructor(width: number, heads: number) {
    super();
    this.heads = heads;
    this.qkv = new nn.Linear(width, 3 * width);
    this.projection = new nn.Linear(width, width);
  }

  override forward(x: Tensor): Tensor {
    const [batch, length, width] = x.shape as [number, number, number];
    const [q, k, v] = this.qkv(x)
      .view(batch, length, 3, this.heads, width / this.heads)
      .permute(2, 0, 3, 1, 4)
      .unbind(0) as [Tensor, Tensor, Tensor];
    const attended = F.scaled_dot_product_attention(q, k, v, { is_causal: true });
    return this.projection(attended.transpose(1, 2).reshape(batch, length, width));
  }
}

class Block extends nn.Module {
  norm1: nn.LayerNorm;
  attention: SelfAttention;
  norm2: nn.LayerNorm;
  widen: nn.Linear;
  narrow: nn.Linear;

  constructor(width: number, heads: number) {
    super();
    this.norm1 = new nn.LayerNorm(width);
    this.attention = new SelfAttention(width, heads);
    this.norm2 = new nn.LayerNorm(width);
    this.widen = new nn.Linear(width, 4 * width);
    this.narrow = new nn.Linear(4 * width, width);
  }

  override forward(x: Tensor): Tensor {
    const attended = x.add(this.attention(this.norm1(x)));
    return attended.add(this.narrow(F.gelu(this.widen(this.norm2(attended)))));
  }
}

export class Gpt extends nn.Module {
  readonly config: GptConfig;
  token: nn.Embedding;
  position: nn.Embedding;
  blocks: nn.ModuleList<Block>;
  norm: nn.LayerNorm;
  head: nn.Linear;

  constructor(config: GptConfig) {
    super();
    this.config = config;
    this.token = new nn.Embedding(config.vocabulary, config.width);
    this.position = new nn.Embedding(config.context, config.width);
    this.blocks = new nn.ModuleList(Array.from({ length: config.layers }, () => new Block(config.width, config.heads)));
    this.norm = new nn.LayerNorm(config.width);
    this.head = new nn.Linear(config.width, config.vocabulary, { bias: false });
    this.#initialize();
  }

  /** Token numbers `[batch, length]`, int64, to logits `[batch, length, vocabulary]`. */
  override forward(tokens: Tensor): Tensor {
    const positions = torch.arange(tokens.size(1), { device: tokens.device });
    let x = this.token(tokens).add(this.position(positions));
    for (const block of this.blocks) x = block(x);
    return this.head(this.norm(x));
  }

  /** Normal with deviation 0.02, projections into the residual stream narrower with depth, biases zero. */
  #initialize(): void {
    const residual = 0.02 / Math.sqrt(2 * this.config.layers);
    for (const [name, parameter] of this.named_parameters()) {
      if (name.endsWith('bias')) nn.init.zeros_(parameter);
      else if (parameter.dim() >= 2) nn.init.normal_(parameter, 0, /(projection|narrow)\.weight$/.test(name) ? residual : 0.02);
    }
  }
}

/** AdamW with decay on matrices only: norms and biases have no reason to be small. */
export function makeOptimizer(model: Gpt, lr: number): optim.AdamW {
  const parameters = model.parameters();
  return new optim.AdamW(
    [
      { params: parameters.filter((parameter) => parameter.dim() >= 2), weight_decay: 0.1 },
      { params: parameters.filter((parameter) => parameter.dim() < 2), weight_decay: 0 },
    ],
    { lr, betas: [0.9, 0.95] },
  );
}

export function languageLoss(model: Gpt, inputs: Tensor, targets: Tensor): Tensor {
  return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten());
}

/**
 * Tokens one after the other, sampled with torch's generator. The window is always a full context wide, padded on the right (a
 * causal model does not see what comes later), so that all calls are one program; the wanted row is picked by an index.
 */
export function* generate(model: Gpt, prompt: ArrayLike<number>, count: number, temperature: number): Generator<number> {
  const { context } = model.config;
  const tokens = Array.from(prompt);
  if (tokens.length === 0) tokens.push(0);
  for (let made = 0; made < count; made++) {
    const window = tokens.slice(-context);
    const padded = new BigInt64Array(context);
    for (let at = 0; at < window.length; at++) padded[at] = BigInt(window[at]!);
    const next = torch.no_grad(() => {
      const device = model.head.weight.device;
      const logits = model(torch.tensor(padded, { device }).view(1, context)).view(context, -1);
      const row = logits.index_select(0, torch.tensor([BigInt(window.length - 1)], { device }));
      if (temperature === 0) return row.argmax();
      return torch.multinomial(F.softmax(row.div(temperature), -1), 1);
    });
    const token = Number(next.item());
    tokens.push(token);
    yield token;
  }
}
