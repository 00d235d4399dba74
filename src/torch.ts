/** The `torch` namespace: functions of the table, dtypes, modes, devices. */
import {
  amp,
  autocast,
  clear_autocast_cache,
  cpu_amp,
  cuda_amp,
  get_autocast_dtype,
  is_autocast_cache_enabled,
  is_autocast_enabled,
  set_autocast_cache_enabled,
  set_autocast_dtype,
  set_autocast_enabled,
} from './amp/index.ts';
import { backward, grad } from './autograd/backward.ts';
import { checkpoint } from './autograd/checkpoint.ts';
import { Function as CustomFunction } from './autograd/function.ts';
import {
  detect_anomaly,
  enable_grad,
  inference_mode,
  is_anomaly_enabled,
  is_grad_enabled,
  is_inference_mode_enabled,
  no_grad,
  set_detect_anomaly,
  set_grad_enabled,
} from './autograd/modes.ts';
import { selectIsa } from './backend/cpu/features.ts';
import { getNumThreads, setNumThreads } from './backend/cpu/pool.ts';
import { compile, compiler } from './compile/index.ts';
import { cudaBackends, get_float32_matmul_precision, set_float32_matmul_precision } from './cuda/backends.ts';
import { cuda } from './cuda/index.ts';
import * as data from './data/index.ts';
import * as distributions from './distributions/index.ts';
import * as dtypes from './dtype/dtype.ts';
import { promoteTypes } from './dtype/promotion.ts';
import * as functional from './func/functional.ts';
import { checkpoint_sequential } from './nn/checkpoint-sequential.ts';
import { as_tensor, asarray, from_numpy, frombuffer, getDefaultDevice, setDefaultDevice, tensor } from './ops/creation.ts';
import { gradcheck, gradgradcheck } from './ops/gradcheck.ts';
import { aten, fft, linalg, magpie, masked, special, Tensor, torchFunctions, windows } from './ops/methods.ts';
import { scalar } from './ops/scalar-argument.ts';
import { broadcast_shapes } from './ops/shape.ts';
import { can_cast, result_type } from './ops/tensor-facts.ts';
import { defaultGenerator, Generator } from './random/generator.ts';
import * as random from './random-state.ts';
import { load } from './serialize/torch/load.ts';
import { save } from './serialize/torch/save.ts';
import * as settings from './settings.ts';
import { canonicalDevice, engineOf, openEngines } from './tensor/devices.ts';
import { set_printoptions } from './tensor/format.ts';
import { keep } from './tensor/scope.ts';

const { float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2, int64, int32, int16, int8, uint8, bool, complex64, complex128 } =
  dtypes;

/** `ctx` of a custom Function: what `forward` leaves for `backward`; any other field may be set on it too. */
export interface FunctionContext {
  [key: string]: unknown;
  readonly needs_input_grad: readonly boolean[];
  save_for_backward(...tensors: readonly (Tensor | null)[]): void;
  /** In the order of save_for_backward; null where null was saved. */
  readonly saved_tensors: readonly Tensor[];
  mark_dirty(...tensors: readonly Tensor[]): void;
  mark_non_differentiable(...tensors: readonly Tensor[]): void;
  set_materialize_grads(value: boolean): void;
}
/** The base class with tensors as users see them. */
interface AutogradFunction {
  new (): CustomFunction;
  forward(...args: never[]): unknown;
  backward(ctx: never, ...grads: never[]): unknown;
  apply<R = Tensor>(...args: readonly unknown[]): R;
}

/** A device's name, checked. Devices are strings here; the first of a kind goes by the kind: `torch.device('cuda', 0)` is 'cuda'. */
function device(type: string, index?: number): string {
  if (index !== undefined && type.includes(':'))
    throw new Error(`type (string) must not include an index because index was passed explicitly: ${type}`);
  return canonicalDevice(index === undefined ? type : `${type}:${index}`);
}

