"""Makes sampling.fixture.json: what transformers' logits processors make of some logits, in the order in which generate() applies them.

    python src/models/sampling.fixture.py > src/models/sampling.fixture.json     (transformers 5, torch 2.11)
"""
import json

import torch
from transformers import (
    LogitsProcessorList, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper,
)

order = {
    "repetition_penalty": lambda x: RepetitionPenaltyLogitsProcessor(penalty=x),
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}
settings = [
    {},
    {"temperature": 0.7},
    {"temperature": 1.8},
    {"top_k": 5},
    {"top_p": 0.5},
    {"top_p": 0.95},
    {"min_p": 0.1},
    {"repetition_penalty": 1.3, "temperature": 1.0},
    {"repetition_penalty": 0.8, "temperature": 1.0},
    {"temperature": 0.6, "top_k": 20, "top_p": 0.9},
    {"temperature": 1.5, "top_p": 0.8, "min_p": 0.05},
    {"repetition_penalty": 1.2, "temperature": 0.8, "top_k": 12, "top_p": 0.92, "min_p": 0.02},
    {"top_k": 10 ** 6, "top_p": 1e-6},
]
torch.manual_seed(11)
logits = torch.randn(3, 40) * 3
# Ties, at the border of top_k as well. (At that of top_p PyTorch's unstable sort would decide.)
logits[1] = logits[1].round()
logits[2] /= 4
tokens = torch.randint(0, 40, (3, 6))
cases = []
for setting in settings:
    processors = LogitsProcessorList([order[name](setting[name]) for name in order if name in setting])
    scores = processors(tokens, logits.clone())
    probabilities = torch.softmax(scores, -1)
    # The same generator for every case, as a seed would make it.
    torch.manual_seed(3)
    drawn = [torch.multinomial(probabilities, 1).flatten().tolist() for _ in range(4)]
    rows = [[None if x == float("-inf") else x for x in row] for row in scores.tolist()]
    cases.append({"options": setting, "scores": rows, "drawn": drawn})
print(json.dumps({"logits": logits.tolist(), "tokens": tokens.tolist(), "cases": cases}, separators=(",", ":")))
