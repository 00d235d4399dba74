"""The PyTorch side of `npm run bench -- --suite cuda`: weights, reference outputs and times.

    python3 cuda_rival.py FOLDER RESULT.json [--works a,b] [--device cuda] [--size full|tiny] [--effort 0|1|2]

Writes random weights of the exact shapes into FOLDER (safetensors, Hugging Face's names), which both sides load, and what PyTorch computes from
them (`reference.safetensors`). Then each workload is timed twice: eager, and as fast as PyTorch goes: `torch.compile` with CUDA graphs, the
cache in buffers whose addresses are marked static, written by index_copy_ at a position that lies on the card; fused AdamW; autocast.
effort 0: eager only; 1: reduce-overhead; 2: max-autotune too, the better of the two counts.
"""
import argparse, json, math, os, statistics, time
import torch, torch.nn as nn, torch.nn.functional as F

names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int64: "I64"}
def save_file(tensors, path):
    """safetensors, written here so that nothing but PyTorch is needed."""
    head, at = {}, 0
    for n, t in tensors.items():
        size = t.numel() * t.element_size()
        head[n] = {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + size]}; at += size
    text = json.dumps(head).encode(); text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little")); f.write(text)
        for t in tensors.values(): f.write(t.contiguous().flatten().view(torch.uint8).numpy().data)

p = argparse.ArgumentParser()
p.add_argument("folder"); p.add_argument("result")
p.add_argument("--works", default="bert,gpt2,llama,llama-long")
p.add_argument("--device", default="cuda"); p.add_argument("--size", default="full"); p.add_argument("--effort", type=int, default=1)
a = p.parse_args()
works = a.works.split(","); dev = a.device; cuda = dev == "cuda"; tiny = a.size == "tiny"
os.makedirs(a.folder, exist_ok=True)
out = {"torch": torch.__version__, "device": torch.cuda.get_device_name() if cuda else "cpu", "rows": {}, "works": {}}
refs = {}
torch.manual_seed(1)
BF, FL = torch.bfloat16, torch.float32

def sync():
    if cuda: torch.cuda.synchronize()

def timed(f, seconds=1.0, least=5, most=100):
    """Median seconds of one call, each waited for."""
    for _ in range(3): f()
    sync(); found = []; begin = time.perf_counter()
    while len(found) < least or (time.perf_counter() - begin < seconds and len(found) < most):
        t = time.perf_counter(); f(); sync(); found.append(time.perf_counter() - t)
    return statistics.median(found)

def put(row, column, seconds=None, **more):
    r = out["rows"].setdefault(row, {})
    if seconds is not None: r[column] = seconds
    r.update(more); print(row, column, seconds, more, flush=True)
    with open(a.result, "w") as f: json.dump(out, f, indent=1)

def attempt(row, column, f):
    """The best of what the effort allows; a failure is written down."""
    try: return f()
    except Exception as e:
        put(row, column, None, **{column + " failed": str(e).splitlines()[0][:200]})
        return None

modes = [[], ["reduce-overhead"], ["reduce-overhead", "max-autotune"]][a.effort]

def best(row, make):
    """`make(mode)` gives seconds; the least counts."""
    for mode in modes:
        torch._dynamo.reset()
        begin = time.perf_counter()
        s = attempt(row, mode, lambda: make(mode))
        if s is None: continue
        put(row, mode, s, **{mode + " took": round(time.perf_counter() - begin, 1)})
        r = out["rows"][row]; put(row, "best", min(s, r.get("best", math.inf)))

# ---- limits of this card
if cuda:
    x = torch.randn(256 * 2**20, device=dev); y = torch.empty_like(x)
    t = timed(lambda: y.copy_(x)); out["copy bytes/s"] = 8 * x.numel() / t
    t = timed(lambda: x.sum()); out["read bytes/s"] = 4 * x.numel() / t
    del x, y
    m = torch.randn(8192, 8192, device=dev, dtype=BF)
    t = timed(lambda: m @ m); out["bf16 flop/s"] = 2 * 8192**3 / t
    m = torch.randn(4096, 4096, device=dev)
    t = timed(lambda: m @ m); out["fp32 flop/s"] = 2 * 4096**3 / t
    del m; torch.cuda.empty_cache()

