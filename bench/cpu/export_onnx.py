"""Writes the ONNX files of a row for onnxruntime-node with PyTorch's own exporter: export_onnx.py FOLDER-OF-ONNX ROW WEIGHTS TARGET-PREFIX.

Files that are there stay: PREFIX.onnx (BERT), PREFIX-first.onnx and PREFIX-next.onnx (GPT-2 without and with a past).
"""
import os
import sys
import warnings

sys.path.append(sys.argv[1])
warnings.filterwarnings("ignore")
import torch  # noqa: E402
from torch_models import GPT2, HEADS, LAYERS, WIDTH, Bert, GPT2Step, load_safetensors  # noqa: E402

row, weights, prefix = sys.argv[2:5]


def export(model, inputs, path, names, outputs, axes):
    if os.path.exists(path):
        return
    with torch.no_grad():
        torch.onnx.export(
            model, inputs, path + ".part", input_names=names, output_names=outputs, dynamic_axes=axes, dynamo=False, opset_version=17
        )
    os.replace(path + ".part", path)


if row == "bert-forward":
    model = Bert()
    model.load_state_dict(load_safetensors(weights))
    export(model.eval(), (torch.zeros(1, 128, dtype=torch.long),), prefix + ".onnx", ["tokens"], ["hidden"], {})
else:
    model = GPT2().load(load_safetensors(weights)).eval()
    tokens = torch.zeros(1, 8, dtype=torch.long)
    positions = torch.arange(8).view(1, 8)
    present = [f"present{i}" for i in range(2 * LAYERS)]
    lengths = {name: {2: "length"} for name in present}
    axes = {"tokens": {1: "count"}, "positions": {1: "count"}}
    export(GPT2Step(model, True), (tokens, positions), prefix + "-first.onnx", ["tokens", "positions"], ["logits", *present], {**axes, **lengths})
    past = [torch.zeros(1, HEADS, 8, WIDTH // HEADS) for _ in present]
    names = [f"past{i}" for i in range(2 * LAYERS)]
    export(
        GPT2Step(model, False),
        (tokens[:, :1], positions[:, :1], *past),
        prefix + "-next.onnx",
        ["tokens", "positions", *names],
        ["logits", *present],
        {**{name: {2: "past"} for name in names}, **lengths},
    )
