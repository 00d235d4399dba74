"""PyTorch eager on the same card: the rows of cuda-check.mjs's `time` part."""
import torch, torch.nn.functional as F, statistics

def us(f, times=20, groups=5):
    for _ in range(5): f()
    torch.cuda.synchronize()
    found = []
    for _ in range(groups):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        for _ in range(times): f()
        b.record(); torch.cuda.synchronize()
        found.append(a.elapsed_time(b) * 1000 / times)
    return statistics.median(found)

def row(name, bytes, f):
    t = us(f)
    print(f"TORCH {name:<33} {t:9.1f} us {bytes / t / 1e6:7.3f} TB/s")

n = 64 * 2**20
x = torch.randn(n, device="cuda"); y = torch.empty_like(x)
rows = x.view(-1, 4096)[:4096]; w = torch.ones(4096, device="cuda")
with torch.no_grad():
    row("copy, 64M float32", 8 * n, lambda: y.copy_(x))
    row("x * 1.0001, 64M float32", 8 * n, lambda: x * 1.0001)
    h = x.bfloat16()
    row("x * 1.0001, 64M bfloat16", 4 * n, lambda: h * 1.0001)
    row("gelu(x * a + b) erf, 64M", 8 * n, lambda: F.gelu(x * 1.5 + 0.5))
    row("gelu tanh, 64M", 8 * n, lambda: F.gelu(x, approximate="tanh"))
    row("softmax 4096x4096", 2 * 4 * 4096**2, lambda: F.softmax(rows, -1))
    row("layer_norm 4096x4096", 2 * 4 * 4096**2, lambda: F.layer_norm(rows, [4096], w, w))
    row("sum over rows 4096x4096", 4 * 4096**2, lambda: rows.sum(1))
    row("sum over columns 4096x4096", 4 * 4096**2, lambda: rows.sum(0))
    row("transpose 4096x4096", 2 * 4 * 4096**2, lambda: rows.t().contiguous())
    c = torch.randn(4096, 4096, device="cuda"); hc = c.bfloat16()
    for name, m in (("float32", c), ("bfloat16", hc)):
        t = us(lambda: m @ m, 5); print(f"TORCH matmul 4096 {name} {t:.0f} us, {2 * 4096**3 / t / 1e6:.1f} TFLOP/s")