def normal(*shape, s=0.02, d=FL): return (torch.randn(*shape, device=dev) * s).to(d)

# ---- decoders
class Decoder(nn.Module):
    """GPT-2 or Llama with a cache of fixed length. `fast`: the position is on the card, all slots are looked at through a mask."""
    def __init__(self, kind, c, w, length):
        super().__init__()
        self.kind, self.c, self.length = kind, c, length
        for n, t in w.items(): self.register_buffer(n.replace(".", "_"), t, persistent=False)
        dt = next(iter(w.values())).dtype
        for l in range(c["layers"]):
            for n in "kv": self.register_buffer(f"{n}{l}", torch.zeros(1, c["kv"], length, c["head"], device=dev, dtype=dt), persistent=False)
        if kind == "llama":
            f = 1 / (c["theta"] ** (torch.arange(0, c["head"], 2, device=dev).float() / c["head"]))
            t = torch.outer(torch.arange(length, device=dev).float(), f)
            self.register_buffer("cos", torch.cat([t.cos()] * 2, 1).to(dt), persistent=False)
            self.register_buffer("sin", torch.cat([t.sin()] * 2, 1).to(dt), persistent=False)
        self.register_buffer("slots", torch.arange(length, device=dev), persistent=False)
    def w(self, l, n): return getattr(self, f"l{l}_{n}")
    def caches(self): return [b for n, b in self.named_buffers() if n[0] in "kv" and n[1:].isdigit()]
    def attend(self, l, q, k, v, pos, fast, n):
        K, V = getattr(self, f"k{l}"), getattr(self, f"v{l}"); g = self.c["heads"] != self.c["kv"]
        if fast:
            K.index_copy_(2, pos, k); V.index_copy_(2, pos, v)
            if n == 1: return F.scaled_dot_product_attention(q, K, V, attn_mask=(self.slots <= pos)[None, None, None], enable_gqa=g)
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=g)
        K[:, :, pos:pos + n] = k; V[:, :, pos:pos + n] = v
        return F.scaled_dot_product_attention(q, K[:, :, :pos + n], V[:, :, :pos + n], is_causal=n > 1, enable_gqa=g)
    def forward(self, ids, pos, fast):
        c = self.c; n = ids.shape[1]; at = pos if fast else torch.arange(pos, pos + n, device=dev)
        if self.kind == "gpt2":
            x = self.wte[ids] + self.wpe[at]
            for l in range(c["layers"]):
                h = F.layer_norm(x, (c["width"],), self.w(l, "n1w"), self.w(l, "n1b"), 1e-5)
                q, k, v = F.linear(h, self.w(l, "qkv"), self.w(l, "qkvb")).view(1, n, 3, c["heads"], c["head"]).permute(2, 0, 3, 1, 4).unbind(0)
                o = self.attend(l, q, k, v, pos, fast, n).transpose(1, 2).reshape(1, n, -1)
                x = x + F.linear(o, self.w(l, "o"), self.w(l, "ob"))
                h = F.layer_norm(x, (c["width"],), self.w(l, "n2w"), self.w(l, "n2b"), 1e-5)
                x = x + F.linear(F.gelu(F.linear(h, self.w(l, "up"), self.w(l, "upb")), approximate="tanh"), self.w(l, "down"), self.w(l, "downb"))
            x = F.layer_norm(x[:, -1:], (c["width"],), self.nfw, self.nfb, 1e-5)
        else:
            x = self.wte[ids]; cos, sin = self.cos[at], self.sin[at]
            def turn(t): u, w = t.chunk(2, -1); return t * cos + torch.cat([-w, u], -1) * sin
            for l in range(c["layers"]):
                h = F.rms_norm(x, (c["width"],), self.w(l, "n1w"), 1e-5)
                q = F.linear(h, self.w(l, "q")).view(1, n, c["heads"], c["head"]).transpose(1, 2)
                k = F.linear(h, self.w(l, "k")).view(1, n, c["kv"], c["head"]).transpose(1, 2)
                v = F.linear(h, self.w(l, "v")).view(1, n, c["kv"], c["head"]).transpose(1, 2)
                o = self.attend(l, turn(q), turn(k), v, pos, fast, n).transpose(1, 2).reshape(1, n, -1)
                x = x + F.linear(o, self.w(l, "o"))
                h = F.rms_norm(x, (c["width"],), self.w(l, "n2w"), 1e-5)
                x = x + F.linear(F.silu(F.linear(h, self.w(l, "gate"))) * F.linear(h, self.w(l, "up")), self.w(l, "down"))
            x = F.rms_norm(x[:, -1:], (c["width"],), self.nfw, 1e-5)
        return F.linear(x, self.wte)

