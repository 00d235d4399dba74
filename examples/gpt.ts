/**
 * The whole of training a character GPT in one page, on any text: `npm run example gpt [FILE]`. (`npm start` is the same with a progress bar,
 * held-out text, checkpoints and a report.)
 */
import { readFileSync } from 'node:fs';
import torch, { nn, optim, type Tensor } from 'torch-magpie';

const F = nn.functional;
const [width, heads, layers, context, batch] = [64, 4, 2, 64, 16];

class Block extends nn.Module {
  norm1 = new nn.LayerNorm(width);
  qkv = new nn.Linear(width, 3 * width);
  projection = new nn.Linear(width, width);
  norm2 = new nn.LayerNorm(width);
  mlp = new nn.Sequential(new nn.Linear(width, 4 * width), new nn.GELU(), new nn.Linear(4 * width, width));
  override forward(x: Tensor): Tensor {
    const [b, t] = x.shape;
    const [q, k, v] = this.qkv(this.norm1(x))
      .view(b, t, 3, heads, width / heads)
      .permute(2, 0, 3, 1, 4)
      .unbind(0);
    const attended = F.scaled_dot_product_attention(q, k, v, { is_causal: true });
    const h = x.add(this.projection(attended.transpose(1, 2).reshape(b, t, width)));
    return h.add(this.mlp(this.norm2(h)));
  }
}
class Gpt extends nn.Module {
  token: nn.Embedding;
  position = new nn.Embedding(context, width);
  blocks = new nn.ModuleList(Array.from({ length: layers }, () => new Block()));
  norm = new nn.LayerNorm(width);
  head: nn.Linear;
  constructor(vocabulary: number) {
    super();
    this.token = new nn.Embedding(vocabulary, width);
    this.head = new nn.Linear(width, vocabulary);
  }
  override forward(tokens: Tensor): Tensor {
    let x = this.token(tokens).add(this.position(torch.arange(tokens.size(1))));
    for (const block of this.blocks) x = block(x);
    return this.head(this.norm(x));
  }
}

const text = readFileSync(process.argv[2] ?? new URL(import.meta.url), 'utf8');
const alphabet = [...new Set(text)].sort();
const codes = new Map(alphabet.map((c, i) => [c, i] as const));
const data = torch.tensor(BigInt64Array.from(text, (c) => BigInt(codes.get(c)!)));
torch.manual_seed(2);
const model = new Gpt(alphabet.length);
const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3 });

const steps = Number(process.env['STEPS'] ?? 300);
for (let step = 0; step <= steps; step++) {
  const starts = torch.randint(data.size(0) - context - 1, [batch, 1]);
  const windows = data.at(starts.add(torch.arange(context + 1)));
  const logits = model(windows.at(':, :-1'));
  const loss = F.cross_entropy(logits.flatten(0, 1), windows.at(':, 1:').flatten());
  optimizer.zero_grad();
  loss.backward();
  nn.utils.clip_grad_norm_(model.parameters(), 1);
  optimizer.step();
  if (step % 100 === 0) console.log(`step ${step}: ${loss.item().toFixed(3)} nats a character`);
}

let tokens = torch.zeros(1, 1, { dtype: torch.int64 });
torch.no_grad(() => {
  for (let i = 0; i < 200; i++) {
    const seen = tokens.narrow(1, Math.max(0, tokens.size(1) - context), Math.min(context, tokens.size(1)));
    const probabilities = model(seen).select(1, -1).softmax(-1);
    tokens = torch.cat([tokens, torch.multinomial(probabilities, 1)], 1);
  }
});
console.log((tokens.at(0).tolist() as number[]).map((i) => alphabet[i]).join(''));