export const torch = {
  ...torchFunctions,
  linalg,
  fft,
  special,
  masked,
  signal: { windows },
  distributions,
  ops: { aten, magpie },
  float64,
  float32,
  float16,
  bfloat16,
  float8_e4m3fn,
  float8_e5m2,
  int64,
  int32,
  int16,
  int8,
  uint8,
  bool,
  complex64,
  complex128,
  double: float64,
  float: float32,
  half: float16,
  long: int64,
  int: int32,
  short: int16,
  cfloat: complex64,
  cdouble: complex128,
  Tensor,
  tensor: tensor as (...args: Parameters<typeof tensor>) => Tensor,
  frombuffer: frombuffer as (...args: Parameters<typeof frombuffer>) => Tensor,
  as_tensor: as_tensor as (...args: Parameters<typeof as_tensor>) => Tensor,
  asarray: asarray as (...args: Parameters<typeof asarray>) => Tensor,
  from_numpy: from_numpy as (...args: Parameters<typeof from_numpy>) => Tensor,
  broadcast_shapes,
  can_cast,
  result_type,
  strided: 'strided',
  contiguous_format: 'contiguous_format',
  preserve_format: 'preserve_format',
  channels_last: 'channels_last',
  channels_last_3d: 'channels_last_3d',
  scalar,
  device,
  e: Math.E,
  inf: Number.POSITIVE_INFINITY,
  nan: Number.NaN,
  pi: Math.PI,
  newaxis: null,
  finfo: dtypes.finfo,
  iinfo: dtypes.iinfo,
  promote_types: promoteTypes,
  get_default_dtype: dtypes.getDefaultDtype,
  set_default_dtype: dtypes.setDefaultDtype,
  get_default_device: getDefaultDevice,
  set_default_device: setDefaultDevice,
  is_tensor: (x: unknown): x is Tensor => x instanceof Tensor,
  no_grad,
  enable_grad,
  inference_mode,
  is_grad_enabled,
  is_inference_mode_enabled,
  set_grad_enabled,
  compile,
  compiler,
  keep: keep as <T extends Tensor>(x: T) => T,
  Generator,
  default_generator: defaultGenerator,
  load,
  save,
  random,
  manual_seed: random.manual_seed,
  seed: random.seed,
  initial_seed: random.initial_seed,
  get_rng_state: random.get_rng_state,
  set_rng_state: random.set_rng_state,
  ...settings,
  is_anomaly_enabled,
  set_printoptions,
  get_num_threads: getNumThreads,
  set_num_threads: setNumThreads,
  get_float32_matmul_precision,
  set_float32_matmul_precision,
  autocast,
  amp,
  is_autocast_enabled,
  set_autocast_enabled,
  get_autocast_dtype,
  set_autocast_dtype,
  is_autocast_cache_enabled,
  set_autocast_cache_enabled,
  clear_autocast_cache,
  cpu: { amp: cpu_amp },
  cuda: Object.assign(cuda, { amp: cuda_amp }),
  OutOfMemoryError: cuda.OutOfMemoryError,
  backends: {
    cuda: cudaBackends,
    cpu: { get_cpu_capability: (): string => ({ avx512: 'AVX512', avx2: 'AVX2', none: 'DEFAULT' })[selectIsa()] },
  },
  autograd: {
    backward,
    grad,
    Function: CustomFunction as unknown as AutogradFunction,
    functional,
    gradcheck,
    gradgradcheck,
    set_detect_anomaly,
    detect_anomaly,
    is_anomaly_enabled,
    no_grad,
    enable_grad,
    inference_mode,
    set_grad_enabled,
  },
  utils: { checkpoint: { checkpoint, checkpoint_sequential }, data },
  /** Computes everything pending, on one device or all. */
  synchronize: (device?: string): void => {
    const engines = device === undefined ? openEngines() : [engineOf(canonicalDevice(device))];
    for (const engine of engines) {
      engine.flush();
      engine.backend.synchronize();
    }
  },
};
