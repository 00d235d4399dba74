/** torch-magpie: PyTorch for TypeScript. The default export is `torch`. */
import './ops/methods.ts';
import { torch } from './torch.ts';

export default torch;
export type { DType } from './dtype/dtype.ts';
export * as nn from './nn/index.ts';
export { Tensor } from './ops/methods.ts';
export * as optim from './optim/index.ts';
export type { FunctionContext } from './torch.ts';
export { flags } from './util/flags.ts';
export { torch };
