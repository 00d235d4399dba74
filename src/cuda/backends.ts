/** `torch.backends.cuda` and the precision of float32 products. */
import { matmulSettings } from '../backend/cuda/settings.ts';

export const cudaBackends = {
  is_built: (): boolean => true,
  matmul: {
    get allow_tf32(): boolean {
      return matmulSettings.allowTf32;
    },
    set allow_tf32(on: boolean) {
      matmulSettings.allowTf32 = on;
    },
  },
};

export type Float32Precision = 'highest' | 'high' | 'medium';
let precision: Float32Precision = 'highest';
export const get_float32_matmul_precision = (): Float32Precision => precision;
/** `high` and `medium` allow TF32 in float32 products on the card. https://docs.pytorch.org/docs/stable/generated/torch.set_float32_matmul_precision.html */
export function set_float32_matmul_precision(value: Float32Precision): void {
  precision = value;
  matmulSettings.allowTf32 = value !== 'highest';
}
