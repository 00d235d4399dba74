"""The models of the suite `cpu` in PyTorch: `bert.ts` of this folder and GPT-2 with the weights of torch-magpie/models; keep them alike."""
import json
import struct

import torch
import torch.nn.functional as F
from torch import nn

LAYERS, WIDTH, HEADS = 6, 768, 12
BERT_VOCABULARY, GPT_VOCABULARY = 30522, 50257


def load_safetensors(path):
    types = {"F32": torch.float32, "I64": torch.int64, "BF16": torch.bfloat16}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        # Copied, so that every tensor lies where an allocation would lie.
        flat = torch.frombuffer(data, dtype=torch.uint8, count=end - begin, offset=begin).clone()
        tensors[name] = flat.view(types[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class BertLayer(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.projection = nn.Linear(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        mixed = self.projection(attended.transpose(1, 2).reshape(batch, length, WIDTH))
        middle = self.norm1(x + F.dropout(mixed, self.dropout, self.training))
        wide = self.narrow(F.gelu(self.widen(middle)))
        return self.norm2(middle + F.dropout(wide, self.dropout, self.training))


class Bert(nn.Module):
    def __init__(self, dropout=0.1):
        super().__init__()
        self.dropout = dropout
        self.tokens = nn.Embedding(BERT_VOCABULARY, WIDTH)
        self.positions = nn.Embedding(512, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.layers = nn.ModuleList(BertLayer(dropout) for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, BERT_VOCABULARY)

    def forward(self, tokens):
        x = self.norm(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])
        x = F.dropout(x, self.dropout, self.training)
        for layer in self.layers:
            x = layer(x)
        return x

    def loss(self, tokens, targets):
        return F.cross_entropy(self.head(self(tokens)).view(-1, BERT_VOCABULARY), targets.view(-1))


class GPT2Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.c_attn = nn.Linear(WIDTH, 3 * WIDTH)
        self.attn_proj = nn.Linear(WIDTH, WIDTH)
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.c_fc = nn.Linear(WIDTH, 4 * WIDTH)
        self.mlp_proj = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x, attend):
        batch, length, _ = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.attn_proj(attend(q, k, v).transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    """Linear layers as nn.Linear: transformers' Conv1D lays its weights out the other way, which is slower here at one token."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(GPT_VOCABULARY, WIDTH)
        self.wpe = nn.Embedding(1024, WIDTH)
        self.h = nn.ModuleList(GPT2Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH)

    def load(self, tensors):
        state = {}
        names = {"attn.c_attn": "c_attn", "attn.c_proj": "attn_proj", "mlp.c_fc": "c_fc", "mlp.c_proj": "mlp_proj"}
        for name, tensor in tensors.items():
            if name == "lm_head.weight":
                continue
            name = name.removeprefix("transformer.")
            for theirs, ours in names.items():
                if theirs in name:
                    name = name.replace(theirs, ours)
                    tensor = tensor.t().contiguous() if tensor.dim() == 2 else tensor
            state[name] = tensor
        self.load_state_dict(state)
        return self

    def make_cache(self, length=256):
        dtype = self.wte.weight.dtype
        return [torch.zeros(2, 1, HEADS, length, WIDTH // HEADS, dtype=dtype) for _ in range(LAYERS)]

    def forward(self, tokens, cache, position):
        """Logits of the last token; keys and values are written into the cache."""
        count = tokens.shape[1]
        x = self.wte(tokens) + self.wpe.weight[position : position + count]
        for block, stored in zip(self.h, cache):

            def attend(q, k, v):
                stored[0, :, :, position : position + count] = k
                stored[1, :, :, position : position + count] = v
                keys, values = stored[0, :, :, : position + count], stored[1, :, :, : position + count]
                return F.scaled_dot_product_attention(q, keys, values, is_causal=count > 1)

            x = block(x, attend)
        return F.linear(self.ln_f(x[:, -1:]), self.wte.weight)


class GPT2Step(nn.Module):
    """The form that is exported: keys and values of the past come as inputs, those up to now are outputs."""

    def __init__(self, model, first):
        super().__init__()
        self.model, self.first = model, first

    def forward(self, tokens, positions, *past):
        model = self.model
        x = model.wte(tokens) + model.wpe(positions)
        present = []
        for i, block in enumerate(model.h):

            def attend(q, k, v):
                keys = k if self.first else torch.cat([past[2 * i], k], 2)
                values = v if self.first else torch.cat([past[2 * i + 1], v], 2)
                present.extend([keys, values])
                return F.scaled_dot_product_attention(q, keys, values, is_causal=self.first)

            x = block(x, attend)
        return (F.linear(model.ln_f(x[:, -1:]), model.wte.weight), *present)
