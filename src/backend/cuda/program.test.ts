/** Programs of the `cuda` device on a driver without a card: what is launched, recorded, replayed; unstable products; host steps; errors. */
import { afterEach, describe, expect, test } from 'vitest';
import torch, { type Tensor } from '../../index.ts';
import { engineOf, registerDevice } from '../../tensor/devices.ts';
import { flags } from '../../util/flags.ts';
import { openCpuBackend } from '../cpu/device.ts';
import { CollectingBackend, KernelTexts } from './collect.ts';
import { CudaBackend } from './device.ts';
import { CudaError, type Driver, RecentLaunches } from './driver.ts';
import { CudaKernels } from './kernel-cache.ts';
import { CudaOutOfMemoryError } from './memory.ts';
import { silentDriver } from './silent-driver.ts';

let calls: string[] = [];
let number = 0;
interface Opened {
  readonly device: string;
  readonly driver: Driver;
  readonly texts: KernelTexts;
}
/** A fresh device with a name of its own. */
function open({ cublas = false, totalBytes = 80 * 2 ** 30 } = {}): Opened {
  calls = [];
  const driver = silentDriver({ totalBytes, log: (call) => calls.push(call) });
  const texts = new KernelTexts();
  const library = cublas ? { path: 'none', run: () => 0 } : null;
  const device = `silent${number++}`;
  registerDevice(device, () => new CudaBackend(0, { driver, kernels: new CudaKernels(driver, texts), cublas: library }));
  return { device, driver, texts };
}
const launches = (): string[] => calls.filter((c) => c.startsWith('launch'));
const compute = (device: string): void => engineOf(device).flush();

afterEach(() => {
  flags.trace = '';
});

describe('a program that repeats', () => {
  /** Four kernels that depend on each other. */
  function step(x: Tensor): Tensor {
    return x.sum(0).sub(x).softmax(0).flip([0]).sum(0).softmax(0).sub(x).amax(1);
  }

  test('is launched kernel by kernel twice, then recorded once and replayed', () => {
    const { device, driver } = open();
    const x = torch.ones([6, 6], { device });
    compute(device);
    const counts = [1, 2, 3, 4].map(() => {
      const before = { ...driver.statistics };
      step(x);
      compute(device);
      const { launches, graphLaunches, captures } = driver.statistics;
      return [launches - before.launches, graphLaunches - before.graphLaunches, captures - before.captures];
    });
    const [single] = counts[0];
    expect(single).toBeGreaterThanOrEqual(3);
    expect(counts).toEqual([
      [single, 0, 0],
      [0, 1, 1],
      [0, 1, 0],
      [0, 1, 0],
    ]);
    expect(launches().at(-1)).toMatch(/^launch a graph of \d+ kernels, /);
  });

  test('sends its argument words only when they have changed', () => {
    const { device } = open();
    const x = torch.ones([6, 6], { device });
    const run = (factor: number): number => {
      calls = [];
      // Results of the same size take the places of those before.
      torch.no_grad(() => x.mul_(factor));
      compute(device);
      return calls.filter((c) => c.startsWith('upload')).length;
    };
    run(2);
    expect(run(3)).toBe(1);
    expect(run(3)).toBe(0);
  });
});

describe('products', () => {
  test('of addresses that change are left out of graphs', () => {
    const { device, driver } = open({ cublas: true });
    const w = torch.ones([32, 32], { device });
    const step = (): void => {
      const x = torch.tensor(new Float32Array(32 * 32), { device }).view([32, 32]);
      x.matmul(w).softmax(1).sum(0).softmax(0).sub(w).amax(1).softmax(0);
      compute(device);
    };
    for (let i = 0; i < 6; i++) step();
    expect(driver.statistics.captures).toBeGreaterThan(0);
    const last = launches().slice(-2);
    expect(last[0]).toMatch(/^launch product .* by cuBLAS$/);
    expect(last[1]).toMatch(/^launch a graph/);
  });

  test('go to our kernel where there is no cuBLAS', () => {
    const { device, texts } = open();
    torch.ones([9, 8], { device }).matmul(torch.ones([8, 8], { device }));
    torch.ones([3, 8], { device }).matmul(torch.ones([8, 8], { device }));
    compute(device);
    const names = [...texts.texts.values()].map((t) => t.name);
    expect(names).toContain('product_float32_float32_float32');
    expect(names).toContain('small_product_columns_4x1_float32_float32');
  });
});

