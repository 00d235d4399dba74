/** Compiled functions against the same functions in plain code, bit for bit, in the three flush modes; guards, numbers, errors, lifetimes. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Function as GradFunction } from '../autograd/function.ts';
import torch, { nn, optim, type Tensor } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';
import { flags } from '../util/flags.ts';
import { compiler, plansOf } from './index.ts';

const F = nn.functional;
const list = (t: Tensor): unknown => t.detach().tolist();
const { statistics } = engineOf('cpu').programs;

/** Runs `work` and counts what was compiled. */
function compiledBy(work: () => void): number {
  const before = statistics.compiled;
  work();
  return statistics.compiled - before;
}

afterEach(() => {
  flags.flush = 'lazy';
  flags.compileCheck = 0;
  compiler.set_stance('default');
});

class Net extends nn.Module {
  first = new nn.Linear(4, 8);
  // With batch norm, as with a mean over two dims at once, the flush modes differ in plain code: docs/status.md, semantics.
  norm = flags.flush === 'lazy' ? new nn.BatchNorm1d(8) : new nn.Identity();
  drop = new nn.Dropout(0.3);
  last = new nn.Linear(8, 2);
  override forward(x: Tensor): Tensor {
    return this.last(this.drop(this.norm(this.first(x)).relu()));
  }
}

describe.each(['lazy', 'eager', 'random:7'])('with flush=%s', (mode) => {
  beforeEach(() => {
    flags.flush = mode;
  });

  test('a pure function gives the same bits, from the first call on', () => {
    const f = (x: Tensor, y: Tensor): Tensor => x.mul(2).add(y).softmax(1).matmul(y.t());
    const g = torch.compile(f);
    for (let i = 0; i < 4; i++) {
      const [x, y] = [torch.randn(3, 4), torch.randn(3, 4)];
      expect(list(g(x, y))).toEqual(list(f(x, y)));
    }
    expect(plansOf(g)).toBe(1);
  });

  test.each(['AdamW', 'SGD', 'RMSprop', 'NAdam', 'Adagrad', 'RAdam'] as const)(
    'a whole training step with %s, dropout, batch norm and a scheduler',
    (name) => {
      const run = (compiled: boolean): unknown[] => {
        torch.manual_seed(1);
        const model = new Net();
        const optimizer =
          name === 'SGD'
            ? new optim.SGD(model.parameters(), { lr: 0.05, momentum: 0.9 })
            : new optim[name](model.parameters(), { lr: 0.01 });
        const scheduler = new optim.lr_scheduler.StepLR(optimizer, 3);
        const step = (x: Tensor, t: Tensor): Tensor => {
          optimizer.zero_grad();
          const loss = model(x).sub(t).square().sum(1).mean();
          loss.backward();
          optimizer.step();
          return loss;
        };
        const call = compiled ? torch.compile(step) : step;
        const out: unknown[] = [];
        for (let i = 0; i < 10; i++) {
          const loss = call(torch.randn(5, 4), torch.randn(5, 2));
          out.push(loss.item());
          scheduler.step();
        }
        if (compiled) expect(plansOf(call)).toBeGreaterThan(0);
        return [
          out,
          [...model.state_dict()].map(([key, t]) => [key, list(t)]),
          model.parameters().map((p) => list(p.grad!)),
          torch.randn(3).tolist(),
          JSON.stringify(optimizer.state_dict().param_groups),
        ];
      };
      expect(run(true)).toEqual(run(false));
    },
  );

  test('a compiled forward is differentiated outside', () => {
    torch.manual_seed(2);
    const model = new Net().eval();
    const compiled = torch.compile(model);
    for (let i = 0; i < 4; i++) {
      const data = torch.randn(5, 4);
      const gradients = (f: (x: Tensor) => Tensor): unknown[] => {
        model.zero_grad();
        const x = data.clone().requires_grad_();
        f(x).square().sum().backward();
        return [x, ...model.parameters()].map((p) => list(p.grad!));
      };
      expect(gradients(compiled)).toEqual(gradients(model));
    }
    expect(plansOf(compiled)).toBe(1);
  });

  test('in-place writes into arguments, closures and views', () => {
    const counter = torch.zeros(3);
    const f = (x: Tensor, by: Tensor): Tensor => {
      x.narrow(0, 1, 2).add_(by);
      counter.add_(1);
      x.mul_(2);
      return x.sum().add(counter.sum());
    };
    const g = torch.compile(f);
    const run = (h: typeof f): unknown[] => {
      counter.zero_();
      const x = torch.arange(4).float();
      return Array.from({ length: 4 }, () => [list(h(x, torch.ones(2))), list(x), list(counter), x._version]);
    };
    expect(run(g)).toEqual(run(f));
  });
});

