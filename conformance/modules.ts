/**
 * Records of `nn.json.gz`: modules, optimizer trajectories, schedulers, distributions, divergences, and the CPU generator's streams.
 *
 * Constructors take PyTorch's arguments: positional as recorded, keywords in one trailing options object.
 */
import { type AnyTensor, type Callable, core, dtypeNamed, isTensor, lookup, NotThere, need, needMethod } from './api.ts';
import { type AtenSchemas, Decoder, leavesOf, parseFloatText, plain, upload } from './arguments.ts';
import type {
  Archive,
  DistributionRecord,
  DivergenceRecord,
  Encoded,
  GeneratorRecord,
  ModuleRecord,
  NetworkRecord,
  OptimRecord,
  SchedulerRecord,
} from './data.ts';
import { referencesOf } from './data.ts';
import { type HostTensor, numbers } from './host.ts';
import { compare, compareScalar } from './judge.ts';
import { collect, download, expectedLeaves, isHost, judgeGradient, messageOf } from './operators.ts';
import { toleranceOf } from './tolerances.ts';

type Constructor = new (...args: unknown[]) => object;

/** A class at one of some paths; the first is the one that a failure names. */
function needClass(...paths: string[]): Constructor {
  for (const path of paths) {
    const found = lookup(path);
    if (typeof found === 'function') return found as unknown as Constructor;
  }
  throw new NotThere(paths[0]);
}

/** Positional arguments, then keywords in one object where there are any. */
function construct(type: Constructor, args: readonly unknown[], kwargs: Record<string, unknown>): object {
  const given = args.map(plain);
  if (Object.keys(kwargs).length > 0) given.push(plain(kwargs));
  return new type(...given);
}

export async function runNetwork(
  record: NetworkRecord,
  archive: Archive<NetworkRecord>,
  device: string,
  _schemas: AtenSchemas,
): Promise<string | null> {
  const decoder = new Decoder({ device, tensor: archive.tensor });
  if ('module' in record) return runModule(record as ModuleRecord, archive, decoder, device);
  if ('optim' in record) return runOptimizer(record as OptimRecord, archive, decoder, device);
  if ('scheduler' in record) return runScheduler(record as SchedulerRecord, decoder, device);
  if ('dist' in record) return runDistribution(record as DistributionRecord, archive, decoder);
  if ('kl' in record) return runDivergence(record as DivergenceRecord, archive, decoder);
  return runGenerator(record as GeneratorRecord, archive);
}

// ---- modules

interface ModuleLike {
  (...args: unknown[]): unknown;
  load_state_dict(state: ReadonlyMap<string, AnyTensor>): unknown;
  state_dict(): ReadonlyMap<string, AnyTensor>;
  named_parameters(): Iterable<readonly [string, AnyTensor]>;
  train(mode?: boolean): unknown;
  to(device: string): unknown;
}

