/**
 * The BERT of the suite `cpu`, in plain code: token and position embedding, LayerNorm, six post-norm layers, and a head for training.
 * `torch_models.py` is this file in Python, with the same names of weights; keep them alike.
 */
import { nn, type Tensor } from '../../src/index.ts';
import { bertVocabulary, heads, layers, width } from './rows.ts';

const F = nn.functional;

class Layer extends nn.Module {
  readonly dropout: number;
  qkv: nn.Linear;
  projection: nn.Linear;
  norm1: nn.LayerNorm;
  widen: nn.Linear;
  narrow: nn.Linear;
  norm2: nn.LayerNorm;

  constructor(dropout: number) {
    super();
    this.dropout = dropout;
    this.qkv = new nn.Linear(width, 3 * width);
    this.projection = new nn.Linear(width, width);
    this.norm1 = new nn.LayerNorm(width);
    this.widen = new nn.Linear(width, 4 * width);
    this.narrow = new nn.Linear(4 * width, width);
    this.norm2 = new nn.LayerNorm(width);
  }

  override forward(x: Tensor): Tensor {
    const [batch, length] = x.shape as [number, number, number];
    const [q, k, v] = this.qkv(x)
      .view(batch, length, 3, heads, width / heads)
      .permute(2, 0, 3, 1, 4)
      .unbind(0) as [Tensor, Tensor, Tensor];
    const attended = F.scaled_dot_product_attention(q, k, v, { dropout_p: this.training ? this.dropout : 0 });
    const mixed = this.projection(attended.transpose(1, 2).reshape(batch, length, width));
    const middle = this.norm1(x.add(F.dropout(mixed, this.dropout, this.training)));
    const wide = this.narrow(F.gelu(this.widen(middle)));
    return this.norm2(middle.add(F.dropout(wide, this.dropout, this.training)));
  }
}

export class Bert extends nn.Module {
  readonly dropout: number;
  tokens: nn.Embedding;
  positions: nn.Embedding;
  norm: nn.LayerNorm;
  layers: nn.ModuleList<Layer>;
  head: nn.Linear;

  constructor(dropout = 0.1) {
    super();
    this.dropout = dropout;
    this.tokens = new nn.Embedding(bertVocabulary, width);
    this.positions = new nn.Embedding(512, width);
    this.norm = new nn.LayerNorm(width);
    this.layers = new nn.ModuleList(Array.from({ length: layers }, () => new Layer(dropout)));
    this.head = new nn.Linear(width, bertVocabulary);
  }

  /** Tokens `[batch, length]` to the last hidden states. */
  override forward(tokens: Tensor): Tensor {
    const length = tokens.size(1);
    const embedded = this.norm(this.tokens(tokens).add(this.positions.weight.narrow(0, 0, length)));
    let x = F.dropout(embedded, this.dropout, this.training);
    for (const layer of this.layers) x = layer(x);
    return x;
  }

  /** Cross-entropy of the head over all positions. */
  loss(tokens: Tensor, targets: Tensor): Tensor {
    return F.cross_entropy(this.head(this.forward(tokens)).view(-1, bertVocabulary), targets.view(-1));
  }
}