describe('what is returned', () => {
  test('structures, views of arguments, arguments themselves, one tensor twice, plain values', () => {
    const p = new nn.Parameter(torch.ones(2));
    const f = torch.compile((x: Tensor, options: { y: Tensor; n: number }) => {
      const s = x.add(options.y);
      return {
        s,
        again: s,
        view: s.t(),
        turned: x.t(),
        x,
        options,
        p,
        map: new Map([['a', s.mul(2)]]),
        list: [1, 'two', null, undefined, true],
        n: options.n,
        max: s.max(1),
      };
    });
    for (let i = 0; i < 5; i++) {
      const x = torch.full([2, 3], i);
      const options = { y: torch.ones(2, 3), n: 7 };
      const out = f(x, options);
      expect(out.s).toBe(out.again);
      expect(out.view.storage).toBe(out.s.storage);
      expect(out.turned.storage).toBe(x.storage);
      expect(out.turned.shape).toEqual([3, 2]);
      expect(out.x).toBe(x);
      expect(out.options).toBe(options);
      expect(out.p).toBe(p);
      expect(list(out.map.get('a')!)).toEqual(list(x.add(1).mul(2)));
      expect(out.list).toEqual([1, 'two', null, undefined, true]);
      expect(out.n).toBe(7);
      expect(list((out.max as unknown as { values: Tensor }).values)).toEqual([i + 1, i + 1]);
      out.s.add_(1);
      expect(list(out.view)).toEqual(list(x.add(2).t()));
    }
    expect(plansOf(f)).toBe(1);
  });

  test('results of earlier calls keep their numbers', () => {
    const f = torch.compile((x: Tensor) => x.mul(3));
    const kept = Array.from({ length: 20 }, (_, i) => f(torch.full([2], i)));
    expect(kept.map((t) => t.tolist())).toEqual(Array.from({ length: 20 }, (_, i) => [3 * i, 3 * i]));
  });

  test('what was pending before, and reads what is written, has its numbers', () => {
    const w = torch.ones(3);
    const f = torch.compile(() => {
      w.add_(1);
      return w.sum();
    });
    for (let i = 0; i < 4; i++) {
      const before = w.mul(10);
      f();
      expect(before.tolist()).toEqual([10 * (i + 1), 10 * (i + 1), 10 * (i + 1)]);
    }
  });

  test('what a tape holds is not written over', () => {
    const w = torch.ones(3).requires_grad_();
    const x = torch.ones(3).requires_grad_();
    const f = torch.compile(() => torch.no_grad(() => w.add_(1)));
    f();
    f();
    const y = x.mul(w.detach());
    const saved = w.detach().clone();
    f();
    expect(() => y.sum().backward()).toThrow('modified by an inplace operation');
    expect(list(w)).toEqual(list(saved.add(1)));
  });

  test('data made inside is fresh at each call', () => {
    const f = torch.compile((x: Tensor) => [x.add(1), torch.tensor([1, 2])] as const);
    for (let i = 0; i < 4; i++) {
      const [, data] = f(torch.ones(2));
      expect(data.tolist()).toEqual([1, 2]);
      data.add_(5);
    }
  });
});

