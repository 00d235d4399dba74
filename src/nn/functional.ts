/** torch.nn.functional: its own operators, and those of torch that it has too. */
import { functional as own, torchFunctions } from '../ops/methods.ts';

const { gelu, relu, sigmoid, tanh } = torchFunctions;
export const functional = { ...own, gelu, relu, sigmoid, tanh };
