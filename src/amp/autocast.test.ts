import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { autocastMode } from '../autograd/autocast-mode.ts';
import { ReferenceBackend } from '../backend/reference/device.ts';
import { nn, type Tensor, torch } from '../index.ts';
import { castRule, listedNames } from '../ops/autocast-lists.ts';
import { engineOf, registerDevice } from '../tensor/devices.ts';

const { autocast, amp } = torch;
const F = nn.functional;
afterEach(() => {
  vi.restoreAllMocks();
  for (const kind of ['cpu', 'cuda', 'reference']) torch.set_autocast_enabled(kind, false);
  torch.set_autocast_dtype('cpu', torch.bfloat16);
  torch.clear_autocast_cache();
});
/** Calls recorded by `work`, by name. */
function callsOf(work: () => unknown): string[] {
  torch.synchronize('cpu');
  const names: string[] = [];
  const engine = engineOf('cpu');
  const submit = engine.submit.bind(engine);
  vi.spyOn(engine, 'submit').mockImplementation((node) => {
    names.push(node.signature.operator.name);
    submit(node);
  });
  work();
  vi.mocked(engine.submit).mockRestore();
  return names;
}

describe('the state', () => {
  test('is that of PyTorch at the beginning, by device type', () => {
    expect(torch.is_autocast_enabled()).toBe(false);
    expect(torch.is_autocast_enabled('cpu')).toBe(false);
    expect([torch.get_autocast_dtype('cpu'), torch.get_autocast_dtype('cuda')]).toEqual([torch.bfloat16, torch.float16]);
    expect(torch.is_autocast_cache_enabled()).toBe(true);
    expect(['cpu', 'cuda', 'cuda:1', 'wasm'].map(amp.is_autocast_available)).toEqual([true, true, true, true]);
    expect(() => amp.is_autocast_available('foo')).toThrow('device type at start of device string: foo');
  });
  test('is what a region says while it runs, and what it was afterwards, errors and nested regions included', () => {
    autocast({ device_type: 'cpu', dtype: torch.float16, cache_enabled: false }, () => {
      expect([torch.is_autocast_enabled('cpu'), torch.get_autocast_dtype('cpu').name]).toEqual([true, 'float16']);
      expect(torch.is_autocast_cache_enabled()).toBe(false);
      autocast('cpu', { enabled: false }, () => {
        expect(torch.is_autocast_enabled('cpu')).toBe(false);
        expect(torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype.name).toBe('float32');
      });
      expect(torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype.name).toBe('float16');
      expect(() =>
        autocast('cpu', torch.bfloat16, () => {
          throw new Error('inside');
        }),
      ).toThrow('inside');
      expect(torch.get_autocast_dtype('cpu').name).toBe('float16');
    });
    expect([torch.is_autocast_enabled('cpu'), torch.get_autocast_dtype('cpu').name, autocastMode.active, autocastMode.depth]).toEqual([
      false,
      'bfloat16',
      false,
      0,
    ]);
    expect(torch.is_autocast_cache_enabled()).toBe(true);
  });
  test('can be set without a region', () => {
    torch.set_autocast_enabled('cpu', true);
    torch.set_autocast_dtype('cpu', torch.float16);
    expect(torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype.name).toBe('float16');
    torch.set_autocast_enabled(true);
    expect(torch.is_autocast_enabled()).toBe(true);
    expect(() => torch.set_autocast_enabled('cpu' as never)).toThrow(
      new TypeError("set_autocast_enabled(): argument 'enabled' (position 1) must be bool, not str"),
    );
    torch.set_autocast_cache_enabled(false);
    expect(torch.is_autocast_cache_enabled()).toBe(false);
    torch.set_autocast_cache_enabled(true);
  });
  test('a function that returns a promise or a generator throws, as for no_grad', () => {
    expect(() => autocast('cpu', async () => 1)).toThrow(/^autocast\(fn\): fn returned a Promise or an iterator/);
    expect(() =>
      autocast('cpu', function* () {
        yield 1;
      }),
    ).toThrow('returned a Promise or an iterator');
    expect(autocastMode.active).toBe(false);
  });
  test("what cannot be warns and computes without casts; what is wrong throws PyTorch's text", () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    expect(autocast('cpu', torch.float32, () => torch.is_autocast_enabled('cpu'))).toBe(false);
    expect(warn.mock.calls.flat()).toEqual([
      'In CPU autocast, but the target dtype is not supported. Disabling autocast.\nCPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.',
    ]);
    expect(() => autocast({ device_type: 3 } as never, () => 1)).toThrow("Expected `device_type` of type `str`, got: `<class 'int'>`");
    expect(() => autocast('foo', () => 1)).toThrow('device type at start of device string: foo');
    expect(() => autocast('cpu' as never, undefined as never)).toThrow('the last argument must be the function to run');
    expect(torch.cpu.amp.autocast(() => torch.is_autocast_enabled('cpu'))).toBe(true);
    expect(warn.mock.calls.flat().at(-1)).toBe(
      "`torch.cpu.amp.autocast(args...)` is deprecated. Please use `torch.amp.autocast('cpu', args...)` instead.",
    );
  });
});