describe('guards', () => {
  test('shape, dtype, layout, offset, training flag, no_grad, a field, a parameter replaced', () => {
    const model = new Net();
    const f = torch.compile((x: Tensor) => model.last(model.first(x).relu()).mul(model.training ? 2 : 1));
    const agree = (x: Tensor): void => {
      expect(list(f(x))).toEqual(list(model.last(model.first(x).relu()).mul(model.training ? 2 : 1)));
    };
    const big = torch.randn(8, 4);
    for (let i = 0; i < 3; i++) {
      agree(big);
      agree(big.narrow(0, 0, 3));
      agree(big.narrow(0, 2, 3));
      agree(big.narrow(0, 5, 3));
      agree(torch.randn(4, 8).t());
    }
    torch.no_grad(() => agree(big));
    expect(f(big).requires_grad).toBe(true);
    expect(torch.no_grad(() => f(big)).requires_grad).toBe(false);
    model.first.weight = new nn.Parameter(torch.ones(8, 4));
    agree(big);
    agree(big);
    model.double();
    agree(big.double());
  });

  test('a flag of a module that is called, and a forward that is put over it', () => {
    const drop = new nn.Dropout(0.5);
    const f = torch.compile((x: Tensor) => drop(x));
    const x = torch.ones(1000);
    f(x);
    expect(Number(f(x).eq(0).sum().item())).toBeGreaterThan(300);
    drop.eval();
    expect(Number(f(x).eq(0).sum().item())).toBe(0);
    drop.train();
    drop.p = 0.9;
    expect(Number(f(x).eq(0).sum().item())).toBeGreaterThan(800);
    drop.forward = (y) => y.mul(7);
    expect(Number(f(x).sum().item())).toBe(7000);
  });

  test('strings and booleans are part of the form, the same tensor twice is not two tensors', () => {
    const f = torch.compile((x: Tensor, y: Tensor, how: string, negate: boolean) => {
      x.add_(1);
      const z = how === 'sum' ? x.add(y) : x.mul(y);
      return negate ? z.neg() : z;
    });
    for (let i = 0; i < 3; i++) {
      expect(f(torch.ones(2), torch.ones(2), 'sum', false).tolist()).toEqual([3, 3]);
      expect(f(torch.ones(2), torch.ones(2), 'product', true).tolist()).toEqual([-2, -2]);
      const x = torch.ones(2);
      expect(f(x, x, 'sum', false).tolist()).toEqual([4, 4]);
    }
  });

  test('hooks of modules run at the call that traces, and coming or going traces anew', () => {
    const layer = new nn.Linear(2, 2);
    const f = torch.compile((x: Tensor) => layer(x));
    const x = torch.ones(1, 2);
    f(x);
    f(x);
    const hook = layer.register_forward_hook((_m, _args, out) => (out as Tensor).mul(10));
    expect(list(f(x))).toEqual(list(layer(x)));
    hook.remove();
    expect(list(f(x))).toEqual(list(layer(x)));
  });

  test('after eight forms it runs in plain code, with a warning', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    const f = torch.compile((x: Tensor, s: string) => x.add(s.length));
    for (let i = 0; i < 12; i++) expect(f(torch.ones(1), 'a'.repeat(i)).item()).toBe(1 + i);
    expect(warn.mock.calls.map((c) => String(c[0]))).toEqual([expect.stringContaining('torch._dynamo hit config.recompile_limit (8)')]);
    warn.mockRestore();
    const g = torch.compile((x: Tensor, s: string) => x.add(s.length), { fullgraph: true });
    expect(() => {
      for (let i = 0; i < 12; i++) g(torch.ones(1), 'a'.repeat(i));
    }).toThrow('recompile_limit reached with fullgraph=True');
  });
});

