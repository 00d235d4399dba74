/**
 * `--compile-only`: the records run on the `cpu` device with the programs of a card, and every kernel of these is compiled for it. Neither a
 * card nor a driver is needed, only NVRTC (`pip install nvidia-cuda-nvrtc`); the cubins lie in MAGPIE_CACHE, which may travel to a card.
 */

import { openCpuBackend } from '../src/backend/cpu/device.ts';
import { CollectingBackend, compileAhead } from '../src/backend/cuda/collect.ts';
import { registerDevice } from '../src/tensor/devices.ts';

/** From now on the device `cuda` is the collecting one. */
export function collectCudaKernels(): { compile(architecture: string): Promise<string> } {
  const collecting = new CollectingBackend(openCpuBackend());
  registerDevice('cuda', () => collecting);
  return {
    async compile(architecture) {
      const begin = performance.now();
      const { kernels, compiled } = await compileAhead(collecting.kernels.texts.values(), {
        architecture,
        progress: (done, all) => console.error(`${done} of ${all} kernels`),
      });
      const seconds = ((performance.now() - begin) / 1000).toFixed(1);
      return `${kernels} different kernels, ${compiled} of them compiled for ${architecture} in ${seconds} s`;
    },
  };
}
