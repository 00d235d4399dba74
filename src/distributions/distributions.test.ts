/**
 * Every distribution against PyTorch 2.11: samples of seeds, densities, moments, gradients, expanded copies, texts, divergences.
 * `distributions.fixture.json` is PyTorch's, each case a constructor call.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type DType, float32, float64 } from '../dtype/dtype.ts';
import type { Tensor } from '../ops/methods.ts';
import { torch } from '../torch.ts';
import type { Distribution } from './index.ts';
import * as distributions from './index.ts';

interface Recorded {
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
}
type Encoded = number | null | { readonly t: unknown } | Call;
interface Call {
  readonly d: string;
  readonly args: readonly Encoded[];
  readonly kwargs: Readonly<Record<string, Encoded>>;
}
interface Case {
  readonly make: Call;
  readonly sample32?: Recorded;
  readonly sample64: Recorded;
  readonly batch_shape: number[];
  readonly event_shape: number[];
  readonly has_rsample: boolean;
  readonly log_prob_grads: readonly (Recorded | null)[];
  readonly rsample_grads?: readonly (Recorded | null)[];
  readonly repr: string;
  readonly expanded: { readonly batch_shape: number[]; readonly event_shape: number[]; readonly log_prob: Recorded };
  readonly [moment: string]: unknown;
}
interface Fixture {
  readonly cases: readonly Case[];
  readonly kl: readonly { readonly p: Call; readonly q: Call; readonly value: Recorded }[];
  readonly errors: readonly { readonly make: Call; readonly what: 'make' | 'log_prob' | 'mode'; readonly text: string }[];
  readonly transforms: readonly {
    readonly name: string;
    readonly x: Recorded;
    readonly y: Recorded;
    readonly back: Recorded;
    readonly log: Recorded;
  }[];
}
const numberOf = (x: number | string): number =>
  typeof x === 'number' ? x : x === 'nan' ? Number.NaN : x === 'inf' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
const fixture = JSON.parse(readFileSync(new URL('./distributions.fixture.json', import.meta.url), 'utf8')) as Fixture;
const classes = distributions as unknown as Record<string, new (...args: unknown[]) => Distribution>;

function make(call: Call, dtype: DType, leaves: Tensor[] | null = null): Distribution {
  const decode = (x: Encoded): unknown => {
    if (x === null || typeof x === 'number') return x;
    if ('d' in x) return make(x, dtype, leaves);
    const t = torch.tensor(x.t as number[], { dtype });
    if (leaves !== null) leaves.push(t.requires_grad_());
    return t;
  };
  const args = call.args.map(decode);
  const keywords = Object.fromEntries(Object.entries(call.kwargs).map(([k, v]) => [k, decode(v)]));
  return new classes[call.d](...args, keywords);
}
const values = (t: Tensor): number[] => [...(t.detach().double().contiguous().numpy() as Float64Array)];
const tensorOf = (r: Recorded): Tensor => torch.tensor(r.data.map(numberOf), { dtype: float64 }).reshape([...r.shape]);
function expectClose(actual: Tensor, recorded: Recorded, relative: number, what: string): void {
  expect(actual.shape, what).toEqual(recorded.shape);
  values(actual).forEach((a, i) => {
    const e = numberOf(recorded.data[i]);
    const same = Object.is(a, e) || a === e || Math.abs(a - e) <= relative * Math.abs(e) + relative * 0.1;
    expect(same, `${what}[${i}]: ${a} instead of ${e}`).toBe(true);
  });
}
function expectGradients(actual: readonly (Tensor | null)[], recorded: readonly (Recorded | null)[], relative: number): void {
  recorded.forEach((r, i) => {
    const a = actual[i];
    if (r === null || r.data.every((v) => v === 0)) expect(a === null || values(a).every((v) => v === 0), `gradient ${i}`).toBe(true);
    else expectClose(a as Tensor, r, relative, `gradient ${i}`);
  });
}
const grads = (y: Tensor, leaves: readonly Tensor[]): (Tensor | null)[] =>
  torch.autograd.grad(y, leaves, null, { allow_unused: true }) as (Tensor | null)[];

const moments = ['mean', 'mode', 'variance', 'stddev'] as const;

describe.each(fixture.cases.map((c, i) => [`${c.make.d} (${i})`, c] as const))('%s', (_, c) => {
  test('has the shapes and the text of PyTorch', () => {
    const d = make(c.make, float32);
    expect([d.batch_shape, d.event_shape, d.has_rsample]).toEqual([c.batch_shape, c.event_shape, c.has_rsample]);
    expect(String(d)).toBe(c.repr);
  });
  test('draws the numbers of the seed', () => {
    torch.manual_seed(7);
    expectClose(make(c.make, float64).sample([4]), c.sample64, 1e-9, 'float64');
    if (c.sample32 === undefined) return;
    torch.manual_seed(7);
    expectClose(make(c.make, float32).sample([4]), c.sample32, 2e-5, 'float32');
  });
  test('has the moments, entropy, density and quantiles of PyTorch', () => {
    const d = make(c.make, float64);
    const value = tensorOf(c.sample64);
    for (const name of moments) {
      if (c[name] === null) expect(() => d[name], name).toThrow();
      else expectClose(d[name], c[name] as Recorded, 1e-7, name);
    }
    const ways = {
      entropy: () => d.entropy(),
      log_prob: () => d.log_prob(value),
      cdf: () => d.cdf(value),
      icdf: () => d.icdf(torch.tensor(0.3, { dtype: float64 })),
    };
    for (const [name, compute] of Object.entries(ways)) {
      if (c[name] === null) expect(compute, name).toThrow();
      else expectClose(compute(), c[name] as Recorded, 1e-7, name);
    }
  });
  test('passes gradients through densities and samples', () => {
    const leaves: Tensor[] = [];
    const log = make(c.make, float64, leaves).log_prob(tensorOf(c.sample64));
    if (log.requires_grad) expectGradients(grads(log.sum(), leaves), c.log_prob_grads, 1e-6);
    else expect(c.log_prob_grads.every((g) => g === null)).toBe(true);
    if (c.rsample_grads === undefined) return;
    const others: Tensor[] = [];
    const d = make(c.make, float64, others);
    torch.manual_seed(7);
    const s = d.rsample([4]);
    const weights = torch.arange(s.numel(), { dtype: float64 }).reshape(s.shape).mul(0.1).add(1);
    expectGradients(grads(s.mul(weights).sum(), others), c.rsample_grads, 1e-6);
  });
  test('expands to a larger batch', () => {
    const d = make(c.make, float64);
    const e = d.expand([2, ...d.batch_shape]);
    expect(e).toBeInstanceOf(d.constructor);
    expect([e.batch_shape, e.event_shape]).toEqual([c.expanded.batch_shape, c.expanded.event_shape]);
    expectClose(e.log_prob(tensorOf(c.sample64).narrow(0, 0, 2)), c.expanded.log_prob, 1e-7, 'log_prob');
  });
});

describe('kl_divergence', () => {
  test.each(fixture.kl.map((k) => [`${k.p.d} ${k.q.d}`, k] as const))('%s', (_, { p, q, value }) => {
    expectClose(distributions.kl_divergence(make(p, float64), make(q, float64)), value, 1e-7, 'divergence');
  });
  test('a registered pair is used, also for subclasses, until a more specific one is', () => {
    class Mine extends distributions.Normal {}
    class Other extends distributions.Cauchy {}
    const [p, q] = [new Mine(0, 1), new Other(0, 1)];
    expect(() => distributions.kl_divergence(p, q)).toThrow('No KL(p || q) is implemented for p type Mine and q type Other');
    distributions.register_kl(Mine, distributions.Cauchy, (a) => a.loc.add(1));
    expect(distributions.kl_divergence(p, q).item()).toBe(1);
    distributions.register_kl(Mine, Other, (a) => a.loc.add(2));
    expect(distributions.kl_divergence(p, q).item()).toBe(2);
    expect(distributions.kl_divergence(p, new distributions.Normal(0, 1)).item()).toBe(0);
  });
});

describe('errors', () => {
  const value: Record<string, number[]> = { Normal: [-1, 2] };
  test.each(fixture.errors.map((e, i) => [`${i}: ${e.make.d} ${e.what}`, e] as const))('%s', (_, e) => {
    const run = (): unknown => {
      const d = make(e.make, float32);
      return e.what === 'mode' ? d.mode : d.log_prob(torch.tensor(value[e.make.d] ?? [-1]));
    };
    let text = '';
    try {
      run();
    } catch (error) {
      text = (error as Error).message;
    }
    expect(text).toBe(e.text);
  });
  test('arguments are not looked at with validate_args: false', () => {
    expect(new distributions.Normal(0, -1, { validate_args: false }).log_prob(torch.tensor(1)).isnan().item()).toBe(true);
    distributions.Distribution.set_default_validate_args(false);
    try {
      expect(new distributions.Normal({ loc: 0, scale: -1 }).scale.item()).toBe(-1);
    } finally {
      distributions.Distribution.set_default_validate_args(true);
    }
    expect(() => new distributions.Normal(0, -1)).toThrow('to satisfy the constraint GreaterThan(lower_bound=0.0)');
  });
});

describe('transforms', () => {
  const transforms = distributions.transforms as unknown as Record<string, new () => distributions.Transform>;
  test.each(fixture.transforms.map((t) => [t.name, t] as const))('%s', (name, { x, y, back, log }) => {
    const t = new transforms[name]();
    const mapped = t(tensorOf(x));
    expectClose(mapped, y, 1e-9, 'forward');
    expectClose(t.inv(mapped), back, 1e-6, 'back');
    expectClose(t.log_abs_det_jacobian(tensorOf(x), mapped), log, 1e-7, 'log of the determinant');
  });
  test('a chain has the sum of the determinants, and its inverse goes back', () => {
    const chain = new distributions.ComposeTransform([new distributions.AffineTransform(1, -2), new distributions.ExpTransform()]);
    const x = torch.tensor([0.5, 1], { dtype: float64 });
    const y = chain(x);
    expect(values(y)).toEqual([1, Math.exp(-1)]);
    expect(values(chain.inv(y))).toEqual([0.5, 1]);
    expect(values(chain.log_abs_det_jacobian(x, y))).toEqual([Math.LN2, Math.LN2 - 1]);
    expect(chain.sign).toBe(-1);
  });
  test('a cache gives back the very tensor that was mapped', () => {
    const t = new distributions.TanhTransform({ cache_size: 1 });
    const x = torch.tensor([20]);
    expect(t.inv(t(x))).toBe(x);
    expect(new distributions.TanhTransform().inv(new distributions.TanhTransform()(x)).item()).toBe(Number.POSITIVE_INFINITY);
  });
  test('a constraint leads to a transform that satisfies it', () => {
    const { biject_to, constraints, transform_to } = distributions;
    const x = torch.tensor(
      [
        [0.3, -2],
        [1, 4],
      ],
      { dtype: float64 },
    );
    for (const c of [
      constraints.positive,
      constraints.unit_interval,
      constraints.interval(-1, 3),
      constraints.less_than(-2),
      constraints.simplex,
    ]) {
      for (const registry of [biject_to, transform_to]) expect(c.check(registry(c)(x)).all().item()).toBe(true);
    }
    for (const c of [constraints.lower_cholesky, constraints.positive_definite])
      expect(c.check(transform_to(c)(x)).all().item()).toBe(true);
    expect(() => transform_to(constraints.boolean)).toThrow('Cannot transform');
  });
});

test('supports are enumerated over the batch', () => {
  const d = new distributions.Categorical(
    torch.tensor([
      [0.2, 0.8],
      [0.5, 0.5],
    ]),
  );
  expect(d.enumerate_support().tolist()).toEqual([
    [0, 0],
    [1, 1],
  ]);
  expect(d.enumerate_support(false).shape).toEqual([2, 1]);
  expect(new distributions.OneHotCategorical(torch.tensor([0.2, 0.8])).enumerate_support().tolist()).toEqual([
    [1, 0],
    [0, 1],
  ]);
  expect(() => new distributions.Binomial(torch.tensor([1, 2]), torch.tensor([0.5, 0.5])).enumerate_support()).toThrow(
    'Inhomogeneous total count not supported by `enumerate_support`.',
  );
});

test('perplexity is the exponential of the entropy', () => {
  expect(new distributions.Categorical(torch.ones([4], { dtype: float64 })).perplexity().item()).toBeCloseTo(4, 12);
});
