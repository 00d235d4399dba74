"""Records what PyTorch's autocast does: for calls of ../shared/conformance the dtypes of the results, under autocast of cpu (bfloat16) and of cuda
(float16, on fake tensors: no card is needed), with inputs as recorded (float32) and with inputs in the lower precision.

Usage: python scripts/record-autocast.py ../shared/conformance src/amp/autocast.fixture.json
"""
import gzip
import json
import sys
import warnings

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

warnings.simplefilter("ignore")
folder, target = sys.argv[1:]
archive = json.load(gzip.open(f"{folder}/ops.json.gz"))
data = gzip.open(f"{folder}/ops.bin.gz").read()
most_of_one_operator = 6
codes = {torch.float32: "f", torch.float64: "d", torch.float16: "h", torch.bfloat16: "b", torch.complex64: "c", torch.complex128: "z", torch.bool: "?",
         torch.int64: "l", torch.int32: "i", torch.int16: "s", torch.int8: "a", torch.uint8: "u"}


def tensor(index, lower):
    name, shape, offset = archive["tensors"][index]
    dtype = getattr(torch, name)
    count = 1
    for n in shape:
        count *= n
    size = torch.empty(0, dtype=dtype).element_size()
    out = torch.frombuffer(bytearray(data[offset : offset + count * size] or b"\0" * size), dtype=dtype)[:count].reshape(shape).clone()
    return out.to(lower) if lower is not None and dtype == torch.float32 else out


def value(x, device, lower):
    again = lambda y: value(y, device, lower)
    if isinstance(x, list):
        return [again(y) for y in x]
    if not isinstance(x, dict):
        return device if x == "cpu" else x
    (kind,) = x.keys() if "t" not in x else ("t",)
    if kind == "t":
        out = tensor(x["t"], lower).to(device)
        return out.requires_grad_() if x.get("rg") else out
    if kind == "f":
        return float(x["f"])
    if kind == "c":
        return complex(*map(float, x["c"]))
    if kind in ("dtype", "const"):
        return getattr(torch, x[kind])
    if kind == "device":
        return torch.device(device)
    if kind == "slice":
        return slice(*x["slice"])
    if kind == "ellipsis":
        return Ellipsis
    if kind == "tuple":
        return tuple(again(y) for y in x["tuple"])
    return {k: again(v) for k, v in x["dict"].items()}


namespaces = ["nn.functional", "linalg", "fft", "special", "masked", "signal.windows", "ops.aten"]


def call(op, x, args, kwargs):
    namespace = next((n for n in namespaces if op.startswith(n + ".")), "")
    base = (op[len(namespace) + 1 :] if namespace else op).split(".")[0]
    path = f"{namespace}.{base}" if namespace else base
    if path == "einsum":
        return torch.einsum(args[0], x)
    if path == "where":
        return torch.where(args[0], x, args[1])
    if base == "polygamma":
        return torch.polygamma(args[0], x)
    if base in ("embedding", "embedding_bag"):
        return getattr(torch.nn.functional, base)(args[0], x, *args[1:], **kwargs)
    at = torch.Tensor if namespace == "" and not hasattr(torch, base) else torch
    for part in path.split("."):
        at = getattr(at, part)
    return at(x, *args, **kwargs)


def leaves(x):
    if isinstance(x, torch.Tensor):
        return [codes[x.dtype]]
    if isinstance(x, (list, tuple)):
        return [c for y in x for c in leaves(y)]
    return []


def answer(sample, device, half, lower):
    """Codes of the results' dtypes; null where the call fails or cannot be made without a card."""
    torch.manual_seed(42)
    try:
        a = lambda x: value(x, device, half if lower else None)
        x, args, kwargs = a(sample["input"]), a(sample["args"]), {k: a(v) for k, v in sample["kwargs"].items()}
        torch.set_autocast_dtype(device, half)
        torch.set_autocast_enabled(device, True)
        return "".join(leaves(call(sample["op"], x, args, kwargs)))
    except Exception as error:
        return "banned" if "unsafe to autocast" in str(error) else None
    finally:
        torch.set_autocast_enabled(device, False)
        torch.clear_autocast_cache()


skipped = {"T", "H", "mT", "mH", "item", "hash_tensor", "chalf"}
out = {}
for index, sample in enumerate(archive["samples"]):
    op = sample["op"]
    if sample["dtype"] != "float32" or op in skipped or op.startswith(("svd_lowrank", "pca_lowrank", "linalg.lstsq.grad", "linalg.pinv.sing")):
        continue
    have = out.setdefault(op, {})
    if len(have) >= 40:
        continue
    row = [answer(sample, "cpu", torch.bfloat16, lower) for lower in (False, True)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        row += [answer(sample, "cuda", torch.float16, lower) for lower in (False, True)]
    if any(r for r in row):
        have[index] = row
    print(op, index, row, file=sys.stderr)
# Of each operator a few calls, those with answers of their own first.
for op, have in out.items():
    seen, chosen = set(), []
    for index, row in have.items():
        if str(row) not in seen:
            seen.add(str(row))
            chosen.append(index)
    chosen = (chosen + [i for i in have if i not in chosen])[:most_of_one_operator]
    out[op] = {i: have[i] for i in sorted(chosen)}
out = {op: have for op, have in out.items() if have}
with open(target, "w") as file:
    rows = ",\n".join(f"  {json.dumps(op)}: {json.dumps(have, separators=(',', ':'))}" for op, have in out.items())
    file.write("{\n" + rows + "\n}\n")
