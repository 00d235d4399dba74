/** torch-magpie: PyTorch for TypeScript. The default export is `torch`. */
import './ops/methods.ts';
import * as nn from './nn/index.ts';
import * as optim from './optim/index.ts';
import { torch as base } from './torch.ts';

/** With `torch.nn` and `torch.optim`, which are also exports of their own (as types only those can be named). */
const torch: typeof base & { readonly nn: typeof nn; readonly optim: typeof optim } = Object.assign(base, { nn, optim });

export default torch;
export type { DType } from './dtype/dtype.ts';
export { Tensor } from './ops/methods.ts';
export type { FunctionContext } from './torch.ts';
export { flags } from './util/flags.ts';
export { nn, optim, torch };
