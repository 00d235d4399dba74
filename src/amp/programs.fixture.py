"""Records small programs under PyTorch's autocast on cpu: dtypes of what they compute, losses, gradients and weights of five AdamW steps, and the
state machine of GradScaler. Usage: python src/amp/programs.fixture.py > src/amp/programs.fixture.json

Weights are not random: element i of parameter k is sin(i + k) times a scale, so that both sides make the same.
"""
import json

import torch
from torch import nn

F = torch.nn.functional
name = lambda dtype: str(dtype).removeprefix("torch.")


def wave(shape, phase, scale=0.5):
    n = 1
    for d in shape:
        n *= d
    return torch.sin(torch.arange(n, dtype=torch.float64) * 1.7 + phase).mul(scale).to(torch.float32).reshape(shape)


def fill(module):
    with torch.no_grad():
        for k, p in enumerate(module.parameters()):
            p.copy_(wave(p.shape, k))
    return module


def flat(x):
    return [x] if isinstance(x, torch.Tensor) else [t for y in x for t in flat(y)] if isinstance(x, (list, tuple)) else []


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.b = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.b(F.gelu(self.n(self.a(x))))


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.b, self.c = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=2), nn.Linear(16, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.n(self.a(x))), 2)
        return self.c(self.b(x).flatten(1))


class Tied(nn.Module):
    """One weight, used twice and in a product of its own."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)

    def forward(self, x):
        return (self.a(torch.tanh(self.a(x))) @ self.a.weight).softmax(-1)


class First(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *x):
        return self.inner(*x)[0]


programs = {
    "Norms": (Norms, [(5, 6)]),
    "Convolutions": (Convolutions, [(3, 2, 8, 8)]),
    "Tied": (Tied, [(4, 6)]),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 5), [(6, 3), (6, 4)]),
    "LSTM": (lambda: First(nn.LSTM(4, 5, 2)), [(3, 2, 4)]),
    "GRU": (lambda: First(nn.GRU(4, 5, 2)), [(3, 2, 4)]),
    "RNN": (lambda: First(nn.RNN(4, 5)), [(3, 2, 4)]),
    "LSTMCell": (lambda: First(nn.LSTMCell(4, 5)), [(3, 4)]),
    "GRUCell": (lambda: nn.GRUCell(4, 5), [(3, 4)]),
    "MultiheadAttention": (lambda: First(nn.MultiheadAttention(8, 2)), [(3, 2, 8)] * 3),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), [(4, 2, 8)]),
    "TransformerDecoderLayer": (lambda: nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0), [(4, 2, 8), (3, 2, 8)]),
    "Embedding and norms": (lambda: nn.Sequential(nn.GroupNorm(2, 6), nn.Linear(6, 6), nn.RMSNorm(6), nn.PReLU()), [(5, 6)]),
}


def run(make, shapes):
    module = fill(make())
    inputs = [wave(s, 10 + k, 1.0) for k, s in enumerate(shapes)]
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    out = {"losses": []}
    for step in range(5):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            result = module(*inputs)
            loss = F.mse_loss(result, wave(result.shape, 99, 1.0))
        loss.backward()
        if step == 0:
            out["dtype"], out["loss"] = name(result.dtype), name(loss.dtype)
            out["result"] = result.detach().double().flatten().tolist()
            out["gradients"] = [[name(p.grad.dtype), p.grad.double().norm().item(), p.grad.double().flatten()[:4].tolist()] for p in module.parameters()]
        optimizer.step()
        out["losses"].append(loss.item())
    out["exact"] = []
    # The same in float32: how far bfloat16 takes it.
    module = fill(make())
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for step in range(5):
        optimizer.zero_grad()
        result = module(*inputs)
        loss = F.mse_loss(result, wave(result.shape, 99, 1.0))
        loss.backward()
        optimizer.step()
        out["exact"].append(loss.item())
    return out


def rounded(x):
    return float(f"{x:.6g}") if isinstance(x, float) else {k: rounded(v) for k, v in x.items()} if isinstance(x, dict) else [rounded(v) for v in x] if isinstance(x, list) else x


def scaler():
    """A script of steps, some with infinities, and what the scaler's state is after each."""
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    v = torch.nn.Parameter(torch.tensor([[0.5]]))
    optimizer = torch.optim.SGD([{"params": [w]}, {"params": [v], "lr": 0.5}], lr=0.1)
    s = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2, growth_factor=3.0, backoff_factor=0.25)
    rows = []
    for factor in [1.0, 1.0, float("inf"), 2.0, float("nan"), 1.0, 1.0, 1.0]:
        optimizer.zero_grad()
        loss = (w * factor).sum() + v.sum()
        s.scale(loss).backward()
        s.step(optimizer)
        s.update()
        rows.append([s.state_dict(), w.tolist(), v.item()])
    return rows


def errors():
    """Texts, by what was done."""
    out = {}

    def attempt(what, f):
        try:
            f()
            out[what] = None
        except Exception as e:
            out[what] = str(e)

    def fresh(scaled=True, dtype=torch.float32, grad=True):
        w = torch.nn.Parameter(torch.ones(2, dtype=dtype))
        s, o = torch.amp.GradScaler("cpu", init_scale=4.0), torch.optim.SGD([w], lr=0.1)
        if scaled:
            loss = s.scale(w.sum())
            if grad:
                loss.backward()
        return s, o

    def unscale_twice():
        s, o = fresh()
        s.unscale_(o)
        s.unscale_(o)

    def unscale_after_step():
        s, o = fresh()
        s.step(o)
        s.unscale_(o)

    def step_twice():
        s, o = fresh()
        s.step(o)
        s.step(o)

    attempt("unscale twice", unscale_twice)
    attempt("unscale after step", unscale_after_step)
    attempt("step twice", step_twice)
    attempt("step unscaled", lambda: (lambda s, o: s.step(o))(*fresh(False)))
    attempt("unscale unscaled", lambda: (lambda s, o: s.unscale_(o))(*fresh(False)))
    attempt("update unscaled", lambda: (lambda s, o: s.update())(*fresh(False)))
    attempt("update without step", lambda: (lambda s, o: s.update())(*fresh()))
    attempt("half gradients", lambda: (lambda s, o: s.step(o))(*fresh(dtype=torch.float16)))
    attempt("no gradients", lambda: (lambda s, o: s.step(o))(*fresh(grad=False)))
    attempt("closure", lambda: (lambda s, o: s.step(o, closure=lambda: 1))(*fresh()))
    attempt("new scale of two", lambda: (lambda s, o: s.update(torch.ones(2)))(*fresh()))
    attempt("outputs", lambda: torch.amp.GradScaler("cpu").scale(3))
    attempt("growth factor", lambda: torch.amp.GradScaler("cpu", growth_factor=1.0))
    attempt("backoff factor", lambda: torch.amp.GradScaler("cpu", backoff_factor=1.0))
    attempt("empty state", lambda: torch.amp.GradScaler("cpu").load_state_dict({}))
    attempt("device", lambda: torch.autocast("meta", torch.float16))
    return out


print(json.dumps({"programs": {k: rounded(run(*p)) for k, p in programs.items()}, "scaler": scaler(), "errors": errors()}, indent=1, default=str))
