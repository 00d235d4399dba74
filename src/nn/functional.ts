/** torch.nn.functional. */
export { functional } from '../ops/methods.ts';