describe('numbers that change', () => {
  test('a position is followed: 200 steps make a handful of programs and a few traces', () => {
    const cache = torch.zeros(256, 4);
    let traced = 0;
    const f = (x: Tensor, pos: number): Tensor => {
      traced++;
      torch.no_grad(() => cache.narrow(0, pos, 1).copy_(x));
      const keys = cache.narrow(0, 0, pos + 1);
      return keys.matmul(x.t()).softmax(0).t().matmul(keys).mul(pos);
    };
    const g = torch.compile(f);
    const steps = Array.from({ length: 200 }, () => torch.randn(1, 4));
    const run = (h: typeof f): unknown[] => {
      cache.zero_();
      return steps.map((x, pos) => list(torch.no_grad(() => h(x, pos + 3))));
    };
    const plain = run(f);
    traced = 0;
    expect(compiledBy(() => expect(run(g)).toEqual(plain))).toBeLessThan(10);
    expect(traced).toBeLessThan(15);
    traced = 0;
    run(g);
    expect(traced).toBeLessThan(4);
  });

  test('positions as data, as a returned number and as an index', () => {
    const table = torch.randn(50, 3);
    const f = (pos: number): [Tensor, number] => [F.embedding(torch.tensor([pos, pos + 2], { dtype: torch.int64 }), table), 2 * pos];
    const g = torch.compile(f);
    let traced = 0;
    const counted = torch.compile((pos: number) => {
      traced++;
      return f(pos);
    });
    for (let pos = 4; pos < 40; pos++) {
      for (const h of [g, counted]) {
        const [t, n] = h(pos);
        const [u, m] = f(pos);
        expect([list(t), n]).toEqual([list(u), m]);
      }
    }
    expect(traced).toBeLessThan(10);
    // The check of indices is made at each call.
    expect(() => g(49)).toThrow('index out of range');
  });

  test('a branch on a number is found out when the number has doubled, and told of by the check', () => {
    const f = torch.compile((x: Tensor, n: number) => (n < 20 ? x.add(n) : x.sub(n)));
    for (let n = 3; n < 18; n++) expect(f(torch.zeros(1), n).item()).toBe(n);
    expect(f(torch.zeros(1), 100).item()).toBe(-100);
    flags.compileCheck = 1;
    const g = torch.compile((x: Tensor, n: number) => (n < 9 ? x.add(n) : x.sub(n)));
    for (let n = 3; n < 9; n++) expect(g(torch.zeros(1), n).item()).toBe(n);
    expect(() => g(torch.zeros(1), 9)).toThrow('does something else than when it was traced');
  });

  test('numbers that do not follow from one another are plans of their own', () => {
    const f = torch.compile((x: Tensor, n: number) => x.add(n * n));
    for (const n of [3, 5, 9, 3, 5, 9, 11]) expect(f(torch.zeros(1), n).item()).toBe(n * n);
  });

  test('batches that are slices: offsets are followed', () => {
    const data = torch.arange(1000).float();
    let traced = 0;
    const f = torch.compile((x: Tensor, y: Tensor) => {
      traced++;
      return x.mul(y).sum();
    });
    for (let i = 0; i < 50; i++) {
      const at = (i * 37) % 900;
      const [x, y] = [data.narrow(0, at, 10), data.narrow(0, at + 1, 10)];
      expect(f(x, y).item()).toBe(x.mul(y).sum().item());
    }
    expect(traced).toBeLessThan(15);
  });
});

describe('errors', () => {
  test('item() and its like inside throw, with what to do', () => {
    const f = torch.compile((x: Tensor) => x.mul(x.sum().item() as number));
    expect(() => f(torch.ones(2))).toThrow('Unsupported Tensor.item() call');
    const g = torch.compile((x: Tensor) => x.mul((x.tolist() as number[])[0]));
    expect(() => g(torch.ones(2))).toThrow('torch.where');
    // Outside all is well afterwards.
    expect(torch.ones(2).sum().item()).toBe(2);
  });

  test('an error inside passes through and leaves nothing changed', () => {
    const model = new nn.Linear(2, 2);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
    const w = torch.ones(2);
    const before = list(model.weight);
    const f = torch.compile((fail: boolean) => {
      w.add_(1);
      model(w).sum().backward();
      optimizer.step();
      if (fail) throw new Error('mine');
      return w.sum();
    });
    expect(() => f(true)).toThrow('mine');
    expect([list(w), list(model.weight), model.weight.grad, w._version]).toEqual([[1, 1], before, null, 0]);
    expect(f(false).item()).toBe(4);
    expect(() => f(true)).toThrow('mine');
    expect(list(w)).toEqual([2, 2]);
    expect(f(false).item()).toBe(6);
  });

  test('a shape that does not fit is an error of the call', () => {
    const f = torch.compile((x: Tensor, y: Tensor) => x.matmul(y));
    f(torch.ones(2, 3), torch.ones(3, 2));
    expect(() => f(torch.ones(2, 3), torch.ones(2, 3))).toThrow('cannot be multiplied');
    expect(f(torch.ones(2, 3), torch.ones(3, 2)).sum().item()).toBe(12);
  });

  test('a variable outside is not seen, but the check tells', () => {
    let factor = 2;
    const f = torch.compile((x: Tensor) => x.mul(factor));
    f(torch.ones(1));
    flags.compileCheck = 2;
    f(torch.ones(1));
    factor = 3;
    expect(() => f(torch.ones(1))).toThrow('a number of a call is 3, expected was 2');
  });

  test('options are checked as PyTorch checks them', () => {
    const f = (x: Tensor): Tensor => x;
    expect(() => torch.compile(f, { mode: 'x' })).toThrow(
      'Unrecognized mode=x, should be one of: default, lite, reduce-overhead, max-autotune-no-cudagraphs, max-autotune',
    );
    expect(() => torch.compile(f, { mode: 'default', options: {} })).toThrow(
      "Either mode or options can be specified, but both can't be specified at the same time.",
    );
    expect(() => torch.compile(f, { backend: 'nope' })).toThrow(
      "Invalid backend: 'nope', see `torch._dynamo.list_backends()` for available backends.",
    );
    expect(() => torch.compile(f, { options: { foo: 1 } })).toThrow('Unexpected optimization option foo, known options are [');
    expect(() => torch.compile(f, { options: { max_autotune: 3 } })).toThrow(
      'Unexpected type of attr max_autotune, got int should be bool',
    );
    expect(() => torch.compile(3 as never)).toThrow('A callable function is expected, but number is provided.');
    expect(torch.compile({ mode: 'reduce-overhead' })(f)(torch.ones(1)).item()).toBe(1);
    expect(torch.compile(f, { disable: true })).toBe(f);
  });
});