describe('casts', () => {
  const ones = (dtype = torch.float32, shape = [2, 2]): Tensor => torch.ones(shape, { dtype });
  test('leave alone float64, integers, in-place calls and out=', () => {
    autocast('cpu', () => {
      expect(torch.mm(ones(torch.float64), ones(torch.float64)).dtype.name).toBe('float64');
      expect(torch.mm(ones(torch.int64), ones(torch.int64)).dtype.name).toBe('int64');
      expect(() => torch.mm(ones(torch.float64), ones())).toThrow('double');
      expect(ones().addmm_(ones(), ones()).dtype.name).toBe('float32');
      const out = ones();
      torch.mm(ones(), ones(), { out });
      expect([out.dtype.name, out.tolist()]).toEqual([
        'float32',
        [
          [2, 2],
          [2, 2],
        ],
      ]);
    });
  });
  test('of promotion take the widest dtype, and refuse another half dtype', () => {
    autocast('cpu', () => {
      expect(torch.cat([ones(torch.bfloat16), ones()]).dtype.name).toBe('float32');
      expect(torch.stack([ones(torch.bfloat16), ones(torch.bfloat16)]).dtype.name).toBe('bfloat16');
      expect(torch.cat([ones(torch.float64), ones()]).dtype.name).toBe('float64');
      expect(torch.cat([ones(torch.int32), ones(torch.bfloat16)]).dtype.name).toBe('bfloat16');
      expect(() => torch.cat([ones(torch.float16), ones()])).toThrow('Unexpected floating ScalarType in at::autocast::prioritize');
    });
  });
  test('happen before checks: operands of several dtypes are multiplied, by method or function, positions or names', () => {
    autocast('cpu', () => {
      expect(ones(torch.bfloat16).matmul(ones(torch.float16)).dtype.name).toBe('bfloat16');
      expect(torch.matmul(ones(), { other: ones(torch.float16) }).dtype.name).toBe('bfloat16');
      expect(F.mse_loss(ones(torch.bfloat16), ones()).dtype.name).toBe('float32');
    });
    expect(() => ones(torch.bfloat16).matmul(ones())).toThrow();
  });
  test('of a parameter are made once, whatever uses it; of anything else each time', () => {
    const w = new nn.Parameter(ones());
    const casts = (work: () => unknown): number => callsOf(work).filter((name) => name === 'to_copy').length;
    const twice = (x: Tensor): number => casts(() => autocast('cpu', () => x.matmul(x).matmul(x)));
    expect(twice(w)).toBe(1);
    // The first product is bfloat16 already; `x` is cast three times.
    expect(twice(ones())).toBe(3);
    expect(casts(() => autocast({ device_type: 'cpu', cache_enabled: false }, () => w.matmul(w)))).toBe(2);
    // To the end of the outermost region.
    expect(casts(() => autocast('cpu', () => [autocast('cpu', () => w.matmul(w)), w.matmul(w)]))).toBe(1);
    expect(autocastMode.casts.size).toBe(0);
    autocast('cpu', () => {
      w.matmul(w);
      expect(autocastMode.casts.size).toBe(1);
      torch.clear_autocast_cache();
      expect(autocastMode.casts.size).toBe(0);
    });
  });
  test('that are kept know that their parameter was written, and whether they were recorded', () => {
    const w = new nn.Parameter(ones());
    autocast('cpu', () => {
      torch.no_grad(() => w.matmul(w));
      const y = w.matmul(w).sum();
      y.backward();
      expect(w.grad!.tolist()).toEqual([
        [4, 4],
        [4, 4],
      ]);
      expect(w.grad!.dtype.name).toBe('float32');
      torch.no_grad(() => w.fill_(3));
      expect(w.matmul(w).tolist()).toEqual([
        [18, 18],
        [18, 18],
      ]);
      // A second backward through the kept cast.
      w.grad = null;
      w.matmul(ones()).sum().backward();
      w.matmul(ones()).sum().backward();
      expect(w.grad!.tolist()).toEqual([
        [4, 4],
        [4, 4],
      ]);
    });
  });
  test("inside one module's call are there for the next", () => {
    const inner = new nn.Linear(3, 3);
    const x = torch.randn(4, 3);
    class Twice extends nn.Module {
      a = inner;
      override forward(x: Tensor): Tensor {
        return this.a(this.a(x));
      }
    }
    const model = new Twice();
    for (let i = 0; i < 4; i++)
      autocast('cpu', () => {
        torch.no_grad(() => model(x).tolist());
        const first = model(x);
        first.sum().backward();
        torch.no_grad(() => inner.weight.add_(0.125));
        expect(model(x).dtype.name).toBe('bfloat16');
        expect(Number.isFinite(model(x).sum().item() as number)).toBe(true);
      });
  });
  test('cost nothing while autocast is off: no call more', () => {
    const [a, b] = [ones(), ones()];
    expect(callsOf(() => torch.mm(a, b).exp())).toEqual(['matmul', 'exp'].map((n) => expect.stringMatching(new RegExp(`^(mm|${n})$`))));
  });
});

