"""A process that measures PyTorch for the suite `cpu`: the rows of `our-rows.ts`, over the same inputs, on the number of threads that is given.

JSON lines on standard input and output, as `our-worker.ts` answers them; outputs are sent as the same sample.
"""
import base64
import json
import math
import sys
import time
import traceback

import torch
import torch.nn.functional as F

from torch_models import BERT_VOCABULARY, GPT_VOCABULARY, GPT2, WIDTH, Bert, load_safetensors

PROMPT, DECODED = 32, 24


def tokens_of(count, vocabulary):
    return torch.tensor([(i * 7919 + 13) % vocabulary for i in range(count)])


def repeat(work):
    def sample(budget):
        begin = time.perf_counter()
        calls = 0
        while True:
            work()
            calls += 1
            seconds = time.perf_counter() - begin
            if seconds >= budget:
                return calls, seconds

    return sample


def pure(file, call):
    given = load_safetensors(file)

    def once():
        with torch.no_grad():
            result = call(**given)
        return [result]

    return once, repeat(once)


def sorted_rows(file, call):
    x = load_safetensors(file)["x"]

    def outputs():
        values, indices = call(x)
        # Which of two equal ones is first is left open.
        return [values, x.gather(-1, indices)]

    return outputs, repeat(lambda: call(x))


def in_place(file, approximate):
    x = load_safetensors(file)["x"]
    out = torch.zeros_like(x)

    def once():
        torch.mul(x, 1.5, out=out)
        out.add_(0.25)
        torch._C._nn.gelu(out, approximate=approximate, out=out)
        return [out]

    return once, repeat(once)


def bert_of(file):
    model = Bert()
    model.load_state_dict(load_safetensors(file))
    return model


def bert_forward(file):
    model = bert_of(file).eval()
    tokens = tokens_of(128, BERT_VOCABULARY).view(1, 128)

    def once():
        with torch.no_grad():
            return [model(tokens)]

    return once, repeat(once)


def bert_step(file):
    model = bert_of(file)
    tokens = tokens_of(512, BERT_VOCABULARY).view(4, 128)
    targets = tokens_of(516, BERT_VOCABULARY).view(4, 129)[:, 1:].contiguous()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def outputs():
        model.eval()
        loss = model.loss(tokens, targets)
        loss.backward()
        gradients = [p.grad.clone() for p in (model.head.weight, model.tokens.weight, model.layers[0].qkv.weight)]
        optimizer.zero_grad()
        model.train()
        return [loss.detach(), *gradients]

    def step():
        loss = model.loss(tokens, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return outputs, repeat(step)


def gpt2_of(file, dtype):
    return GPT2().load(load_safetensors(file)).to(dtype).eval()


def gpt_decode(file, dtype):
    model = gpt2_of(file, dtype)
    prompt = tokens_of(PROMPT, GPT_VOCABULARY).view(1, PROMPT)

    def outputs():
        with torch.no_grad():
            cache = model.make_cache()
            first = model(prompt, cache, 0)
            return [first.float(), model(torch.tensor([[11]]), cache, PROMPT).float()]

    def sample(_budget):
        with torch.no_grad():
            cache = model.make_cache()
            token = model(prompt, cache, 0).argmax(-1).item()
            begin = time.perf_counter()
            for i in range(DECODED):
                token = model(torch.tensor([[token]]), cache, PROMPT + i).argmax(-1).item()
            return DECODED, time.perf_counter() - begin

    return outputs, sample


def gpt_prefill(file, dtype):
    model = gpt2_of(file, dtype)
    tokens = tokens_of(128, GPT_VOCABULARY).view(1, 128)

    def once():
        with torch.no_grad():
            return [model(tokens, model.make_cache(), 0)]

    return lambda: [once()[0].float()], repeat(once)


def embedding_gradient(file):
    given = load_safetensors(file)
    weight = given["weight"].requires_grad_()
    tokens = tokens_of(4096, BERT_VOCABULARY)

    def once():
        return list(torch.autograd.grad((F.embedding(tokens, weight) * given["factor"]).sum(), [weight]))

    return once, repeat(once)


def operator_call(file):
    given = load_safetensors(file)
    x, y = given["x"], given["y"]

    def sample(budget):
        begin = time.perf_counter()
        calls = 0
        while True:
            for _ in range(1000):
                x.add(y)
            calls += 1000
            seconds = time.perf_counter() - begin
            if seconds >= budget:
                return calls, seconds

    return lambda: [x.add(y)], sample


bf16, fp32 = torch.bfloat16, torch.float32
ROWS = {
    "sgemm-1024": lambda f: pure(f, lambda a, b: a.mm(b)),
    "sgemm-2048": lambda f: pure(f, lambda a, b: a.mm(b)),
    "gelu-erf-fresh": lambda f: pure(f, lambda x: F.gelu(x * 1.5 + 0.25)),
    "gelu-tanh-fresh": lambda f: pure(f, lambda x: F.gelu(x * 1.5 + 0.25, approximate="tanh")),
    "gelu-erf-into": lambda f: in_place(f, "none"),
    "gelu-tanh-into": lambda f: in_place(f, "tanh"),
    "softmax": lambda f: pure(f, lambda x: F.softmax(x, -1)),
    "layer-norm": lambda f: pure(f, lambda x, weight, bias: F.layer_norm(x, [4096], weight, bias)),
    "bert-forward": bert_forward,
    "bert-step": bert_step,
    "gpt2-decode-fp32": lambda f: gpt_decode(f, fp32),
    "gpt2-decode-bf16": lambda f: gpt_decode(f, bf16),
    "gpt2-prefill-fp32": lambda f: gpt_prefill(f, fp32),
    "gpt2-prefill-bf16": lambda f: gpt_prefill(f, bf16),
    "sort": lambda f: sorted_rows(f, torch.sort),
    "sort-rows": lambda f: sorted_rows(f, lambda x: torch.sort(x, 1)),
    "topk": lambda f: sorted_rows(f, lambda x: torch.topk(x, 50)),
    "cumsum": lambda f: pure(f, lambda x: torch.cumsum(x, 1)),
    "fft": lambda f: pure(f, lambda re, im: torch.fft.fft(torch.complex(re, im))),
    "rfft": lambda f: pure(f, lambda x: torch.fft.rfft(x)),
    "transpose": lambda f: pure(f, lambda x: x.t().contiguous()),
    "permute": lambda f: pure(f, lambda x: x.permute(0, 2, 1, 3).contiguous()),
    "embedding-gradient": embedding_gradient,
    "operator-call": operator_call,
}


def sample_of(tensor):
    real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    flat = real.detach().reshape(-1).float()
    stride = max(1, math.ceil(flat.numel() / 50_000)) | 1
    values = flat[::stride].contiguous().numpy().tobytes()
    return {"shape": list(tensor.shape), "data": base64.b64encode(values).decode()}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    prepared = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                prepared = None
                prepared = ROWS[request["row"]](request["file"])
                reply = {"outputs": [sample_of(t) for t in prepared[0]()]}
                prepared[1](0)
            elif request["do"] == "sample":
                calls, seconds = prepared[1](request["budget"])
                reply = {"calls": calls, "seconds": seconds}
            elif request["do"] == "release":
                prepared = None
                reply = {}
            else:
                reply = {"version": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability()}
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), flush=True)


main()