async function runModule(record: ModuleRecord, archive: Archive<unknown>, decoder: Decoder, device: string): Promise<string | null> {
  const className = record.module.slice(record.module.lastIndexOf('.') + 1);
  const factor = toleranceOf(`nn.${className}`);
  const type = needClass(`nn.${className}`);
  const module = construct(type, decoder.list(record.ctor.args), decoder.keywords(record.ctor.kwargs)) as unknown as ModuleLike;
  const anyDtype = Object.values(record.state)[0];
  if (anyDtype !== undefined) {
    const { dtype } = archive.tensor(anyDtype.t);
    if (dtype !== 'float32' && dtype !== 'int64') (module.to as Callable)(dtypeNamed(dtype));
  }
  module.to(device);
  module.load_state_dict(new Map(Object.entries(record.state).map(([name, r]) => [name, upload(archive.tensor(r.t), device)])));
  module.train(record.training);
  const args = decoder.list(record.args).map(plain);
  const keywords = plain(decoder.keywords(record.kwargs)) as Record<string, unknown>;
  // A forward of one argument takes it by position, whatever Python calls it.
  if (args.length === 0 && 'input' in keywords) {
    args.push(keywords['input']);
    delete keywords['input'];
  }
  const result = module(...args, ...(Object.keys(keywords).length > 0 ? [keywords] : []));
  const leaves = leavesOf(result instanceof Promise ? await result : result);

  // Gradients of parameters and inputs together, before anything is read.
  const expectedOut = referencesOf(record.out);
  const outputs = leaves.filter((leaf, i): leaf is AnyTensor => isTensor(leaf) && expectedOut[i]?.rg === true);
  const missing = outputs.findIndex((o) => !o.requires_grad);
  if (missing >= 0) return `output ${missing} does not require grad`;
  const parameters = new Map(module.named_parameters());
  const names = Object.keys(record.param_grads);
  for (const name of names) if (!parameters.has(name)) return `no parameter ${name}`;
  const wrt = [...names.map((name) => parameters.get(name)!), ...decoder.leaves];
  let grads: readonly (AnyTensor | null)[] = [];
  let failure: unknown = null;
  if (wrt.length > 0 && outputs.length > 0 && record.grad_out.length > 0) {
    try {
      grads = core.autograd.grad(
        outputs,
        wrt,
        record.grad_out.map((g) => upload(archive.tensor(g.t), device)),
        { allow_unused: true },
      );
    } catch (error) {
      failure = error;
    }
  }
  const actual = await collect(leaves);
  const expected = expectedLeaves(record.out, archive).filter((e) => isHost(e));
  const tensors = actual.filter((x) => isHost(x));
  if (tensors.length !== expected.length) return `${tensors.length} results instead of ${expected.length}`;
  for (let i = 0; i < expected.length; i++) {
    const mismatch = compare(tensors[i] as HostTensor, expected[i] as HostTensor, factor);
    if (mismatch !== null) return `result ${i}: ${mismatch}`;
  }
  if (failure !== null) throw new Error(`backward: ${messageOf(failure)}`);
  for (const [i, name] of names.entries()) {
    const reference = record.param_grads[name];
    const mismatch = await judgeGradient(grads[i] ?? null, reference === null ? null : archive.tensor(reference.t), factor);
    if (mismatch !== null) return `gradient of ${name}: ${mismatch}`;
  }
  for (const [i, reference] of record.input_grads.entries()) {
    const found = grads[names.length + i] ?? null;
    const mismatch = await judgeGradient(found, reference === null ? null : archive.tensor(reference.t), factor);
    if (mismatch !== null) return `gradient of input ${i}: ${mismatch}`;
  }
  const state = module.state_dict();
  for (const [name, reference] of Object.entries(record.state_after)) {
    const found = state.get(name);
    if (found === undefined) return `no ${name} in the state dict`;
    const mismatch = compare(await download(found), archive.tensor(reference.t), factor);
    if (mismatch !== null) return `${name} afterwards: ${mismatch}`;
  }
  return null;
}

// ---- optimizers and schedulers

interface OptimizerLike {
  step(closure?: () => unknown): unknown;
  zero_grad(): void;
  readonly param_groups: readonly Record<string, unknown>[];
}

const operator = (name: string, ...args: unknown[]): AnyTensor => need(name)(...args) as AnyTensor;

/** mean((X @ w.T + b - Y)^2); for Muon b is a matrix: mean((X @ w.T - Y)^2) + mean(b^2). */
function lossOf(w: AnyTensor, b: AnyTensor, x: AnyTensor, y: AnyTensor, muon: boolean): AnyTensor {
  const product = operator('matmul', x, operator('transpose', w, 0, 1));
  const error = operator('sub', muon ? product : operator('add', product, b), y);
  const loss = operator('mean', operator('mul', error, error));
  return muon ? operator('add', loss, operator('mean', operator('mul', b, b))) : loss;
}

