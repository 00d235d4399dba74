import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { nn, optim, Tensor, torch } from '../index.ts';
import { engineOf } from '../tensor/devices.ts';

const fixture = JSON.parse(readFileSync(new URL('./programs.fixture.json', import.meta.url), 'utf8')) as {
  scaler: readonly [state: Record<string, number>, w: readonly number[], v: number][];
  errors: Record<string, string>;
};
const { GradScaler } = torch.amp;
afterEach(() => {
  vi.restoreAllMocks();
});

test("scale, counter and parameters go PyTorch's way through infinities and NaNs", () => {
  const w = new nn.Parameter(torch.tensor([1, 2, 3]));
  const v = new nn.Parameter(torch.tensor([[0.5]]));
  const optimizer = new optim.SGD([{ params: [w] }, { params: [v], lr: 0.5 }], { lr: 0.1 });
  const scaler = new GradScaler('cpu', { init_scale: 8, growth_interval: 2, growth_factor: 3, backoff_factor: 0.25 });
  [1, 1, Number.POSITIVE_INFINITY, 2, Number.NaN, 1, 1, 1].forEach((factor, i) => {
    optimizer.zero_grad();
    scaler.scale(w.mul(factor).sum().add(v.sum())).backward();
    scaler.step(optimizer);
    scaler.update();
    expect([scaler.state_dict(), w.tolist(), v.item()], `step ${i}`).toEqual(fixture.scaler[i]);
  });
});

describe("a call out of turn throws PyTorch's error", () => {
  const fresh = ({ scaled = true, dtype = torch.float32, grad = true } = {}) => {
    const w = new nn.Parameter(torch.ones([2], { dtype }));
    const scaler = new GradScaler('cpu', { init_scale: 4 });
    const optimizer = new optim.SGD([w], { lr: 0.1 });
    if (scaled) {
      const loss = scaler.scale(w.sum());
      if (grad) loss.backward();
    }
    return { scaler, optimizer };
  };
  type Case = ReturnType<typeof fresh>;
  const cases: Record<string, () => unknown> = {
    'unscale twice': () => then(fresh(), ({ scaler, optimizer }) => [scaler.unscale_(optimizer), scaler.unscale_(optimizer)]),
    'unscale after step': () => then(fresh(), ({ scaler, optimizer }) => [scaler.step(optimizer), scaler.unscale_(optimizer)]),
    'step twice': () => then(fresh(), ({ scaler, optimizer }) => [scaler.step(optimizer), scaler.step(optimizer)]),
    'step unscaled': () => then(fresh({ scaled: false }), ({ scaler, optimizer }) => scaler.step(optimizer)),
    'unscale unscaled': () => then(fresh({ scaled: false }), ({ scaler, optimizer }) => scaler.unscale_(optimizer)),
    'update unscaled': () => then(fresh({ scaled: false }), ({ scaler }) => scaler.update()),
    'update without step': () => then(fresh(), ({ scaler }) => scaler.update()),
    'half gradients': () => then(fresh({ dtype: torch.float16 }), ({ scaler, optimizer }) => scaler.step(optimizer)),
    'no gradients': () => then(fresh({ grad: false }), ({ scaler, optimizer }) => scaler.step(optimizer)),
    closure: () => then(fresh(), ({ scaler, optimizer }) => scaler.step(optimizer, () => 1)),
    'new scale of two': () => then(fresh(), ({ scaler }) => scaler.update(torch.ones(2))),
    outputs: () => new GradScaler('cpu').scale(3 as never),
    'growth factor': () => new GradScaler('cpu', { growth_factor: 1 }),
    'backoff factor': () => new GradScaler('cpu', { backoff_factor: 1 }),
    'empty state': () => new GradScaler('cpu').load_state_dict({}),
  };
  const then = (made: Case, act: (made: Case) => unknown): unknown => act(made);
  test.each(Object.keys(cases))('%s', (what) => {
    expect(cases[what]).toThrow(new Error(fixture.errors[what]));
  });
});

test('a step reads one number, however many parameters there are, and unscaling reads none', () => {
  const parameters = Array.from({ length: 20 }, (_, i) => new nn.Parameter(torch.ones(i + 1)));
  const optimizer = new optim.Adam(parameters);
  const scaler = new GradScaler('cpu');
  const item = vi.spyOn(Tensor.prototype as unknown as { item(): number }, 'item');
  const once = (): void => {
    optimizer.zero_grad();
    scaler.scale(parameters.map((p) => p.sum()).reduce((a, b) => a.add(b))).backward();
    scaler.unscale_(optimizer);
    expect(item).not.toHaveBeenCalled();
    expect(parameters[3].grad!.tolist()).toEqual([1, 1, 1, 1]);
    scaler.step(optimizer);
    expect(item).toHaveBeenCalledTimes(1);
    scaler.update();
    item.mockClear();
  };
  once();
  // The calls of unscaling: a copy of zero and of the inverse, the inverse, all gradients at once.
  optimizer.zero_grad();
  scaler.scale(parameters.map((p) => p.sum()).reduce((a, b) => a.add(b))).backward();
  torch.synchronize();
  const { pendingNodes } = engineOf('cpu');
  scaler.unscale_(optimizer);
  expect(engineOf('cpu').pendingNodes - pendingNodes).toBeLessThanOrEqual(5);
});

