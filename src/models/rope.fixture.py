"""Makes rope.fixture.json: the rotary frequencies of transformers for configs of every scaling, by length of the input.

    python src/models/rope.fixture.py > src/models/rope.fixture.json     (transformers 5, torch 2.11)
"""
import json
import sys

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

base = dict(model_type="llama", vocab_size=8, hidden_size=128, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=4096)
factors = dict(short_factor=[1 + i / 100 for i in range(32)], long_factor=[1.5 + i * i / 10 for i in range(32)])
scalings = [
    dict(rope_type="linear", factor=3.0, rope_theta=20000.0),
    dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=1024, rope_theta=500000.0),
    dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=512, rope_theta=500000.0),
    dict(rope_type="dynamic", factor=2.0, rope_theta=10000.0),
    dict(rope_type="dynamic", factor=4.0, rope_theta=1000000.0),
    dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=1024, rope_theta=1000000.0),
    dict(rope_type="yarn", original_max_position_embeddings=256, rope_theta=10000.0, factor=16.0, beta_fast=24, beta_slow=2),
    dict(rope_type="yarn", factor=40.0, original_max_position_embeddings=128, rope_theta=10000.0, mscale=1.0, mscale_all_dim=0.8),
    dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=1024, rope_theta=10000.0, attention_factor=1.25, truncate=False),
    dict(rope_type="yarn", factor=2.0, rope_theta=10000.0),
    dict(rope_type="longrope", factor=8.0, original_max_position_embeddings=512, rope_theta=10000.0, **factors),
    dict(rope_type="longrope", original_max_position_embeddings=1024, rope_theta=10000.0, attention_factor=1.1, factor=4.0, **factors),
]
out = []
for scaling in scalings:
    config = LlamaConfig(**base, rope_parameters=dict(scaling))
    lengths = {}
    for length in (1, 511, 1025, 4096, 4097, 9000):
        frequencies, factor = ROPE_INIT_FUNCTIONS[scaling["rope_type"]](config, device="cpu", seq_len=length)
        lengths[length] = dict(factor=factor, frequencies=frequencies.tolist())
    out.append(dict(config={**base, "rope_parameters": scaling}, lengths=lengths))
json.dump(out, sys.stdout, separators=(",", ":"))
