/** `torch.amp`, and the names that it has in `torch.cuda.amp` and `torch.cpu.amp` for older programs. */
import { bfloat16, float16 } from '../dtype/dtype.ts';
import { amp_definitely_not_available, autocast, type DeviceAutocastFunction, deviceAutocast, is_autocast_available } from './autocast.ts';
import { cuda_custom_bwd, cuda_custom_fwd, custom_bwd, custom_fwd } from './custom.ts';
import { CpuGradScaler, CudaGradScaler, GradScaler } from './grad-scaler.ts';

export const amp = { autocast, is_autocast_available, custom_fwd, custom_bwd, GradScaler };

export const cuda_amp = {
  autocast: deviceAutocast('cuda', float16) as DeviceAutocastFunction,
  GradScaler: CudaGradScaler,
  custom_fwd: cuda_custom_fwd,
  custom_bwd: cuda_custom_bwd,
  common: { amp_definitely_not_available },
};
export const cpu_amp = { autocast: deviceAutocast('cpu', bfloat16) as DeviceAutocastFunction, GradScaler: CpuGradScaler };

/** Of `torch`. */
export {
  autocast,
  clear_autocast_cache,
  get_autocast_dtype,
  is_autocast_cache_enabled,
  is_autocast_enabled,
  set_autocast_cache_enabled,
  set_autocast_dtype,
  set_autocast_enabled,
} from './autocast.ts';