def gpt2(c, d):
    """Hugging Face's tensors, and the same by our names (a Conv1D's weight lies the other way around)."""
    hf = {"transformer.wte.weight": normal(c["vocab"], c["width"], d=d), "transformer.wpe.weight": normal(1024, c["width"], d=d)}
    own = {"wte": hf["transformer.wte.weight"], "wpe": hf["transformer.wpe.weight"]}
    W = c["width"]
    def norm(name, key):
        hf[name + ".weight"] = 1 + normal(W, s=0.1, d=d); hf[name + ".bias"] = normal(W, s=0.1, d=d)
        own[key + "w"], own[key + "b"] = hf[name + ".weight"], hf[name + ".bias"]
    for l in range(c["layers"]):
        b = f"transformer.h.{l}."; norm(b + "ln_1", f"l{l}_n1"); norm(b + "ln_2", f"l{l}_n2")
        for n, k, i, o in (("attn.c_attn", "qkv", W, 3 * W), ("attn.c_proj", "o", W, W), ("mlp.c_fc", "up", W, 4 * W), ("mlp.c_proj", "down", 4 * W, W)):
            hf[b + n + ".weight"] = normal(i, o, s=0.04, d=d); hf[b + n + ".bias"] = normal(o, s=0.1, d=d)
            own[f"l{l}_{k}"], own[f"l{l}_{k}b"] = hf[b + n + ".weight"].t().contiguous(), hf[b + n + ".bias"]
    norm("transformer.ln_f", "nf")
    config = dict(model_type="gpt2", architectures=["GPT2LMHeadModel"], vocab_size=c["vocab"], n_positions=1024, n_embd=W, n_layer=c["layers"], n_head=c["heads"],
                  activation_function="gelu_new", layer_norm_epsilon=1e-5, tie_word_embeddings=True)
    return config, hf, own

def llama(c, d):
    W, I, H, K, D = c["width"], c["inner"], c["heads"], c["kv"], c["head"]
    hf = {"model.embed_tokens.weight": normal(c["vocab"], W, d=d), "model.norm.weight": 1 + normal(W, s=0.1, d=d)}
    own = {"wte": hf["model.embed_tokens.weight"], "nfw": hf["model.norm.weight"]}
    for l in range(c["layers"]):
        b = f"model.layers.{l}."
        for n, k, o, i in (("self_attn.q_proj", "q", H * D, W), ("self_attn.k_proj", "k", K * D, W), ("self_attn.v_proj", "v", K * D, W), ("self_attn.o_proj", "o", W, H * D),
                           ("mlp.gate_proj", "gate", I, W), ("mlp.up_proj", "up", I, W), ("mlp.down_proj", "down", W, I)):
            hf[b + n + ".weight"] = own[f"l{l}_{k}"] = normal(o, i, s=0.03, d=d)
        for n, k in (("input_layernorm", "n1w"), ("post_attention_layernorm", "n2w")): hf[b + n + ".weight"] = own[f"l{l}_{k}"] = 1 + normal(W, s=0.1, d=d)
    config = dict(model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=c["vocab"], hidden_size=W, intermediate_size=I, num_hidden_layers=c["layers"],
                  num_attention_heads=H, num_key_value_heads=K, head_dim=D, hidden_act="silu", max_position_embeddings=131072, rms_norm_eps=1e-5,
                  rope_theta=c["theta"], tie_word_embeddings=True, attention_bias=False, mlp_bias=False)
    return config, hf, own

def write(name, config, hf):
    folder = os.path.join(a.folder, name); os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as f: json.dump(config, f)
    save_file({n: t.contiguous().cpu() for n, t in hf.items()}, os.path.join(folder, "model.safetensors"))