test('a step that is left out changes neither parameters nor their state', () => {
  const p = new nn.Parameter(torch.ones(3));
  const optimizer = new optim.AdamW([p]);
  const scaler = new GradScaler('cpu', { init_scale: 2 });
  scaler.scale(p.mul(torch.tensor([1, Number.POSITIVE_INFINITY, 1])).sum()).backward();
  expect(scaler.step(optimizer)).toBeUndefined();
  expect(p.tolist()).toEqual([1, 1, 1]);
  expect(optimizer.state.size).toBe(0);
  scaler.update();
  expect(scaler.get_scale()).toBe(1);
});

test('losses in arrays are scaled alike, and a new scale can be set', () => {
  const scaler = new GradScaler('cpu', { init_scale: 4 });
  const [a, [b]] = scaler.scale([torch.tensor(1), [torch.tensor(2)]] as const) as unknown as [Tensor, [Tensor]];
  expect([a.item(), b.item()]).toEqual([4, 8]);
  scaler.update(16);
  expect(scaler.get_scale()).toBe(16);
  scaler.update(torch.tensor(32));
  expect(scaler.get_scale()).toBe(32);
});

test('the state travels by state_dict', () => {
  const scaler = new GradScaler('cpu', { init_scale: 4, growth_interval: 5 });
  const p = new nn.Parameter(torch.ones(1));
  const optimizer = new optim.SGD([p]);
  scaler.scale(p.sum()).backward();
  scaler.step(optimizer);
  scaler.update();
  const other = new GradScaler('cpu');
  other.load_state_dict(scaler.state_dict());
  expect(other.state_dict()).toEqual({ scale: 4, growth_factor: 2, backoff_factor: 0.5, growth_interval: 5, _growth_tracker: 1 });
  other.scale(p.sum());
  expect(other.get_scale()).toBe(4);
  expect(other._get_growth_tracker()).toBe(1);
  other.set_growth_factor(3);
  other.set_backoff_factor(0.1);
  other.set_growth_interval(7);
  expect([other.get_growth_factor(), other.get_backoff_factor(), other.get_growth_interval()]).toEqual([3, 0.1, 7]);
});

test('an optimizer that scales by itself gets the scale and the infinities as tensors', () => {
  const p = new nn.Parameter(torch.ones(2));
  const seen: unknown[] = [];
  const optimizer = {
    param_groups: [{ params: [p] }],
    _step_supports_amp_scaling: true,
    step(): string {
      const { grad_scale, found_inf } = this as unknown as { grad_scale: Tensor; found_inf: Tensor };
      seen.push(grad_scale.item(), found_inf.item(), p.grad!.tolist());
      return 'stepped';
    },
  };
  const scaler = new GradScaler('cpu', { init_scale: 4 });
  scaler.scale(p.sum()).backward();
  expect(scaler.step(optimizer)).toBe('stepped');
  expect(seen).toEqual([4, 0, [4, 4]]);
  expect('grad_scale' in optimizer || 'found_inf' in optimizer).toBe(false);
  scaler.update();
});

test('without a card a scaler of cuda is disabled, says so, and steps plainly', () => {
  if (torch.cuda.is_available()) return;
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const scaler = new GradScaler();
  expect(warn).toHaveBeenCalledWith('torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.');
  expect([scaler.is_enabled(), scaler.get_scale(), scaler.state_dict()]).toEqual([false, 1, {}]);
  const p = new nn.Parameter(torch.ones(1));
  const optimizer = new optim.SGD([p], { lr: 1 });
  scaler.scale(p.sum()).backward();
  scaler.step(optimizer);
  scaler.update();
  expect(p.item()).toBe(0);
  new torch.cpu.amp.GradScaler();
  new torch.cuda.amp.GradScaler({ enabled: false });
  expect(warn.mock.calls.flat()).toEqual(
    expect.arrayContaining([
      "`torch.cpu.amp.GradScaler(args...)` is deprecated. Please use `torch.amp.GradScaler('cpu', args...)` instead.",
      "`torch.cuda.amp.GradScaler(args...)` is deprecated. Please use `torch.amp.GradScaler('cuda', args...)` instead.",
    ]),
  );
});

test('a scaled step under autocast compiles nothing from the third step on and runs two programs: up to the reading, and the step', () => {
  const net = new nn.Sequential(new nn.Linear(8, 16), new nn.LayerNorm(16), new nn.GELU(), new nn.Linear(16, 4));
  const optimizer = new optim.AdamW(net.parameters());
  const scaler = new GradScaler('cpu');
  const [x, y] = [torch.randn(5, 8), torch.randn(5, 4)];
  const step = (): void => {
    optimizer.zero_grad();
    const loss = torch.autocast('cpu', () => nn.functional.mse_loss(net(x) as Tensor, y) as Tensor);
    scaler.scale(loss).backward();
    scaler.step(optimizer);
    scaler.update();
  };
  step();
  step();
  const { statistics } = engineOf('cpu').programs;
  const before = { ...statistics };
  for (let i = 0; i < 10; i++) step();
  expect(statistics.compiled - before.compiled).toBe(0);
  expect(statistics.runs - before.runs).toBe(20);
});
