/** AdamW: Adam whose weight decay acts on the parameter itself. https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html */
import { bindConstructor, type ConstructorArguments } from '../nn/arguments.ts';
import type { Tensor } from '../ops/methods.ts';
import { type AdamOptions, adamDefaults, adamOrder, adamStep, checkAdam } from './adam.ts';
import { type GroupInput, Optimizer, type Slot } from './optimizer.ts';

export type AdamWOptions = AdamOptions;

export class AdamW extends Optimizer<AdamWOptions> {
  constructor(params: Iterable<Tensor | GroupInput<AdamWOptions>>, ...args: ConstructorArguments<Partial<AdamWOptions>, typeof adamOrder>) {
    const defaults = { ...adamDefaults, weight_decay: 1e-2 };
    super(params, checkAdam(bindConstructor<AdamWOptions>('AdamW', adamOrder, defaults, args) as AdamWOptions));
  }
  protected override update(slots: readonly Slot[], group: AdamWOptions): void {
    adamStep(slots, group, true);
  }
}
