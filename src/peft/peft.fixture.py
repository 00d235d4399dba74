"""Makes peft.fixture.json: what peft makes of small models, with weights that are a hash of their index.

    python src/peft/peft.fixture.py > src/peft/peft.fixture.json             (peft 0.21, transformers 5, torch 2.11)
    python src/peft/peft.fixture.py --check FOLDER CASE                      the logits of the case's model with an adapter of ours, first and last eight
"""
import base64
import json
import sys
import tempfile
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
M = 0xFFFFFFFF


def mix(i, seed):
    h = (i * 0x9E3779B1 + seed * 0x85EBCA77) & M
    h ^= h >> 15
    h = (h * 0x2C1B3C6D) & M
    h ^= h >> 12
    h = (h * 0x297A2D39) & M
    return h ^ (h >> 15)


def fill(named, scale):
    """The n-th parameter by name: (hash / 2^24 * 2 - 1) * scale, 1 added for norms' weights."""
    for seed, (name, p) in enumerate(sorted(named)):
        values = [((mix(i, seed) >> 8) / 2**24 * 2 - 1) * scale for i in range(p.numel())]
        data = torch.tensor(values, dtype=torch.float64).float().view(p.shape)
        norm = ("norm" in name.lower() or ".ln_" in name) and name.endswith("weight")
        p.data.copy_(data + (1 if norm else 0))


llama = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, bos_token_id=0, eos_token_id=1)
gpt2 = dict(vocab_size=96, n_positions=128, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1)
bert = dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=64)
cases = {
    "gpt2, Conv1D": (GPT2LMHeadModel, GPT2Config(**gpt2),
                     dict(r=4, lora_alpha=16, target_modules=["c_attn", "mlp.c_proj"], use_rslora=True, bias="lora_only", task_type="CAUSAL_LM")),
    "llama, peft's own choice": (LlamaForCausalLM, LlamaConfig(**llama), dict(r=2, lora_alpha=4, task_type="CAUSAL_LM")),
    "llama, all linear": (LlamaForCausalLM, LlamaConfig(**llama, attention_bias=True),
                          dict(r=2, target_modules="all-linear", bias="all", rank_pattern={"q_proj": 3}, alpha_pattern={"layers.1.mlp.up_proj": 7})),
    "llama, one layer": (LlamaForCausalLM, LlamaConfig(**llama),
                         dict(r=2, target_modules=["o_proj", "down_proj"], layers_to_transform=[1], exclude_modules=["down_proj"],
                              init_lora_weights="gaussian", modules_to_save=["lm_head"])),
    "llama, a regular expression": (LlamaForCausalLM, LlamaConfig(**llama), dict(r=2, target_modules=r".*\.1\..*(gate|up)_proj", init_lora_weights=False)),
    "bert with a classifier": (BertForSequenceClassification, BertConfig(**bert, num_labels=3), dict(r=2, task_type="SEQ_CLS")),
}


def base_of(case):
    cls, config, _ = cases[case]
    model = cls(config)
    fill(model.named_parameters(), 0.25)
    return model.eval()


def logits_of(model, ids):
    with torch.no_grad():
        out = model(ids).logits
    return [round(x, 6) for x in (out[:, -1] if out.dim() == 3 else out).flatten().tolist()]


def ids_of(case):
    torch.manual_seed(list(cases).index(case))
    return torch.randint(2, 90, (2, 13))


if sys.argv[1:2] == ["--check"]:
    folder, case = sys.argv[2:]
    values = logits_of(PeftModel.from_pretrained(base_of(case), folder), ids_of(case))
    print(json.dumps(values))
    sys.exit()

out = {}
for case, (cls, config, options) in cases.items():
    model = base_of(case)
    ids = ids_of(case)
    record = dict(options=options, input_ids=ids.tolist(), base=logits_of(model, ids))
    as_json = json.loads(model.config.to_json_string(use_diff=False))
    record["config"] = {k: v for k, v in as_json.items() if v is not None and k not in ("transformers_version", "_name_or_path")}
    record["config"]["architectures"] = [cls.__name__]
    torch.manual_seed(5)
    peft = get_peft_model(model, LoraConfig(**options))
    adapters = [(n, p) for n, p in peft.named_parameters() if "lora_" in n]
    record["drawn"] = {n: [round(x, 7) for x in p.detach().flatten()[:3].tolist()] for n, p in adapters}
    record["trainable"] = sorted(n for n, p in peft.named_parameters() if p.requires_grad)
    record["counts"] = list(peft.get_nb_trainable_parameters())
    fill(adapters, 0.2)
    record["adapted"] = logits_of(peft, ids)
    labels = torch.tensor([2, 0]) if config.model_type == "bert" else ids
    peft.eval()
    optimizer = torch.optim.AdamW([p for p in peft.parameters() if p.requires_grad], lr=5e-3, weight_decay=0.01)
    record["losses"] = []
    for _ in range(8):
        loss = peft(ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        record["losses"].append(loss.item())
    record["trained"] = logits_of(peft, ids)
    with tempfile.TemporaryDirectory() as folder:
        peft.save_pretrained(folder)
        record["adapter_config"] = json.load(open(f"{folder}/adapter_config.json"))
        record["adapter_model"] = base64.b64encode(open(f"{folder}/adapter_model.safetensors", "rb").read()).decode()
    peft.merge_adapter()
    record["merged"] = logits_of(peft, ids)
    out[case] = record
json.dump(out, sys.stdout, separators=(",", ":"))
