"""Records src/ops/edge-cases.fixture.jsonl from PyTorch: what operators answer to special values, empty tensors, mixed dtypes and wrong arguments.

    python scripts/record-edge-cases.py > src/ops/edge-cases.fixture.jsonl

Table-driven: each section below is a generator of cases; a section of other operators is one more generator in SECTIONS. The first line of the
output holds the named operands; every other line is one call: op, args, kwargs, and the result (r) or the first line of the error (e).

Values: numbers; "nan" "inf" "-inf" "-0"; "123n" for integers that a double cannot hold. Operands: {"x": name, "s": shape?} a named tensor,
{"t": dtype, "s": shape, "v": values} a tensor, {"f": value} a Python float, a bare number an int, a boolean a bool.
"""

import json
import math
import sys
import warnings

import torch

warnings.simplefilter("ignore")
torch.set_num_threads(1)

DTYPES = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "i16": torch.int16,
    "i8": torch.int8,
    "u8": torch.uint8,
    "b": torch.bool,
}
NAMES = {v: k for k, v in DTYPES.items()}
NAN, INF = math.nan, math.inf


def specials(dtype):
    if dtype == torch.bool:
        return [False, True]
    if not dtype.is_floating_point:
        info = torch.iinfo(dtype)
        signed = [-1, -2, -3, info.min, info.min + 1] if info.min < 0 else []
        return [0, 1, 2, 3, 7, 100, info.max, info.max - 1] + signed
    info = torch.finfo(dtype)
    return [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, 3.0, 0.3, -7.25, 42.0, info.max, -info.max, info.tiny, info.eps]


def few(dtype):
    """The operands of binary operators: all pairs of these."""
    if dtype == torch.bool:
        return [False, True]
    if not dtype.is_floating_point:
        info = torch.iinfo(dtype)
        # not the smallest: divided by -1 it stops PyTorch's process
        return [1, 2, 3, 7, info.max] + ([-1, -2, -5, info.min + 1] if info.min < 0 else [200])
    return [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.5, 2.0, 0.3]


OPERANDS = {}
for short, dt in DTYPES.items():
    OPERANDS[short] = torch.tensor(specials(dt), dtype=dt)
    if dt.is_floating_point:
        finite = [v for v in specials(dt) if math.isfinite(v)]
        OPERANDS[short + "-finite"] = torch.tensor(finite, dtype=dt)
        # Angles up to which range reduction is exact (the largest numbers of a dtype need a table of the digits of pi).
        OPERANDS[short + "-angles"] = torch.tensor([NAN, INF, -INF] + [v for v in finite if abs(v) < 1e6] + [1e6, -1e5], dtype=dt)
    OPERANDS[short + "-row"] = torch.tensor(few(dt), dtype=dt)
    OPERANDS[short + "-column"] = torch.tensor(few(dt), dtype=dt).unsqueeze(1)
    OPERANDS[short + "-empty"] = torch.empty((2, 0), dtype=dt)
    OPERANDS[short + "-one"] = torch.tensor(2, dtype=dt)
    OPERANDS[short + "-three"] = torch.tensor([0, 1, 2], dtype=dt)
    OPERANDS[short + "-zero"] = torch.tensor([0, 0, 0], dtype=dt)


def value(v):
    if isinstance(v, bool):
        return v
    if isinstance(v, int):
        return v if abs(v) < 2**53 else f"{v}n"
    if math.isnan(v):
        return "nan"
    if math.isinf(v):
        return "inf" if v > 0 else "-inf"
    if v == 0 and math.copysign(1, v) < 0:
        return "-0"
    return int(v) if v == int(v) and abs(v) < 2**53 else v


DIGITS = {"f32": 9, "bf16": 4, "f16": 5}


def shortened(v, name):
    """As many digits as tell the numbers of the dtype apart."""
    if name not in DIGITS or not isinstance(v, float) or not math.isfinite(v) or v == int(v):
        return value(v)
    return value(float(f"{v:.{DIGITS[name]}g}"))