async function runOptimizer(record: OptimRecord, archive: Archive<unknown>, decoder: Decoder, device: string): Promise<string | null> {
  const type = needClass(`optim.${record.optim}`);
  const factor = toleranceOf(`optim.${record.optim}`);
  const fixed = (r: { readonly t: number }): AnyTensor => upload(archive.tensor(r.t), device);
  const [w, b, x, y] = [fixed(record.w0), fixed(record.b0), fixed(record.X), fixed(record.Y)];
  w.requires_grad_();
  b.requires_grad_();
  const optimizer = construct(type, [[w, b]], decoder.value(record.kwargs) as Record<string, unknown>) as unknown as OptimizerLike;
  const muon = record.optim === 'Muon';
  const backward = needMethod('backward');
  for (const [i, wanted] of record.traj.entries()) {
    // The closure runs several times in a step (LBFGS); the recorded loss is that of its first run.
    let first: AnyTensor | null = null;
    const closure = (): AnyTensor => {
      optimizer.zero_grad();
      const loss = lossOf(w, b, x, y, muon);
      first ??= loss;
      backward.call(loss);
      if (record.optim === 'SparseAdam') for (const p of [w, b]) p.grad = needMethod('to_sparse').call(p.grad) as AnyTensor;
      return loss;
    };
    const needsClosure = record.optim === 'LBFGS';
    if (!needsClosure) closure();
    const stepped = needsClosure ? optimizer.step(closure) : optimizer.step();
    if (stepped instanceof Promise) await stepped;
    const loss = await download(first!);
    const lossMismatch = compareScalar(numbers(loss)[0], parseFloatText(wanted.loss.f), loss.dtype, factor);
    if (lossMismatch !== null) return `loss before step ${i}: ${lossMismatch}`;
    for (const [name, p, reference] of [
      ['w', w, wanted.w],
      ['b', b, wanted.b],
    ] as const) {
      const mismatch = compare(await download(p), archive.tensor(reference.t), factor);
      if (mismatch !== null) return `${name} after step ${i}: ${mismatch}`;
    }
  }
  return null;
}

async function runScheduler(record: SchedulerRecord, decoder: Decoder, device: string): Promise<string | null> {
  const type = needClass(`optim.lr_scheduler.${record.scheduler}`);
  const p = upload({ dtype: 'float32', shape: [1], bytes: new Uint8Array(4) }, device);
  p.requires_grad_();
  const optimizer = construct(needClass('optim.SGD'), [[p]], { lr: record.base_lr, momentum: 0.9 }) as unknown as OptimizerLike;
  const scheduler = construct(type, [optimizer], decoder.value(record.kwargs) as Record<string, unknown>) as { step(): void };
  for (const [epoch, [lr, momentum]] of record.trace.entries()) {
    const group = optimizer.param_groups[0];
    const mismatch =
      compareScalar(Number(group['lr']), parseFloatText(lr)) ?? compareScalar(Number(group['momentum']), parseFloatText(momentum));
    if (mismatch !== null) return `epoch ${epoch}: ${mismatch}`;
    if (epoch === record.trace.length - 1) break;
    optimizer.step();
    scheduler.step();
  }
  return null;
}

// ---- distributions

type DistributionLike = Record<string, unknown>;

function makeDistribution(name: string, args: readonly Encoded[], decoder: Decoder): DistributionLike {
  return construct(needClass(`distributions.${name}`), decoder.list(args), { validate_args: false }) as DistributionLike;
}

/** A property, or the result of a method of no arguments. */
function momentOf(d: DistributionLike, name: string, ...args: unknown[]): unknown {
  const found = d[name];
  if (found === undefined) throw new NotThere(`distributions: ${name}`);
  return typeof found === 'function' ? (found as Callable).call(d, ...args) : found;
}

async function runDistribution(record: DistributionRecord, archive: Archive<unknown>, decoder: Decoder): Promise<string | null> {
  const d = makeDistribution(record.dist, record.args, decoder);
  const value = decoder.value(record.value);
  const factor = toleranceOf(`distributions.${record.dist}`);
  for (const [name, encoded] of Object.entries(record)) {
    if (name === 'dist' || name === 'args' || name === 'value') continue;
    const args = name === 'log_prob' || name === 'cdf' ? [value] : name === 'icdf' ? [probability(archive, encoded, decoder)] : [];
    const [actual] = await collect(momentOf(d, name, ...args));
    const [expected] = expectedLeaves(encoded, archive);
    if (!isHost(actual) || !isHost(expected)) return `${name}: not a tensor`;
    const mismatch = compare(actual, expected, factor);
    if (mismatch !== null) return `${name}: ${mismatch}`;
  }
  return null;
}

/** 0.3 as a 0-d tensor of the result's dtype. */
function probability(archive: Archive<unknown>, expected: Encoded, decoder: Decoder): AnyTensor {
  const [host] = expectedLeaves(expected, archive);
  return operator('full', [], 0.3, { dtype: dtypeNamed((host as HostTensor).dtype), device: decoder.options.device });
}

