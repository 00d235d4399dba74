"""Records what ggml makes of random blocks, and how it encodes random weights: ggml-blocks.fixture.json.

    npm install --ignore-scripts node-llama-cpp@3.22.1      # in a folder of its own
    python3 ggml-blocks.fixture.py FOLDER/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64/libggml-base.so

Each type has eight blocks of random bytes; the scales of the first four are sane halves, those of the others are odd ones: zeros of both signs, the
smallest and largest numbers, subnormal, infinite. NaN is left out, because its bits are nobody's promise. Bytes and floats' bits are in base64.
"""
import base64
import ctypes
import json
import random
import struct
import sys
from pathlib import Path

ggml = ctypes.CDLL(sys.argv[1])
ggml.ggml_blck_size.restype = ctypes.c_int64
ggml.ggml_type_size.restype = ctypes.c_size_t
ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
rng = random.Random(6)

# name: (id, function's name, offsets of the scales, in bytes)
TYPES = {
    "F16": (1, None, [0]),
    "BF16": (30, None, []),
    "Q4_0": (2, "q4_0", [0]),
    "Q4_1": (3, "q4_1", [0, 2]),
    "Q5_0": (6, "q5_0", [0]),
    "Q5_1": (7, "q5_1", [0, 2]),
    "Q8_0": (8, "q8_0", [0]),
    "Q2_K": (10, "q2_K", [80, 82]),
    "Q3_K": (11, "q3_K", [108]),
    "Q4_K": (12, "q4_K", [0, 2]),
    "Q5_K": (13, "q5_K", [0, 2]),
    "Q6_K": (14, "q6_K", [208]),
    "Q8_K": (15, "q8_K", []),
    "IQ4_NL": (20, "iq4_nl", [0]),
    "IQ4_XS": (23, "iq4_xs", [0]),
    "MXFP4": (39, "mxfp4", []),
    "TQ1_0": (34, "tq1_0", [52]),
    "TQ2_0": (35, "tq2_0", [64]),
}
ODD = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x3C00, 0xBC00, 0x0203]


def text(data):
    return base64.b64encode(bytes(data)).decode()


def sane():
    return struct.unpack("<H", struct.pack("<e", rng.choice([-1, 1]) * rng.uniform(1e-3, 4)))[0]


def plain(name, blocks):
    """The plain types, through ggml's rows of conversions."""
    out = (ctypes.c_float * (len(blocks) // 2))()
    getattr(ggml, {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}[name])(bytes(blocks), out, ctypes.c_int64(len(out)))
    return out


decode = {}
for name, (number, function, scales) in TYPES.items():
    size, weights = ggml.ggml_type_size(number), ggml.ggml_blck_size(number)
    blocks = bytearray()
    for i in range(8 if function else 64):
        block = bytearray(rng.randbytes(size))
        if name == "Q8_K":
            block[:4] = struct.pack("<f", [0.5, -0.3, 1e-3, 2.75, 0.0, 1e-40, 3e38, -1e30][i])
        if name == "MXFP4":
            block[0] = [120, 127, 130, 100, 0, 1, 2, 254][i]
        if name == "BF16" and block[1] & 0x7F == 0x7F:
            block[1] ^= 1  # no NaN
        for at in scales:
            block[at : at + 2] = struct.pack("<H", sane() if i < 4 or rng.random() < 0.2 else rng.choice(ODD))
        blocks += block
    if function:
        out = (ctypes.c_float * (weights * len(blocks) // size))()
        getattr(ggml, f"dequantize_row_{function}")(bytes(blocks), out, ctypes.c_int64(len(out)))
    else:
        out = plain(name, blocks)
    decode[name] = {"id": number, "block_size": weights, "block_bytes": size, "blocks": text(blocks), "values": text(out)}

encode = {}
count = 8 * 256
values = [rng.gauss(0, 1) * 10 ** rng.uniform(-3, 2) for _ in range(6 * 32)]
values += [0.0] * 32 + [0.25] * 32 + [-3.0] * 32  # constant blocks
values += [(i - 16) / 8 for i in range(32)]  # halves between two codes
values += [rng.gauss(0, 1e-6) for _ in range(32)] + [abs(rng.gauss(0, 1)) for _ in range(32)]
values += [rng.gauss(0, 0.02) for _ in range(3 * 256)] + [rng.gauss(0.5, 0.1) for _ in range(256)]
values += [rng.choice([-1, 1]) * 2.0 ** rng.uniform(-20, 8) for _ in range(256)] + [0.0] * 256
values += [rng.gauss(0, 1) * 10 ** -(i // 32) for i in range(count - len(values))]
weights = (ctypes.c_float * count)(*values)
for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]:
    number, function, _ = TYPES[name]
    out = (ctypes.c_uint8 * (ggml.ggml_type_size(number) * count // ggml.ggml_blck_size(number)))()
    getattr(ggml, f"quantize_row_{function}_ref")(weights, out, ctypes.c_int64(count))
    encode[name] = text(out)

sizes = {}
ggml.ggml_type_name.restype = ctypes.c_char_p
for number in range(43):
    label = ggml.ggml_type_name(number).decode()
    if ggml.ggml_blck_size(number) > 0:
        sizes[label.upper()] = [number, ggml.ggml_blck_size(number), ggml.ggml_type_size(number)]

lines = ["{", '"oracle": "libggml-base.so of @node-llama-cpp/linux-x64 3.22.1",', '"decode": {']
lines.append(",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in decode.items()) + "},")
lines.append(f'"weights": {json.dumps(text(weights))},')
lines.append('"encode": {\n' + ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in encode.items()) + "},")
lines.append(f'"sizes": {json.dumps(sizes)}')
lines.append("}")
Path(__file__).with_name("ggml-blocks.fixture.json").write_text("\n".join(lines) + "\n")