test('a checkpointed part runs again under the autocast of its first run, though backward comes after the region', () => {
  const run = (checkpointed: boolean): number[] => {
    const w = new nn.Parameter(
      torch.tensor([
        [0.1, 0.2],
        [0.3, 0.4],
      ]),
    );
    const x = torch.tensor([[0.7, 0.3]], { requires_grad: true });
    const part = (y: Tensor): Tensor => y.matmul(w).tanh().matmul(w);
    // The weight is cast outside too: the part's casts are its own.
    const out = autocast('cpu', () => {
      const y = x.matmul(w);
      return (checkpointed ? torch.utils.checkpoint.checkpoint(part, y) : part(y)).matmul(w);
    });
    out.float().sum().backward();
    expect(out.dtype.name).toBe('bfloat16');
    return [out, w.grad!, x.grad!].flatMap((t) => t.float().flatten().tolist() as number[]);
  };
  // Gradients of one kept cast are added up in bfloat16, those of two casts in float32.
  const [a, b] = [run(true), run(false)];
  a.forEach((value, i) => {
    expect(Math.abs(value - b[i])).toBeLessThan(0.004 * Math.abs(b[i]) + 0.001);
  });
});

describe('custom functions', () => {
  class Product extends torch.autograd.Function {
    static seen: string[] = [];
    static override forward = amp.custom_fwd(
      { device_type: 'cpu' },
      (ctx: { save_for_backward(...t: Tensor[]): void }, a: Tensor, b: Tensor) => {
        ctx.save_for_backward(a, b);
        return a.mm(b);
      },
    ) as never;
    static override backward = amp.custom_bwd({ device_type: 'cpu' }, (ctx: { saved_tensors: Tensor[] }, g: Tensor) => {
      const [a, b] = ctx.saved_tensors;
      Product.seen.push(`${g.dtype.name} ${g.mm(b.t()).dtype.name}`);
      return [g.mm(b.t()), a.t().mm(g)];
    }) as never;
  }
  class Exact extends torch.autograd.Function {
    static override forward = amp.custom_fwd({ device_type: 'cpu', cast_inputs: torch.float32 }, (_ctx: unknown, x: Tensor) => {
      Product.seen.push(`${x.dtype.name} ${x.mm(x).dtype.name}`);
      return x.mul(2);
    }) as never;
    static override backward = amp.custom_bwd({ device_type: 'cpu' }, (_ctx: unknown, g: Tensor) => g.mul(2)) as never;
  }
  test("have their backward under the autocast of their forward, and gradients of their inputs' dtype", () => {
    Product.seen = [];
    const [a, b] = [torch.ones([2, 2], { requires_grad: true }), torch.ones([2, 2], { requires_grad: true })];
    const y = autocast('cpu', () => Product.apply(a, b));
    expect(y.dtype.name).toBe('bfloat16');
    y.sum().backward();
    expect(Product.seen).toEqual(['bfloat16 bfloat16']);
    expect([a.grad!.dtype.name, a.grad!.tolist()]).toEqual([
      'float32',
      [
        [2, 2],
        [2, 2],
      ],
    ]);
    Product.apply(a, b).sum().backward();
    expect(Product.seen[1]).toBe('float32 float32');
  });
  test('with cast_inputs compute in that dtype without autocast', () => {
    Product.seen = [];
    const x = torch.ones([2, 2], { dtype: torch.bfloat16, requires_grad: true });
    const y = autocast('cpu', () => Exact.apply(x));
    expect([Product.seen, y.dtype.name]).toEqual([['float32 float32'], 'float32']);
    y.sum().backward();
    expect([x.grad!.dtype.name, x.grad!.tolist()]).toEqual([
      'bfloat16',
      [
        [2, 2],
        [2, 2],
      ],
    ]);
  });
});