@torch.no_grad()
def decoder(name, kind, c, d, make, prompt, steps, long=None):
    config, hf, own = make(c, d); write(name, config, hf)
    length = max(256, 2 ** math.ceil(math.log2(prompt + steps)))
    ids = torch.randint(0, c["vocab"], (1, prompt), device=dev)
    refs[f"{name} ids"] = ids.cpu()
    own_ = Decoder(kind, c, own, length)
    # In float32 from the same weights: what both sides are compared with. And eager's own distance from it.
    exact = Decoder(kind, c, {n: t.float() for n, t in own.items()}, length)
    forced = torch.randint(0, c["vocab"], (1, 8), device=dev); refs[f"{name} forced"] = forced.cpu()
    def logits(m): return torch.cat([m(ids, 0, False)[:, -1:]] + [m(forced[:, i:i + 1], prompt + i, False) for i in range(8)], 1).float()
    if cuda: torch.backends.cuda.matmul.allow_tf32 = False
    r, e = logits(exact), logits(own_)
    refs[f"{name} logits"] = r.cpu()
    out["works"][name] = {"prompt": prompt, "steps": steps, "vocab": c["vocab"], "eager error": float((e - r).norm() / r.norm()), "weights": sum(t.numel() * t.element_size() for t in own.values())}
    del exact
    def generate(m, steps):
        token = m(ids, 0, False).argmax(-1)
        made = [token]
        for i in range(steps): made.append(m(made[-1], prompt + i, False).argmax(-1))
        return torch.cat(made, 1)
    refs[f"{name} greedy"] = generate(own_, min(32, steps)).cpu()
    row = f"{name} decode"
    def decode(m):
        token = m(ids, 0, False).argmax(-1); sync(); t = time.perf_counter()
        for i in range(steps): token = m(token, prompt + i, False).argmax(-1)
        sync(); return (time.perf_counter() - t) / steps
    decode(own_); put(row, "eager", statistics.median(decode(own_) for _ in range(3)))
    put(f"{name} prefill", "eager", timed(lambda: own_(ids, 0, False).argmax(-1)))
    def fast_decode(mode):
        for b in own_.buffers(): torch._dynamo.mark_static_address(b)
        token = torch.zeros(1, 1, dtype=torch.long, device=dev); pos = torch.zeros(1, dtype=torch.long, device=dev)
        for b in (token, pos): torch._dynamo.mark_static_address(b)
        def step(token, pos):
            n = own_(token, pos, True).argmax(-1); token.copy_(n); pos.add_(1)
        f = torch.compile(step, mode=mode, fullgraph=True)
        def once():
            token.copy_(own_(ids, 0, False).argmax(-1)); pos.fill_(prompt); sync(); t = time.perf_counter()
            for _ in range(steps): f(token, pos)
            sync(); return (time.perf_counter() - t) / steps
        once(); once()
        return statistics.median(once() for _ in range(3))
    best(row, fast_decode)
    def fast_prefill(mode):
        where = torch.arange(prompt, device=dev); torch._dynamo.mark_static_address(where); torch._dynamo.mark_static_address(ids)
        f = torch.compile(lambda ids, pos: own_(ids, pos, True).argmax(-1), mode=mode, fullgraph=True)
        return timed(lambda: f(ids, where))
    best(f"{name} prefill", fast_prefill)

@torch.no_grad()
def long_prefill(c, d, n):
    torch.manual_seed(5)
    config, hf, own = llama(c, d)
    if not os.path.exists(os.path.join(a.folder, "llama-long")): write("llama-long", config, hf)
    m = Decoder("llama", c, own, n)
    ids = torch.randint(0, c["vocab"], (1, n), device=dev); refs["llama-long ids"] = ids.cpu()
    refs["llama-long logits"] = m(ids, 0, False)[:, -1:].float().cpu()
    out["works"]["llama-long"] = {"prompt": n}
    put("llama-long prefill", "eager", timed(lambda: m(ids, 0, False).argmax(-1), seconds=1, least=2))
    if cuda: put("llama-long prefill", "bytes", None, **{"eager peak bytes": torch.cuda.max_memory_allocated()})