def tensor(t):
    name = NAMES[t.dtype]
    return {"t": name, "s": list(t.shape), "v": [shortened(v, name) for v in t.flatten().tolist()]}


def result(r):
    if isinstance(r, torch.Tensor):
        return tensor(r)
    if isinstance(r, (tuple, list)):
        return [result(x) for x in r]
    return r


def decode(a):
    if isinstance(a, dict):
        if "x" in a:
            return OPERANDS[a["x"]].clone()
        return float(a["f"])
    return a


def call(op, *args, **kwargs):
    """One line: op is a path below torch, or `Tensor.method`."""
    line = {"op": op, "a": list(args)}
    if kwargs:
        line["k"] = kwargs
    given = [decode(a) for a in args]
    options = {k: decode(v) for k, v in kwargs.items()}
    try:
        if op.startswith("Tensor."):
            out = getattr(given[0], op[7:])(*given[1:], **options)
        else:
            f = torch
            for part in op.split("."):
                f = getattr(f, part)
            out = f(*given, **options)
        line["r"] = result(out)
    except Exception as error:  # noqa: BLE001: the text is what is recorded
        line["e"] = str(error).split("\n")[0]
    print(json.dumps(line, separators=(",", ":")))


def x(name):
    return {"x": name}


def f(v):
    return {"f": v if math.isfinite(v) else str(v)}


FLOATS = ["f64", "f32", "bf16"]
INTS = ["i64", "i32", "i8", "u8"]
UNARY = """abs acos acosh asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 floor frac lgamma log log10 log1p log2
logical_not logit i0 nan_to_num neg positive rad2deg reciprocal round rsqrt sigmoid sign sin sinc sinh sqrt square tan tanh trunc isfinite isnan
isinf isreal isneginf isposinf signbit bitwise_not relu special.entr special.i0e special.i1 special.i1e special.ndtr special.erfcx special.log_ndtr special.ndtri
special.spherical_bessel_j0 special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1 special.modified_bessel_k0 special.modified_bessel_k1
special.modified_bessel_i0 special.modified_bessel_i1 special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1 special.airy_ai""".split()
ARITHMETIC = "add sub mul div remainder fmod floor_divide pow maximum minimum fmax fmin atan2 hypot copysign heaviside nextafter xlogy logaddexp logaddexp2 special.xlog1py".split()
INTEGER = "add sub mul remainder fmod floor_divide div pow bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift gcd lcm maximum minimum".split()
COMPARE = "eq ne lt le gt ge logical_and logical_or logical_xor isclose".split()


def pointwise_unary():
    for op in UNARY:
        periodic = op in ("sin", "cos", "tan")
        for d in ["f64", "f32", "bf16", "f16"]:
            if op == "special.i0e" and d == "bf16":
                continue  # PyTorch's vector code rounds its intermediate results to bfloat16: 2 % off
            call(op, x(d + "-angles" if periodic else d))
        for d in ["u8", "b"] if op == "special.airy_ai" else ["i8", "u8", "b"] if periodic else ["i64", "i8", "u8", "b"]:
            call(op, x(d))
    for op in "abs ceil exp neg round sigmoid sin sqrt special.i1 isnan".split():
        call(op, x("f32-empty"))
        call(op, x("f32-one"))
    for d in FLOATS + ["f16"]:
        call("frexp", x(d))
        call("nan_to_num", x(d), 1, 2, 3)
        call("nan_to_num", x(d), posinf=f(7.5))
        for decimals in (0, 1, 3, -1):
            call("round", x(d), decimals=decimals)
        call("logit", x(d), f(0.25))
        for n in (0, 1, 2, 3):
            call("polygamma", n, x(d))
        call("mvlgamma", x(d), 2)