describe('the lists of cuda', () => {
  // A device of that name that computes on the host: no card is needed.
  beforeAll(() => {
    if (!torch.cuda.is_available()) registerDevice('cuda', () => new ReferenceBackend());
  });
  const half = { dtype: torch.float16, device: 'cuda' };
  const onCuda = <T>(work: () => T): T => {
    torch.set_autocast_enabled('cuda', true);
    try {
      return work();
    } finally {
      torch.set_autocast_enabled('cuda', false);
    }
  };
  test('hold for tensors there, and not for those of the cpu', () => {
    const x = torch.ones([2, 2], half);
    const y = torch.ones([2, 2], { device: 'cuda' });
    const dtypes = onCuda(() => [
      torch.mm(y, y),
      x.exp(),
      x.softmax(0),
      x.sum(),
      x.norm(),
      torch.addcmul(x, y, x),
      torch.mm(torch.ones(2, 2), torch.ones(2, 2)),
    ]);
    expect(dtypes.map((t) => t.dtype.name)).toEqual(['float16', 'float32', 'float32', 'float32', 'float32', 'float32', 'float32']);
    expect(onCuda(() => x.softmax(0, { dtype: torch.float16 })).dtype.name).toBe('float16');
    expect(onCuda(() => F.layer_norm(x, [2])).dtype.name).toBe('float32');
  });
  test("refuse binary_cross_entropy in PyTorch's words", () => {
    const x = torch.full([2], 0.5, half);
    expect(() => onCuda(() => F.binary_cross_entropy(x, x))).toThrow(
      'torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\nMany models use a sigmoid layer right before the binary cross entropy layer.\nIn this case, combine the two layers using torch.nn.functional.binary_cross_entropy_with_logits\nor torch.nn.BCEWithLogitsLoss.  binary_cross_entropy_with_logits and BCEWithLogits are\nsafe to autocast.',
    );
  });
  test('cast recurrent layers as a whole', () => {
    const lstm = new nn.LSTM(3, 4).to('cuda');
    const cell = new nn.GRUCell(3, 4).to('cuda');
    const x = torch.ones([2, 2, 3], { device: 'cuda' });
    const { out, h, c, next } = onCuda(() => {
      const [out, [h, c]] = lstm(x) as unknown as [Tensor, [Tensor, Tensor]];
      return { out, h, c, next: cell(x.select(0, 0)) };
    });
    expect([out, h, c, next].map((t) => t.dtype.name)).toEqual(['float16', 'float16', 'float16', 'float16']);
  });
});

test('names in the lists have policies, by name and kind of device', () => {
  expect(castRule('cuda', 'nn.functional.mse_loss')).toBe('fp32');
  expect(castRule('cuda', 'linalg.vector_norm')).toBe('fp32_dtype');
  expect(castRule('cpu', 'linalg.vector_norm')).toBeNull();
  expect(castRule('cuda', 'binary_cross_entropy')).toBe('banned');
  expect(castRule('cpu', 'nn.functional.cross_entropy')).toBe('fp32');
  expect(castRule('wasm', 'fft.rfft')).toBe('fp32');
  expect(castRule('cuda', 'special.expm1')).toBe('fp32');
});

const oracle = '/opt/oracle/bin/python';
if (!existsSync(oracle)) console.warn(`${oracle} is not there: the lists of autocast are not compared with PyTorch's registrations`);
describe.skipIf(!existsSync(oracle))("the lists are PyTorch's registrations", () => {
  test.each([
    ['cpu', 'AutocastCPU'],
    ['cuda', 'AutocastCUDA'],
  ] as const)(
    'of %s',
    (kind, key) => {
      const script = `import torch; print(*{x[6:].split('.')[0] for x in torch._C._dispatch_get_registrations_for_dispatch_key('${key}')})`;
      const registered = execFileSync(oracle, ['-c', script], { encoding: 'utf8' }).trim().split(' ');
      expect([...listedNames[kind].keys()].sort()).toEqual(registered.sort());
    },
    60_000,
  );
});
