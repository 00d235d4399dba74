/**
 * A module that is trained whole, beside the one that it came from: peft's `ModulesToSaveWrapper`. With adapters off the original answers.
 */
import { ModuleDict } from '../nn/container.ts';
import { Module } from '../nn/module.ts';
import type { Tensor } from '../ops/methods.ts';

export class ModulesToSaveWrapper extends Module {
  original_module: Module;
  modules_to_save = new ModuleDict<Module>();
  active_adapters: string[] = [];
  disable_adapters = false;

  constructor(original: Module) {
    super();
    this.original_module = original;
  }
  add_adapter(name: string): void {
    const copy = this.original_module.deepcopy();
    copy.requires_grad_(true);
    this.modules_to_save.set(name, copy);
  }
  /** The module in use. */
  active(): Module {
    const name = this.active_adapters.find((x) => this.modules_to_save.has(x));
    return this.disable_adapters || name === undefined ? this.original_module : this.modules_to_save.get(name);
  }
  /** Those of the module in use, for code that looks at them. */
  get weight(): Tensor {
    return (this.active() as unknown as { weight: Tensor }).weight;
  }
  get bias(): Tensor | null {
    return (this.active() as unknown as { bias: Tensor | null }).bias;
  }
  override forward(...args: never[]): unknown {
    return this.active()(...args);
  }
}