describe('what cannot be prepared runs in plain code', () => {
  test('custom gradients, computed indices, Promises; with fullgraph it is an error', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    class Twice extends GradFunction {
      static override forward(_ctx: unknown, x: Tensor): Tensor {
        return x.mul(2);
      }
      static override backward(_ctx: unknown, g: Tensor): Tensor {
        return g.mul(2);
      }
    }
    const f = torch.compile((x: Tensor) => Twice.apply<Tensor>(x).sum());
    for (let i = 0; i < 5; i++) {
      const x = torch.ones(2).requires_grad_();
      f(x).backward();
      expect(x.grad!.tolist()).toEqual([2, 2]);
    }
    expect(warn.mock.calls.map((c) => String(c[0]))).toEqual([expect.stringContaining('a gradient that is written in JavaScript')]);
    const g = torch.compile(async (x: Tensor) => x.add(1));
    expect((await g(torch.ones(1))).item()).toBe(2);
    const h = torch.compile((x: Tensor) => Twice.apply<Tensor>(x).sum(), { fullgraph: true });
    expect(() => h(torch.ones(2).requires_grad_())).toThrow('a gradient that is written in JavaScript');
    // Where backward runs inside there is nothing left to run later.
    const whole = torch.compile((x: Tensor) => {
      const y = x.detach().requires_grad_();
      Twice.apply<Tensor>(y).sum().backward();
      return y.grad!;
    });
    for (let i = 0; i < 3; i++) expect(whole(torch.ones(2)).tolist()).toEqual([2, 2]);
    warn.mockRestore();
  });
});

