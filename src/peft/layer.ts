/**
 * LoraLinear: a linear layer y = f(x) with adapters beside it, y + B(A(dropout(x))) times a scale.
 *
 * The layer itself is never changed, except by `merge`, which adds B A to its weight and `unmerge`, which takes it away again (to rounding). Names
 * of fields are those of peft's `lora.Linear`, so that keys of a state dict are. https://arxiv.org/abs/2106.09685
 */
import { no_grad } from '../autograd/modes.ts';
import { type DType, float32 } from '../dtype/dtype.ts';
import { Conv1D } from '../models/layers.ts';
import { ModuleDict } from '../nn/container.ts';
import { Dropout } from '../nn/dropout.ts';
import { kaiming_uniform_, normal_, zeros_ } from '../nn/init.ts';
import { Identity, Linear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { isParameter, type Parameter } from '../nn/parameter.ts';
import type { Tensor } from '../ops/methods.ts';
import type { LoraInitialization } from './config.ts';
import { isLinearLike, type LinearLike } from './targets.ts';

export interface AdapterOptions {
  readonly r: number;
  readonly lora_alpha: number;
  readonly lora_dropout: number;
  readonly use_rslora: boolean;
  readonly init_lora_weights: LoraInitialization;
}
type Layer = Module & ((x: Tensor) => Tensor);

export class LoraLinear extends Module {
  readonly in_features: number;
  readonly out_features: number;
  /** The weight is `[inputs, outputs]`. */
  readonly fan_in_fan_out: boolean;
  base_layer: Layer;
  lora_dropout = new ModuleDict<Dropout | Identity>();
  lora_A = new ModuleDict<Linear>();
  lora_B = new ModuleDict<Linear>();
  /** By adapter. */
  readonly scaling = new Map<string, number>();
  active_adapters: string[] = [];
  merged_adapters: string[] = [];
  disable_adapters = false;

  constructor(layer: Module) {
    super();
    this.base_layer = layer as Layer;
    this.fan_in_fan_out = layer instanceof Conv1D;
    if (layer instanceof Conv1D) [this.in_features, this.out_features] = [layer.nx, layer.nf];
    else if (isLinearLike(layer)) [this.in_features, this.out_features] = [layer.in_features, (layer as LinearLike).out_features];
    else throw new Error(`internal: no adapter fits ${layer.constructor.name}`);
  }

  /** The layer's own, for code that looks at them. */
  get weight(): Tensor {
    return (this.base_layer as unknown as { weight: Tensor }).weight;
  }
  get bias(): Tensor | null {
    return (this.base_layer as unknown as { bias: Tensor | null }).bias;
  }
  get merged(): boolean {
    return this.merged_adapters.length > 0;
  }

  /** Draws as peft does, in its order, so that a seed gives its weights. */
  add_adapter(name: string, { r, lora_alpha, lora_dropout, use_rslora, init_lora_weights }: AdapterOptions): void {
    const { device, dtype } = placeOf(this.base_layer);
    const A = new Linear({ in_features: this.in_features, out_features: r, bias: false });
    const B = new Linear({ in_features: r, out_features: this.out_features, bias: false });
    if (init_lora_weights === 'gaussian') normal_(A.weight, 0, 1 / r);
    else if (init_lora_weights) kaiming_uniform_(A.weight, { a: Math.sqrt(5) });
    if (init_lora_weights !== false) zeros_(B.weight);
    this.lora_dropout.set(name, lora_dropout > 0 ? new Dropout(lora_dropout) : new Identity());
    this.lora_A.set(name, A.to(device, dtype));
    this.lora_B.set(name, B.to(device, dtype));
    this.scaling.set(name, lora_alpha / (use_rslora ? Math.sqrt(r) : r));
  }
  delete_adapter(name: string): void {
    if (this.merged_adapters.includes(name)) this.unmerge();
    for (const part of [this.lora_dropout, this.lora_A, this.lora_B]) if (part.has(name)) part.pop(name);
    this.scaling.delete(name);
    this.active_adapters = this.active_adapters.filter((other) => other !== name);
  }

  override forward(x: Tensor): Tensor {
    if (this.disable_adapters) {
      if (this.merged) this.unmerge();
      return this.base_layer(x);
    }
    const result = this.base_layer(x);
    if (this.merged) return result;
    let sum = result;
    for (const name of this.active_adapters) {
      if (!this.lora_A.has(name)) continue;
      const [A, B] = [this.lora_A.get(name), this.lora_B.get(name)];
      const { dtype } = A.weight;
      const input = this.lora_dropout.get(name)(x.dtype === dtype ? x : x.to(dtype));
      sum = sum.add(B(A(input)).mul(this.scaling.get(name)!));
    }
    return sum.dtype === result.dtype ? sum : sum.to(result.dtype);
  }

  /** What an adapter adds to the weight, in its layout. */
  get_delta_weight(name: string): Tensor {
    const [A, B] = [this.lora_A.get(name).weight, this.lora_B.get(name).weight];
    const product = B.matmul(A);
    return (this.fan_in_fan_out ? product.t() : product).mul(this.scaling.get(name)!);
  }

  /** Adds adapters to the weight. `where` is this layer's name, for errors. */
  merge(
    names: readonly string[] = this.active_adapters,
    { where = '', safe = false }: { readonly where?: string; readonly safe?: boolean } = {},
  ): void {
    const fresh = names.filter((name) => this.lora_A.has(name) && !this.merged_adapters.includes(name));
    if (fresh.length === 0) return;
    const weight = this.weightToMerge(where);
    no_grad(() => {
      for (const name of fresh) {
        const delta = this.get_delta_weight(name).to(weight.dtype);
        if (safe && !weight.add(delta).isfinite().all().item())
          throw new Error(`NaNs detected in the merged weights. The adapter ${name} seems to be broken`);
        weight.add_(delta);
        this.merged_adapters.push(name);
      }
    });
  }
  unmerge(): void {
    if (!this.merged) return;
    const weight = this.weightToMerge('');
    no_grad(() => {
      for (const name of this.merged_adapters.splice(0).reverse()) weight.sub_(this.get_delta_weight(name).to(weight.dtype));
    });
  }

  /** The base's weight, where it is one that numbers can be added to. */
  weightToMerge(where: string): Parameter {
    const { weight } = this.base_layer as unknown as { weight?: unknown };
    const shape = this.fan_in_fan_out ? [this.in_features, this.out_features] : [this.out_features, this.in_features];
    if (isParameter(weight) && weight.is_floating_point() && weight.shape.join() === shape.join()) return weight;
    throw new Error(
      `cannot merge an adapter into ${where === '' ? '' : `${where}, `}a ${this.base_layer.constructor.name}: its weight is quantized. Use the model with its adapters, or load it with floating-point weights`,
    );
  }
}

/** Adapters are never narrower than float32: updates of training would be lost in half precision. */
function placeOf(layer: Module): { readonly device: string; readonly dtype: DType } {
  const [first] = [...layer.parameters(), ...layer.buffers()];
  if (first === undefined) return { device: 'cpu', dtype: float32 };
  const isWide = first.is_floating_point() && first.dtype.itemsize > 4;
  return { device: first.device, dtype: isWide ? first.dtype : float32 };
}
