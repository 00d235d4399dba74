"""The GPT of src/cli/gpt.ts and the loop of src/cli/train.ts in PyTorch (eager): the rival of `npm run bench -- --suite start`.

Same model, initialization, data, optimizer and schedule; only the order of the batches differs. The last line is JSON with
the keys that `npm start -- --json` prints. Alone: python bench/start_torch.py --text FILE --seconds 60
"""
import argparse
import json
import math
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.narrow(F.gelu(self.widen(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, vocabulary, layers, heads, width, context):
        super().__init__()
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() >= 2:
                residual = name.endswith(("projection.weight", "narrow.weight"))
                nn.init.normal_(parameter, 0, 0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.size(1)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def loss_of(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--text", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--context", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1337)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    text = open(options.text, encoding="utf-8", newline="").read()
    characters = sorted(set(text))
    numbers = {character: index for index, character in enumerate(characters)}
    tokens = torch.tensor([numbers[character] for character in text])
    border = int(len(tokens) * 0.9)
    training, held_out = tokens[:border], tokens[border:]

    model = Gpt(len(characters), options.layers, options.heads, options.width, options.context)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": 0.1},
            {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=options.lr,
        betas=(0.9, 0.95),
    )

    window = torch.arange(options.context)
    unmeasured, peak, total = 4, options.lr, options.steps
    losses, step, step_seconds, measured_steps, begun = [], 0, 0.0, 0, time.perf_counter()
    while total is None or step < total:
        started = time.perf_counter()
        warmup = 100 if total is None else max(1, min(100, total // 10))
        if step < warmup:
            rate = peak * (step + 1) / warmup
        elif total is None:
            rate = peak
        else:
            rate = peak * 0.5 * (1 + math.cos(math.pi * min(1, (step - warmup) / max(1, total - warmup))))
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(training) - options.context, (options.batch, 1))
        optimizer.zero_grad()
        loss = loss_of(model, training[starts + window], training[starts + window + 1])
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
        step += 1
        now = time.perf_counter()
        if step > unmeasured:
            step_seconds += now - started
            measured_steps += 1
        elapsed = now - begun
        if total is None:
            if elapsed >= options.seconds:
                total = step
            elif measured_steps > 0 and elapsed >= options.seconds / 10:
                total = step + max(0, round((options.seconds - elapsed) / (step_seconds / measured_steps)))

    with torch.no_grad():
        count = (len(held_out) - 1) // options.context
        rows = min(options.batch, count)
        sums = []
        for batch in range(count // rows):
            starts = (batch * rows + torch.arange(rows)[:, None]) * options.context
            sums.append(loss_of(model, held_out[starts + window], held_out[starts + window + 1]).item())
    recent = losses[-100:]
    print(
        json.dumps(
            {
                "isa": torch.backends.cpu.get_cpu_capability(),
                "threads": torch.get_num_threads(),
                "steps": step,
                "tokensPerSecond": measured_steps * options.batch * options.context / step_seconds,
                "trainingLoss": sum(recent) / len(recent),
                "heldOutLoss": sum(sums) / len(sums),
                "wallSeconds": time.perf_counter() - begun,
            }
        )
    )


main()
