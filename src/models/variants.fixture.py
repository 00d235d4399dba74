"""Makes variants.fixture.json: transformers' models of several configs, with weights that are a hash of their index, and what they answer.

    python src/models/variants.fixture.py > src/models/variants.fixture.json     (transformers 5, torch 2.11)
"""
import json
import sys

import torch
from transformers import (
    BertConfig, BertForSequenceClassification, BertModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig,
    MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM,
)

M = 0xFFFFFFFF


def mix(i, seed):
    h = (i * 0x9E3779B1 + seed * 0x85EBCA77) & M
    h ^= h >> 15
    h = (h * 0x2C1B3C6D) & M
    h ^= h >> 12
    h = (h * 0x297A2D39) & M
    return h ^ (h >> 15)


def fill(model, scale):
    """The n-th parameter by name: (hash / 2^24 * 2 - 1) * scale, 1 added for norms' weights."""
    for seed, (name, p) in enumerate(sorted(model.named_parameters())):
        values = [((mix(i, seed) >> 8) / 2**24 * 2 - 1) * scale for i in range(p.numel())]
        data = torch.tensor(values, dtype=torch.float64).float().view(p.shape)
        p.data.copy_(data + (1 if "norm" in name.lower() or ".ln_" in name else 0) * (1 if name.endswith("weight") else 0))


def forget(model):
    """Dynamic scaling remembers the longest input so far; answers here are those of a new model."""
    for m in model.modules():
        if hasattr(m, "max_seq_len_cached"):
            m.max_seq_len_cached = m.original_max_seq_len
            m.inv_freq = m.original_inv_freq
    return model


base = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=256, bos_token_id=0, eos_token_id=1)
gpt2 = dict(vocab_size=96, n_positions=128, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1)
bert = dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64)
linear = dict(rope_type="linear", factor=3.0, rope_theta=20000.0)
models = {
    "llama with biases and linear scaling": LlamaForCausalLM(LlamaConfig(**base, attention_bias=True, mlp_bias=True, rope_parameters=linear)),
    "llama tied, with a wide head": LlamaForCausalLM(LlamaConfig(**base, tie_word_embeddings=True, head_dim=16)),
    "mistral with a window": MistralForCausalLM(MistralConfig(**base, sliding_window=8)),
    "qwen2": Qwen2ForCausalLM(Qwen2Config(**base)),
    "qwen2 with a window from layer 1": Qwen2ForCausalLM(Qwen2Config(**base, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": Qwen3ForCausalLM(Qwen3Config(**base, head_dim=12)),
    "gpt2 untied, scaled by layer": GPT2LMHeadModel(GPT2Config(**gpt2, scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False)),
    "bert": BertModel(BertConfig(**bert)),
    "bert with a classifier": BertForSequenceClassification(BertConfig(**bert, num_labels=3)),
    "llama with dynamic scaling, longer than it was trained for": LlamaForCausalLM(
        LlamaConfig(**{**base, "max_position_embeddings": 16}, rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=10000.0))),
    "qwen2 with yarn": Qwen2ForCausalLM(Qwen2Config(**base, rope_parameters=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0))),
    "llama with longrope, long": LlamaForCausalLM(LlamaConfig(**base, rope_parameters=dict(
        rope_type="longrope", factor=4.0, original_max_position_embeddings=16, rope_theta=10000.0,
        short_factor=[1.0, 1.1, 1.2, 1.3], long_factor=[1.0, 1.5, 2.5, 4.0]))),
}
sampling = {
    "temperature": dict(temperature=0.7, top_k=0),
    "top_k": dict(temperature=1.3, top_k=7),
    "top_p": dict(temperature=1.5, top_p=0.8, top_k=0),
    "min_p": dict(temperature=1.5, min_p=0.1, top_k=0),
    "all": dict(temperature=1.4, top_k=20, top_p=0.9, min_p=0.05, repetition_penalty=1.2),
}
out = {}
for at, (name, model) in enumerate(models.items()):
    fill(model, 0.25)
    model.eval()
    torch.manual_seed(at)
    ids = torch.randint(2, 90, (2, 21))
    with torch.no_grad():
        answer = model(ids)
    values = (answer.logits if hasattr(answer, "logits") else answer.last_hidden_state)
    if values.dim() == 3:
        values = values[:, -1]
    config = json.loads(model.config.to_json_string(use_diff=False))
    config = {k: v for k, v in config.items() if v is not None and k not in ("transformers_version", "_name_or_path")}
    config["architectures"] = [type(model).__name__]
    record = dict(config=config, input_ids=ids.tolist(), values=[round(x, 6) for x in values.flatten().tolist()])
    if hasattr(model, "generate") and name[:4] != "bert":
        kw = dict(max_new_tokens=12, eos_token_id=None, pad_token_id=0)
        mask = torch.ones_like(ids)
        mask[0, :9] = 0
        record["greedy"] = forget(model).generate(ids[:1], do_sample=False, **kw)[0, 21:].tolist()
        record["penalized"] = forget(model).generate(ids[:1], do_sample=False, repetition_penalty=1.7, **kw)[0, 21:].tolist()
        record["padded"] = forget(model).generate(ids, attention_mask=mask, do_sample=False, **kw)[:, 21:].tolist()
        record["sampled"] = {}
        for kind, options in sampling.items():
            torch.manual_seed(11)
            tokens = forget(model).generate(ids[:1], do_sample=True, **options, **kw)[0, 21:].tolist()
            record["sampled"][kind] = dict(options=options, tokens=tokens)
    out[name] = record
json.dump(out, sys.stdout, separators=(",", ":"))