async function runDivergence(record: DivergenceRecord, archive: Archive<unknown>, decoder: Decoder): Promise<string | null> {
  const [p, q] = record.kl;
  const kl = need('distributions.kl_divergence');
  const [actual] = await collect(kl(makeDistribution(p, record.p, decoder), makeDistribution(q, record.q, decoder)));
  const [expected] = expectedLeaves(record.value, archive);
  if (!isHost(actual)) return 'not a tensor';
  return compare(actual, expected as HostTensor, toleranceOf(`kl ${p} ${q}`));
}

// ---- the CPU generator

const cpu = { device: 'cpu' };
const inPlace = (name: string, dtype: string, size: number, ...args: unknown[]): unknown =>
  needMethod(name).call(operator('empty', [size], { dtype: dtypeNamed(dtype), ...cpu }), ...args);
const filled = (size: readonly number[], value: number): AnyTensor =>
  operator('full', [...size], value, { dtype: dtypeNamed('float32'), ...cpu });
const draw = (name: string, dtype: string, size: number): unknown => need(name)([size], { dtype: dtypeNamed(dtype), ...cpu });
const weights = (): AnyTensor => operator('tensor', [0.1, 0.2, 0.3, 0.4], { dtype: dtypeNamed('float32'), ...cpu });
const weightOf = (type: Constructor): unknown => ((new type(3, 4) as { weight: AnyTensor }).weight as AnyTensor).detach();

/** What each recorded name draws, always on the CPU. */
const draws: Readonly<Record<string, () => unknown>> = {
  rand: () => draw('rand', 'float32', 20),
  rand_f64: () => draw('rand', 'float64', 20),
  rand_bf16: () => draw('rand', 'bfloat16', 20),
  randn_small: () => draw('randn', 'float32', 7),
  randn_big: () => draw('randn', 'float32', 40),
  randn_f64: () => draw('randn', 'float64', 20),
  randn_f16: () => draw('randn', 'float16', 20),
  randint: () => need('randint')(0, 1000, [20], cpu),
  randint_big: () => need('randint')(-(2 ** 40), 2 ** 40, [10], cpu),
  randperm: () => need('randperm')(30, cpu),
  bernoulli: () => need('bernoulli')(filled([20], 0.3)),
  normal: () => need('normal')(filled([20], 0), filled([20], 2)),
  exponential: () => inPlace('exponential_', 'float32', 20, 2),
  uniform: () => inPlace('uniform_', 'float32', 20, -1, 3),
  multinomial: () => need('multinomial')(weights(), 12, true),
  multinomial_norep: () => need('multinomial')(weights(), 4),
  cauchy: () => inPlace('cauchy_', 'float32', 10),
  log_normal: () => inPlace('log_normal_', 'float32', 10),
  geometric: () => inPlace('geometric_', 'float32', 10, 0.3),
  poisson: () => need('poisson')(filled([10], 3)),
  gamma: () => need('_standard_gamma')(filled([10], 2)),
  dropout: () => need('nn.functional.dropout')(filled([30], 1), 0.4),
  linear_init: () => weightOf(needClass('nn.Linear')),
  emb_init: () => weightOf(needClass('nn.Embedding')),
  random_: () => inPlace('random_', 'int64', 10),
};

async function runGenerator(record: GeneratorRecord, archive: Archive<unknown>): Promise<string | null> {
  const make = draws[record.rng];
  if (make === undefined) return `the harness does not know ${record.rng}`;
  const setDevice = need('set_default_device');
  const before = need('get_default_device')();
  setDevice('cpu');
  try {
    core.manual_seed(record.seed);
    for (const [which, reference] of [
      ['first', record.first],
      ['second', record.second],
    ] as const) {
      const [actual] = await collect(make());
      if (!isHost(actual)) return `${which}: not a tensor`;
      // Bit for bit: values of a stream are promised exactly.
      const expected = archive.tensor(reference.t);
      const mismatch = compare(actual, expected);
      if (mismatch !== null) return `${which}: ${mismatch}`;
      if (!actual.bytes.every((byte, i) => byte === expected.bytes[i])) return `${which}: near, but not bit-equal`;
    }
  } finally {
    setDevice(before);
  }
  return null;
}