describe('gradients', () => {
  test('accumulate over calls, and start anew after zero_grad', () => {
    const run = (compiled: boolean): unknown => {
      const w = torch.ones(2).requires_grad_();
      const f = (x: Tensor): void => w.mul(x).sum().backward();
      const g = compiled ? torch.compile(f) : f;
      const out: unknown[] = [];
      for (let i = 0; i < 6; i++) {
        if (i === 3) w.grad = null;
        g(torch.full([2], i));
        out.push(list(w.grad!));
      }
      return out;
    };
    expect(run(true)).toEqual(run(false));
  });

  test('of gradients, twice through one graph, and through an argument that is written', () => {
    const f = (x: Tensor): Tensor => x.mul(x).exp().sum();
    const g = torch.compile(f);
    for (let i = 0; i < 3; i++) {
      const second = (h: typeof f): unknown => {
        const x = torch.tensor([0.1, 0.2 * i]).requires_grad_();
        const [first] = torch.autograd.grad(h(x), x, null, { create_graph: true });
        const [out] = torch.autograd.grad((first as Tensor).sum(), x);
        return list(out as Tensor);
      };
      expect(second(g)).toEqual(second(f));
    }
    const k = (x: Tensor, y: Tensor): void => void x.mul_(y);
    const compiled = torch.compile(k);
    for (let i = 0; i < 3; i++) {
      const run = (h: typeof k): unknown => {
        const leaf = torch.ones(2).requires_grad_();
        const x = leaf.mul(3);
        const y = torch.tensor([2, i]).float().requires_grad_();
        h(x, y);
        x.sum().backward();
        return [list(leaf.grad!), list(y.grad!), x._version];
      };
      expect(run(compiled)).toEqual(run(k));
    }
  });

  test('a loss that has gone backward inside raises when it goes again', () => {
    const w = torch.ones(2).requires_grad_();
    const f = torch.compile(() => {
      const loss = w.square().sum();
      loss.backward();
      return loss;
    });
    for (let i = 0; i < 3; i++) {
      const loss = f();
      expect(loss.requires_grad).toBe(true);
      expect(() => loss.backward()).toThrow('Trying to backward through the graph a second time');
    }
  });
});

describe('torch.compiler', () => {
  test('reset, disable, is_compiling, stances', () => {
    const seen: boolean[] = [];
    const f = torch.compile((x: Tensor) => {
      seen.push(torch.compiler.is_compiling());
      return x.add(1);
    });
    f(torch.ones(1));
    f(torch.ones(1));
    torch.compiler.reset();
    f(torch.ones(1));
    torch.compiler.disable(() => f(torch.ones(1)))();
    torch.compiler.set_stance('force_eager');
    f(torch.ones(1));
    expect(seen).toEqual([true, true, false, false]);
    torch.compiler.set_stance('fail_on_recompile');
    expect(() => f(torch.ones(2))).toThrow("Detected recompile when torch.compile stance is 'fail_on_recompile'");
    expect(() => torch.compiler.set_stance('nope' as never)).toThrow('invalid torch.compile stance');
  });

  test('a module: its fields, its methods, compile() in place, compiled inside compiled', () => {
    const model = new Net().eval();
    const compiled = torch.compile(model);
    expect(compiled).toBeInstanceOf(Net);
    expect(compiled.parameters().every((p, i) => p === model.parameters()[i])).toBe(true);
    expect(compiled.first).toBe(model.first);
    expect((compiled as unknown as { _orig_mod: unknown })._orig_mod).toBe(model);
    const x = torch.randn(3, 4);
    const expected = list(model(x));
    expect([1, 2, 3].map(() => list(compiled(x)))).toEqual([expected, expected, expected]);
    compiled.train();
    expect(model.training).toBe(true);
    model.eval();
    model.compile();
    const outer = torch.compile((y: Tensor) => model(y).mul(1));
    expect([1, 2, 3].map(() => list(outer(x)))).toEqual([expected, expected, expected]);
    expect(plansOf(outer)).toBe(1);
  });
});

test('under autocast, entered inside or outside, with weights that change', () => {
  const layer = new nn.Linear(4, 3);
  const inside = torch.compile((x: Tensor) => torch.autocast('cpu', () => layer(x)) as Tensor);
  const plain = torch.compile((x: Tensor) => layer(x));
  const x = torch.randn(2, 4);
  for (let i = 0; i < 4; i++) {
    torch.no_grad(() => layer.weight.add_(1));
    const expected = torch.autocast('cpu', () => layer(x)) as Tensor;
    const [a, b] = torch.autocast('cpu', () => {
      const first = plain(x);
      torch.no_grad(() => layer.weight.mul_(1));
      return [first, plain(x)];
    }) as Tensor[];
    expect([inside(x).dtype, a.dtype, b.dtype, plain(x).dtype]).toEqual([torch.bfloat16, torch.bfloat16, torch.bfloat16, torch.float32]);
    expect(inside(x).tolist()).toEqual(expected.tolist());
    expect(a.tolist()).toEqual(expected.tolist());
    expect(b.tolist()).toEqual(expected.tolist());
    expect(plain(x).tolist()).toEqual(layer(x).tolist());
  }
});