class Bert(nn.Module):
    def __init__(self, c, dropout):
        super().__init__()
        self.tokens = nn.Embedding(c["vocab"], c["width"]); self.positions = nn.Embedding(512, c["width"]); self.norm = nn.LayerNorm(c["width"])
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(c["width"], c["heads"], 4 * c["width"], dropout, "gelu", batch_first=True) for _ in range(c["layers"]))
        self.drop = nn.Dropout(dropout); self.head = nn.Linear(c["width"], c["vocab"])
        self.register_buffer("where", torch.arange(512), persistent=False)
    def forward(self, ids):
        x = self.drop(self.norm(self.tokens(ids) + self.positions(self.where[: ids.shape[1]])))
        for l in self.layers: x = l(x)
        return self.head(x)

def bert(c, batch, length):
    torch.manual_seed(2)
    first = Bert(c, 0).to(dev)
    weights = {n: (1 + 0.1 * torch.randn_like(t) if "norm" in n and n.endswith("weight") else 0.03 * torch.randn_like(t)) for n, t in first.state_dict().items()}
    os.makedirs(os.path.join(a.folder, "bert"), exist_ok=True)
    save_file({n: t.contiguous().cpu() for n, t in weights.items()}, os.path.join(a.folder, "bert", "model.safetensors"))
    x = torch.randint(0, c["vocab"], (batch, length), device=dev); y = torch.randint(0, c["vocab"], (batch, length), device=dev)
    refs["bert ids"], refs["bert labels"] = x.cpu(), y.cpu()
    out["works"]["bert"] = {"batch": batch, "length": length, "vocab": c["vocab"], "parameters": sum(t.numel() for t in weights.values())}
    def trainer(dropout, amp, fused, compiled):
        m = Bert(c, dropout).to(dev); m.load_state_dict(weights); m.train()
        o = torch.optim.AdamW(m.parameters(), lr=1e-4, fused=fused and cuda or None)
        def loss_of(x, y):
            with torch.autocast(dev, dtype=BF, enabled=amp): return F.cross_entropy(m(x).flatten(0, 1), y.flatten())
        f = torch.compile(loss_of, mode=compiled) if compiled else loss_of
        def step():
            o.zero_grad(set_to_none=True); loss = f(x, y); loss.backward(); o.step(); return loss
        return step
    for name, tf32, amp in (("fp32", False, False), ("tf32", True, False), ("amp", False, True)):
        if cuda: torch.backends.cuda.matmul.allow_tf32 = tf32
        row = f"bert step {name}"
        s = trainer(0.0, amp, False, None); refs[f"{row} losses"] = torch.stack([s().detach().float() for _ in range(6)]).cpu()
        put(row, "eager", timed(trainer(0.1, amp, False, None)))
        best(row, lambda mode: timed(trainer(0.1, amp, True, mode)))
        if cuda: torch.backends.cuda.matmul.allow_tf32 = False

g = dict(vocab=50257, width=768, layers=6, heads=12, kv=12, head=64)
L = dict(vocab=128256, width=2048, inner=8192, layers=16, heads=32, kv=8, head=64, theta=500000.0)
b = dict(vocab=30522, width=768, layers=6, heads=12)
if tiny:
    g.update(vocab=211, width=48, layers=2, heads=3, kv=3, head=16); L.update(vocab=199, width=64, inner=96, layers=2, heads=4, kv=2, head=16); b.update(vocab=97, width=48, layers=2, heads=3)
steps = 8 if tiny else 256
if "bert" in works: bert(b, 2 if tiny else 4, 16 if tiny else 128)
if "gpt2" in works:
    decoder("gpt2-fp32", "gpt2", g, FL, gpt2, 12 if tiny else 128, steps)
    decoder("gpt2-bf16", "gpt2", g, BF, gpt2, 12 if tiny else 128, steps)
if "llama" in works: decoder("llama", "llama", L, BF, llama, 8 if tiny else 32, steps)
if "llama-long" in works: long_prefill(L, BF, 300 if tiny else 100_000)
put("done", "eager", 0); del out["rows"]["done"]
save_file(refs, os.path.join(a.folder, "reference.safetensors"))
with open(a.result, "w") as f: json.dump(out, f, indent=1)
