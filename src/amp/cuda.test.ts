/**
 * A float16 training step with a GradScaler on the device `cuda`, without a card: it is planned as for a card and computed on the host
 * (`backend/cuda/collect.ts`). The kernels' texts compile where NVRTC is.
 */
import { expect, test } from 'vitest';
import { openCpuBackend } from '../backend/cpu/device.ts';
import { CollectingBackend } from '../backend/cuda/collect.ts';
import { requireCompiler } from '../backend/cuda/nvrtc.ts';
import { nn, optim, type Tensor, torch } from '../index.ts';
import { engineOf, registerDevice } from '../tensor/devices.ts';

function hasCompiler(): boolean {
  try {
    requireCompiler();
    return true;
  } catch {
    return false;
  }
}
const compiler = hasCompiler();
if (!compiler)
  console.warn('NVRTC is not there (pip install nvidia-cuda-nvrtc; MAGPIE_CUDA_LIBRARIES): kernels of mixed precision are not compiled');

const collecting = new CollectingBackend(openCpuBackend());
registerDevice('cuda', () => collecting);
// As with a card: regions of an open device are not disabled.
engineOf('cuda');

const net = new nn.Sequential(new nn.Linear(8, 16), new nn.LayerNorm(16), new nn.GELU(), new nn.Linear(16, 4)).to('cuda');
const optimizer = new optim.AdamW(net.parameters(), { lr: 1e-2 });
const [x, y] = [torch.randn([5, 8], { device: 'cuda' }), torch.randn([5, 4], { device: 'cuda' })];
const scaler = new torch.amp.GradScaler({ init_scale: 2 ** 30 });

test('computes in float16, lets the scale come down from what overflows, and learns', () => {
  const losses: number[] = [];
  const scales: number[] = [];
  for (let i = 0; i < 40; i++) {
    optimizer.zero_grad();
    const { out, loss } = torch.autocast('cuda', () => {
      const out = net(x) as Tensor;
      return { out, loss: nn.functional.mse_loss(out, y) as Tensor };
    });
    expect([out.dtype.name, loss.dtype.name, out.device]).toEqual(['float16', 'float32', 'cuda']);
    scaler.scale(loss).backward();
    scaler.step(optimizer);
    scaler.update();
    scales.push(scaler.get_scale());
    losses.push(loss.item() as number);
  }
  expect(scales[0]).toBe(2 ** 29);
  // Scales of float16: 65504 is the largest number.
  expect(scales[39]).toBeLessThanOrEqual(2 ** 19);
  expect(losses[0]).toBe(losses[1]);
  expect(losses[39]).toBeLessThan(0.8 * losses[0]);
});

test.skipIf(!compiler)(
  'has kernels that NVRTC compiles for an H100',
  () => {
    const texts = [...collecting.kernels.texts.values()];
    expect(texts.length).toBeGreaterThan(5);
    for (const { name, source } of texts) expect(requireCompiler().compile(source, name, 'sm_90').length, name).toBeGreaterThan(0);
  },
  120_000,
);
