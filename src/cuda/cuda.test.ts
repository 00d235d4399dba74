/** `torch.cuda` without a card, and over a driver that does nothing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelTexts } from '../backend/cuda/collect.ts';
import { CudaBackend } from '../backend/cuda/device.ts';
import { probeDevices } from '../backend/cuda/driver.ts';
import { CudaKernels } from '../backend/cuda/kernel-cache.ts';
import { silentDriver } from '../backend/cuda/silent-driver.ts';
import torch, { nn } from '../index.ts';
import { registerDevice } from '../tensor/devices.ts';

const { cuda } = torch;

describe.skipIf('count' in probeDevices())('without a card', () => {
  test('what only asks says that there is none', () => {
    expect(cuda.is_available()).toBe(false);
    expect(cuda.device_count()).toBe(0);
    expect(cuda.is_initialized()).toBe(false);
    expect([cuda.memory_allocated(), cuda.max_memory_reserved()]).toEqual([0, 0]);
    cuda.empty_cache();
    cuda.reset_peak_memory_stats();
    expect(cuda.memory_summary()).toContain('Allocated memory');
    expect(cuda.get_arch_list()).toEqual([]);
  });

  test('what needs one says what is missing', () => {
    for (const ask of [
      () => cuda.get_device_name(),
      () => cuda.synchronize(),
      () => cuda.init(),
      () => torch.ones([1], { device: 'cuda' }),
      () => torch.ones(1).cuda(),
      () => new nn.Linear(1, 1).cuda(0),
    ])
      expect(ask).toThrow(/^The cuda device cannot be used: /);
    expect(() => cuda.set_device(0)).toThrow();
  });
});

describe('over a driver that does nothing', () => {
  const drivers = [0, 1].map((index) => silentDriver({ index }));
  beforeAll(() => {
    drivers.forEach((driver, index) => {
      const parts = { driver, kernels: new CudaKernels(driver, new KernelTexts()), cublas: null };
      registerDevice(index === 0 ? 'cuda' : `cuda:${index}`, () => new CudaBackend(index, parts));
    });
  });
  afterAll(() => {
    registerDevice('cuda', () => new CudaBackend());
    registerDevice('cuda:1', () => new CudaBackend(1));
  });

  test('cuda:0 is cuda wherever a device is taken', () => {
    expect(torch.device('cuda:0')).toBe('cuda');
    expect(torch.device('cuda', 1)).toBe('cuda:1');
    expect(torch.ones([1], { device: 'cuda:0' }).device).toBe('cuda');
    expect(torch.ones([1]).to('cuda:0').device).toBe('cuda');
    expect(torch.ones([1]).to({ device: 'cuda:0' }).device).toBe('cuda');
    expect(torch.arange(3, { device: 'cuda:0' }).device).toBe('cuda');
    expect(torch.tensor([1], { device: 'cuda:0' }).device).toBe('cuda');
    expect(new nn.Linear(2, 2).to('cuda:0').weight.device).toBe('cuda');
    expect(torch.ones([1], { device: 'cpu:0' }).device).toBe('cpu');
    torch.synchronize('cuda:0');
    cuda.synchronize('cuda:0');
    expect(() => torch.device('cpu:1')).toThrow('invalid device ordinal');
    expect(() => torch.device('gpu:0')).toThrow('Expected one of ');
    expect(() => torch.ones([1], { device: 'gpu' })).toThrow('Expected one of ');
    expect(() => cuda.memory_allocated('cpu')).toThrow('Expected a cuda device, but got: cpu');
    expect(() => cuda.synchronize(-1)).toThrow('invalid device ordinal');
  });

  test('cuda() goes to a card, by number too', () => {
    expect(torch.ones(2).cuda().device).toBe('cuda');
    expect(new nn.Linear(2, 2).cuda(0).weight.device).toBe('cuda');
    expect(torch.ones(2).cuda(1).device).toBe('cuda:1');
  });

  test('tensors of two cards are not mixed', () => {
    const [a, b] = [torch.ones([2], { device: 'cuda' }), torch.ones([2], { device: 'cuda:1' })];
    expect(b.device).toBe('cuda:1');
    expect(() => a.add(b)).toThrow(/same device/);
    expect(() => a.add(torch.ones([2]))).toThrow(
      'Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!',
    );
    expect(a.add(b.to('cuda')).device).toBe('cuda');
  });

  test('a copy between devices is on the tape', () => {
    const x = torch.ones([2], { requires_grad: true });
    x.mul(3).to('cuda').mul(2).sum().backward();
    expect([x.grad!.device, x.grad!.shape]).toEqual(['cpu', [2]]);
    const layer = new nn.Linear(2, 2).to('cuda');
    expect([layer.weight.is_leaf, layer.weight.requires_grad]).toEqual([true, true]);
    expect(torch.no_grad(() => x.to('cuda')).requires_grad).toBe(false);
  });

  test('facts of the card', () => {
    expect(cuda.get_device_name(1)).toBe('a card that is not there');
    expect(cuda.get_device_capability()).toEqual([9, 0]);
    expect(cuda.get_device_properties('cuda:0')).toMatchObject({
      major: 9,
      minor: 0,
      multi_processor_count: 132,
      total_memory: 80 * 2 ** 30,
    });
    expect(cuda.current_device()).toBe(0);
  });

  test('memory: what is allocated, its peak, and the reset', () => {
    const before = cuda.memory_allocated(1);
    const x = torch.tensor(new Float32Array(2 ** 20), { device: 'cuda:1' });
    expect(cuda.memory_allocated(1) - before).toBe(2 ** 22);
    expect(cuda.memory_reserved(1)).toBeGreaterThanOrEqual(cuda.memory_allocated(1));
    expect(cuda.max_memory_allocated('cuda:1')).toBeGreaterThanOrEqual(2 ** 22);
    cuda.reset_peak_memory_stats(1);
    expect(cuda.max_memory_allocated(1)).toBe(cuda.memory_allocated(1));
    expect(cuda.memory_stats(1)['allocated_bytes.all.current']).toBe(cuda.memory_allocated(1));
    expect(cuda.mem_get_info(1)[1]).toBe(80 * 2 ** 30);
    expect(cuda.memory_summary(1)).toMatch(/device ID 1[\s\S]*Reserved memory/);
    cuda.empty_cache(1);
    expect(x.shape).toEqual([2 ** 20]);
  });

  test('an event stands after what was asked for before it', () => {
    const calls: string[] = [];
    const driver = silentDriver({ log: (call) => calls.push(call.split(' ')[0]) });
    registerDevice('cuda', () => new CudaBackend(0, { driver, kernels: new CudaKernels(driver, new KernelTexts()), cublas: null }));
    const [start, end] = [new cuda.Event({ enable_timing: true }), new cuda.Event({ enable_timing: true })];
    expect(start.query()).toBe(true);
    expect(() => start.elapsed_time(end)).toThrow('Both events must be recorded before calculating elapsed time.');
    start.record();
    torch.ones([8], { device: 'cuda' }).mul(2);
    end.record(cuda.current_stream());
    expect(calls.filter((c) => c === 'launch' || c === 'record')).toEqual(['record', ...calls.filter((c) => c === 'launch'), 'record']);
    end.synchronize();
    expect(start.elapsed_time(end)).toBe(0);
    expect(() => new cuda.Event().elapsed_time(end)).toThrow("Both events must be created with argument 'enable_timing=True'.");
  });

  test('streams of a device are its one stream', () => {
    const [a, b] = [new cuda.Stream(), cuda.default_stream()];
    expect(a.cuda_stream).toBe(b.cuda_stream);
    a.wait_stream(b);
    a.wait_event(b.record_event());
    expect(cuda.stream(a, () => 3)).toBe(3);
    torch.ones([8], { device: 'cuda' }).mul(2);
    expect(a.query()).toBe(false);
    a.synchronize();
    expect(a.query()).toBe(true);
  });

  test('the seed of a card is that of the one generator', () => {
    cuda.manual_seed_all(5);
    const a = torch.rand([3]).tolist();
    torch.manual_seed(5);
    expect(torch.rand([3]).tolist()).toEqual(a);
    expect(cuda.initial_seed()).toBe(5);
  });
});
