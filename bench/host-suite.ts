/**
 * `npm run bench -- --suite host`: what a training step costs in JavaScript when nothing is computed.
 *
 * A GPT of 12 layers with AdamW on the `null` device, through the public API: parsing, nodes, tape, look-up, replay. Processor time, the
 * collector's threads included, per recorded call or view; the least of many rounds, since a busy machine only adds to it.
 */
import { NullBackend } from '../src/backend/null/device.ts';
import { Gpt, languageLoss, makeOptimizer } from '../src/cli/gpt.ts';
import { Node } from '../src/graph/node.ts';
import torch, { type Tensor } from '../src/index.ts';
import { engineOf } from '../src/tensor/devices.ts';

const config = { vocabulary: 96, layers: 12, heads: 3, width: 96, context: 96 };
const batch = 16;
const views = ['view', 'permute', 'transpose', 'reshape', 'unbind', 'flatten'] as const;

export interface HostTimes {
  readonly calls: number;
  /** Microseconds of processor time. */
  readonly step: number;
  readonly call: number;
  readonly add: number;
  /** Wall time of the parts of a step in microseconds, least of all steps: the collector mostly left out. */
  readonly parts: Readonly<Record<string, number>>;
}

export function hostSuite(rounds: number): HostTimes {
  torch.set_default_device('null');
  try {
    return measure(rounds);
  } finally {
    torch.set_default_device('cpu');
  }
}

/** As lines of text. */
export function formatHostTimes({ calls, step, call, add, parts }: HostTimes): string {
  const lines = Object.entries(parts).map(([name, time]) => `  ${name}: ${time.toFixed(0)} us of wall time at least`);
  return [
    `host time of a step of ${calls} operator calls: ${step.toFixed(0)} us of processor time, ${call.toFixed(3)} us a call`,
    ...lines,
    `x.add(y), recording alone: ${add.toFixed(3)} us`,
  ].join('\n');
}

function measure(rounds: number): HostTimes {
  const { backend } = engineOf('null');
  const runs = backend instanceof NullBackend ? backend.runs : [];
  const model = new Gpt(config);
  const optimizer = makeOptimizer(model, 3e-3);
  const tokens = (): Tensor => torch.tensor(new BigInt64Array(batch * config.context)).view(batch, config.context);
  const [inputs, targets] = [tokens(), tokens()];
  const parts: Record<string, number> = {};
  const part = <T>(name: string, work: () => T): T => {
    const begin = performance.now();
    const result = work();
    parts[name] = Math.min(parts[name] ?? Number.POSITIVE_INFINITY, (performance.now() - begin) * 1000);
    return result;
  };
  const step = (): void => {
    const loss = part('forward', () => languageLoss(model, inputs, targets));
    part('zero_grad', () => optimizer.zero_grad());
    part('backward', () => loss.backward());
    part('step and flush', () => optimizer.step());
  };
  for (let i = 0; i < 100; i++) step();
  const calls = callsOf(step);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    runs.length = 0;
    const begin = process.cpuUsage();
    for (let i = 0; i < 20; i++) step();
    const { user, system } = process.cpuUsage(begin);
    least = Math.min(least, (user + system) / 20);
  }
  return { calls, step: least, call: least / calls, add: addTime(), parts };
}

/** Calls recorded, one by one, and views made by `work`: in anomaly mode a backward is not recorded as one call. */
function callsOf(work: () => void): number {
  const sequence = (): number => new Node({ outs: [] } as never, [], [], [], null, '').sequence;
  const prototype = torch.Tensor.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = views.map((name) => prototype[name]!);
  let made = 0;
  views.forEach((name, i) => {
    prototype[name] = function (this: unknown, ...args: unknown[]) {
      made++;
      return originals[i]!.apply(this, args);
    };
  });
  const before = sequence();
  torch.autograd.detect_anomaly(work, { check_nan: false });
  const nodes = sequence() - before - 1;
  views.forEach((name, i) => {
    prototype[name] = originals[i]!;
  });
  return nodes + made;
}

function addTime(): number {
  const [x, y] = [torch.ones(16), torch.ones(16)];
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 300; round++) {
    torch.synchronize();
    const begin = performance.now();
    for (let i = 0; i < 1000; i++) x.add(y);
    least = Math.min(least, performance.now() - begin);
  }
  return least;
}
