/** torch-magpie: PyTorch for TypeScript. The default export is `torch`. */
import './ops/methods.ts';
import { torch } from './torch.ts';

export default torch;
export { torch };
export { Tensor } from './ops/methods.ts';
export type { DType } from './dtype/dtype.ts';