def pointwise_binary():
    for op in ARITHMETIC:
        for d in FLOATS:
            call(op, x(d + "-column"), x(d + "-row"))
    for op in INTEGER:
        for d in INTS + ["i16", "b"]:
            call(op, x(d + "-column"), x(d + "-row"))
    for op in COMPARE:
        for d in ["f32", "bf16", "i64", "u8", "b"]:
            call(op, x(d + "-column"), x(d + "-row"))
    for d in FLOATS + INTS + ["b"]:
        for mode in ("floor", "trunc"):
            call("div", x(d + "-column"), x(d + "-row"), rounding_mode=mode)
        call("ldexp", x(d + "-column"), x("i32-three"))
        call("clamp", x(d), x(d + "-one"), x(d + "-one"))
    for op in "add mul div maximum atan2 lt".split():
        call(op, x("f32-empty"), x("f32-one"))
        call(op, x("f32-empty"), x("f32-three"))


def scalars():
    """Numbers as operands: kinds, wrap-around, NaN bounds, exponents."""
    for d in ["f32", "bf16", "i64", "i8", "u8", "b"]:
        for s in (2, -1, 300, f(1.5), f(NAN), f(INF), f(-0.0), True):
            for op in "add mul div lt eq".split():
                call(op, x(d), s)
        for s in (f(0.5), f(-0.5), f(0.0), f(3.0), f(-1.0), 2, 0, -2, f(INF), f(NAN)):
            call("pow", x(d), s)
        for s in (2, f(2.0), 0, f(-1.5)):
            call("pow", s, x(d))
        for s in (3, -3, f(2.5), f(INF), 0):
            for op in "remainder fmod floor_divide".split():
                call(op, x(d), s)
        for low, high in ((0, 2), (2, 0), (f(0.5), None), (None, f(1.5)), (f(NAN), None), (f(NAN), 1), (-1, 3)):
            call("clamp", x(d), low, high)
        call("sub", x(d), 1, alpha=2)
        call("sub", x(d), 1, alpha=f(0.5))
        call("add", x(d), x(d), alpha=-3)
        call("rsub", x(d), 5)
        call("bitwise_left_shift", x(d), 3)
        call("bitwise_right_shift", x(d), 65)
        call("bitwise_and", x(d), 6)
        call("copysign", x(d), -1)
        call("xlogy", x(d), 2)
        call("fill", x(d), 1)


def promotion():
    for op in ("add", "div", "pow", "where"):
        for a in ("f64", "f32", "bf16", "f16", "i64", "i32", "u8", "i8", "b"):
            for b in ("f64-one", "f32-three", "f16-one", "i64-three", "i8-one", "u8-three", "b-three"):
                pair = (x(a + "-three"), x(b))
                call(op, *((x("b-three"),) + pair if op == "where" else pair))
        for a in ("f32-one", "i64-one", "i8-three", "b-three", "b-one"):
            for s in (1, f(1.5), True):
                pair = (x(a), s)
                call(op, *((x("b-three"),) + pair if op == "where" else pair))


def in_place():
    for op, args in (
        ("add_", (x("f32-three"),)),
        ("add_", (f(1.5),)),
        ("mul_", (x("i64-three"),)),
        ("div_", (2,)),
        ("eq_", (1,)),
        ("logical_and_", (x("b-three"),)),
        ("bitwise_or_", (4,)),
        ("clamp_", (1, f(1.5))),
        ("pow_", (2,)),
        ("fill_", (7,)),
        ("fill_", (f(1.5),)),
        ("remainder_", (2,)),
        ("floor_divide_", (2,)),
        ("float_power_", (2,)),
        ("copysign_", (-1,)),
        ("exp_", ()),
        ("sqrt_", ()),
        ("sign_", ()),
        ("lerp_", (x("f32-three"), f(0.25))),
        ("xlogy_", (2,)),
        ("heaviside_", (x("f32-three"),)),
    ):
        for d in ("f32", "bf16", "i64", "u8", "b"):
            call("Tensor." + op, x(d + "-three"), *args)