test('a host step runs between two segments: its operands come down, its results go up', () => {
  const { device } = open();
  torch.ones([4, 4], { device }).mul(2).sort(1)[0].add(1);
  compute(device);
  const [down, up] = [calls.findIndex((c) => c.startsWith('download')), calls.findLastIndex((c) => c.startsWith('upload'))];
  const before = calls.slice(0, down).filter((c) => c.startsWith('launch'));
  const after = calls.slice(up).filter((c) => c.startsWith('launch'));
  expect([down > 0, up > down, before.length > 0, after.length > 0]).toEqual([true, true, true, true]);
});

test('the flag profile times each kernel and says what it moves', () => {
  const { device } = open();
  const lines: string[] = [];
  const { error } = console;
  console.error = (line: string) => void lines.push(line);
  try {
    flags.trace = 'profile';
    torch.ones([1000], { device }).mul(2);
    compute(device);
  } finally {
    console.error = error;
  }
  expect(lines.some((l) => /us +\d+\.\d+ MB +.*GB\/s {2}\w+/.test(l))).toBe(true);
});

test('a kernel has the same name and text in every process, whatever was compiled before', () => {
  const textsOf = (prepare: (device: string) => void): string[] => {
    const { device, texts } = open();
    prepare(device);
    texts.texts.clear();
    torch.ones([33], { device }).mul(3).exp();
    compute(device);
    return [...texts.texts.keys()];
  };
  const second = textsOf((device) => {
    torch.ones([5], { device }).sin();
    compute(device);
  });
  expect(second).toEqual(textsOf(() => {}));
});

test('when memory runs out the error has PyTorch’s words, and what was there is still there', () => {
  const { device } = open({ totalBytes: 2 ** 30 });
  const x = torch.ones([1000], { device });
  compute(device);
  const ask = (): void => {
    torch.ones([2 ** 29], { device });
    compute(device);
  };
  expect(ask).toThrow(CudaOutOfMemoryError);
  expect(ask).toThrow(
    /^CUDA out of memory\. Tried to allocate 2\.0 GiB\. GPU 0 has a total capacity of 1\.0 GiB of which \d+\.\d MiB is free\. /,
  );
  x.add(1);
  compute(device);
  expect(launches().length).toBeGreaterThan(0);
});

test('an error that shows late names what was launched since the device was last waited for', () => {
  const recent = new RecentLaunches();
  expect(recent.text).toBe('');
  recent.note('mul');
  expect(recent.text).toBe(' in the kernel mul');
  recent.note('sum');
  expect(recent.text).toMatch(/^ in one of 2 launches since the device was last waited for: mul; sum\. CUDA_LAUNCH_BLOCKING=1/);
  for (let i = 0; i < 9; i++) recent.note(`k${i}`);
  expect(recent.text).toMatch(/one of 11 launches .*, the last of them k3; k4; k5; k6; k7; k8\./);
  recent.clear();
  expect(recent.text).toBe('');
});

test('a fault of the driver is an error of the run, not a crash', () => {
  const driver = silentDriver();
  const broken: Driver = {
    ...driver,
    launch: (_, label) => {
      throw new CudaError(719, `CUDA error: unspecified launch failure (launching ${label})`);
    },
  };
  registerDevice('broken', () => new CudaBackend(0, { driver: broken, kernels: new CudaKernels(broken, new KernelTexts()), cublas: null }));
  torch.ones([3], { device: 'broken' }).sin();
  expect(() => engineOf('broken').flush()).toThrow(/unspecified launch failure \(launching [a-z]+_\d+ \[/);
});

test('the collecting device computes on another one and keeps the text of every kernel', () => {
  const collecting = new CollectingBackend(openCpuBackend());
  registerDevice('collecting', () => collecting);
  const x = torch.tensor([3, 1, 2], { device: 'collecting' });
  expect(x.sort()[0].mul(2).tolist()).toEqual([2, 4, 6]);
  const texts = [...collecting.kernels.texts.values()];
  expect(texts.length).toBeGreaterThan(0);
  for (const { name, source } of texts) expect(source).toContain(`extern "C" __global__ void __launch_bounds__(256) ${name}(`);
});