def errors():
    i, g, b = x("i64-three"), x("f32-three"), x("b-three")
    for line in (
        ("add", i, i, {"alpha": f(0.5)}),
        ("add", g, g, {"alpha": True}),
        ("sub", b, b),
        ("sub", i, b),
        ("sub", i, True),
        ("neg", b),
        ("addcdiv", g, i, i),
        ("addcmul", b, b, b),
        ("addcmul", i, i, i, {"value": f(2.5)}),
        ("lerp", g, x("f64-three"), f(0.5)),
        ("lerp", g, g, x("f64-three")),
        ("lerp", i, i, f(0.5)),
        ("floor_divide", i, 0),
        ("floor_divide", i, x("i64-zero")),
        ("remainder", i, x("i64-zero")),
        ("fmod", x("u8-three"), 0),
        ("div", g, g, {"rounding_mode": "up"}),
        ("div", i, x("i64-zero"), {"rounding_mode": "trunc"}),
        ("pow", i, -1),
        ("pow", b, b),
        ("clamp", g),
        ("heaviside", g, i),
        ("nextafter", i, i),
        ("hypot", i, i),
        ("frexp", i),
        ("gcd", g, g),
        ("bitwise_and", g, 1),
        ("bitwise_and", i, f(1.5)),
        ("bitwise_left_shift", b, b),
        ("where", g, g, g),
        ("where", b, g, x("f32-row")),
        ("isclose", g, x("f64-three")),
        ("isclose", i, i, {"rtol": -1}),
        ("isclose", i, i, {"atol": -1}),
        ("fill", g, g),
        ("polygamma", -1, g),
        ("mvlgamma", g, 0),
        ("igamma", i, i),
        ("special.zeta", x("bf16-three"), x("bf16-three")),
        ("special.airy_ai", x("f16-three")),
        ("special.chebyshev_polynomial_t", x("f16-three"), 2),
        ("logaddexp", i, i),
        ("round", i, {"decimals": 1}),
        ("positive", b),
        ("add", g, x("f32-row")),
        ("maximum", g, x("f32-row")),
    ):
        kwargs = line[-1] if isinstance(line[-1], dict) and "x" not in line[-1] and "f" not in line[-1] else {}
        call(line[0], *(line[1:-1] if kwargs else line[1:]), **kwargs)


def special_functions():
    for op in "chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w".split():
        for n in (0, 1, 2, 3, 5, -1):
            # NaN is left out: PyTorch returns memory that nothing was written to.
            call("special." + op, x("f64-finite"), n)
        call("special." + op, f(0.25), x("f64-row"))
        call("special." + op, x("f32-three"), 9)
    for d in ("f64", "f32"):
        call("special.zeta", x(d + "-column"), x(d + "-row"))
        call("igamma", x(d + "-column"), x(d + "-row"))
        call("igammac", x(d + "-column"), x(d + "-row"))
        call("special.zeta", 3, x(d))
        call("special.xlog1py", 2, x(d))
    for k in (0.1, 1.0, 15.0, 250.0, 1e5):
        call("special.gammainc", {"x": f"gamma-{k}"}, {"x": f"gamma-near-{k}"})
        call("special.gammaincc", {"x": f"gamma-{k}"}, {"x": f"gamma-near-{k}"})


for k in (0.1, 1.0, 15.0, 250.0, 1e5):
    OPERANDS[f"gamma-{k}"] = torch.full((7,), k, dtype=torch.float64)
    OPERANDS[f"gamma-near-{k}"] = k * torch.tensor([0.01, 0.5, 0.98, 1.0, 1.01, 1.6, 9.0], dtype=torch.float64)

SECTIONS = [pointwise_unary, pointwise_binary, scalars, promotion, in_place, errors, special_functions]

if __name__ == "__main__":
    print(json.dumps({"torch": torch.__version__.split("+")[0], "operands": {k: tensor(v) for k, v in OPERANDS.items()}}, separators=(",", ":")))
    for section in SECTIONS:
        section()
    sys.stdout.flush()
