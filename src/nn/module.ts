/**
 * Module: a function object. Calling it calls `forward`; its fields that are parameters, buffers or modules are found by looking at them.
 *
 * The outermost call opens a module scope: what was made inside and cannot be reached from the result, the arguments or the module's fields
 * when it returns is presumed dead. Hooks are in `module-hooks.ts`, copies in `module-copy.ts`, text in `module-text.ts`.
 */
import { no_grad } from '../autograd/modes.ts';
import { bfloat16, DType, float16, float32, float64 } from '../dtype/dtype.ts';
import { toTensor } from '../ops/conversion.ts';
import { Tensor } from '../ops/methods.ts';
import { openEngines } from '../tensor/devices.ts';
import { closeScope, currentScope, type ModuleScope, newWalk, openScope, presumeDead } from '../tensor/scope.ts';
import { sink } from '../tensor/tracing.ts';
import { copyModule } from './module-copy.ts';
import {
  addHook,
  type BackwardHook,
  type BackwardPreHook,
  type ForwardHook,
  type ForwardPreHook,
  forwardWithHooks,
  type HookHandle,
  type LoadHook,
  runLoadHooks,
} from './module-hooks.ts';
import { findState, type ModuleState, moduleState, newState } from './module-state.ts';
import { moduleText } from './module-text.ts';
import { isParameter, moveInPlace, type Parameter } from './parameter.ts';

/** `torch.compile`, which is made of what is here and hands itself down. */
let compiler: (fn: never, options: object) => unknown = () => {
  throw new Error('internal: torch.compile was not provided');
};
export function provideCompiler(compile: (fn: never, options: object) => unknown): void {
  compiler = compile;
}

export interface Module {
  (...args: Parameters<this['forward']>): ReturnType<this['forward']>;
}

/** A callable object without fields. */
function bareModule(prototype: object): Module {
  const self = ((...args: never[]) => callModule(self, state, args)) as unknown as Module;
  const state = newState(self);
  const fields = self as unknown as Fields;
  delete fields['name'];
  delete fields['length'];
  Object.setPrototypeOf(self, prototype);
  return self;
}

type Fields = Record<string, unknown>;
const fieldsOf = (m: Module): [string, unknown][] => Object.entries(m as unknown as Fields);
export type StateDict = Map<string, Tensor>;
export type Loadable = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

/** https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html */
export class Module {
  declare training: boolean;

  constructor() {
    const self = bareModule(new.target.prototype);
    self.training = true;
    // biome-ignore lint/correctness/noConstructorReturn: a module is this function.
    return self;
  }

  forward(..._args: never[]): unknown {
    throw new Error(`Module [${this.constructor.name}] is missing the required "forward" function`);
  }

  named_children(): [string, Module][] {
    return fieldsOf(this).filter((entry): entry is [string, Module] => entry[1] instanceof Module);
  }
  children(): Module[] {
    return [...new Set(this.named_children().map(([, m]) => m))];
  }
  named_modules(prefix = ''): [string, Module][] {
    const seen = new Set<Module>();
    const out: [string, Module][] = [];
    const visit = (path: string, m: Module): void => {
      if (seen.has(m)) return;
      seen.add(m);
      out.push([path, m]);
      for (const [name, child] of m.named_children()) visit(joined(path, name), child);
    };
    visit(prefix, this);
    return out;
  }
  modules(): Module[] {
    return this.named_modules().map(([, m]) => m);
  }
  named_parameters(prefix = ''): [string, Parameter][] {
    return collect(this, prefix, ownParameters);
  }
  parameters(): Parameter[] {
    return this.named_parameters().map(([, p]) => p);
  }
  named_buffers(prefix = ''): [string, Tensor][] {
    return collect(this, prefix, ownBuffers);
  }
  buffers(): Tensor[] {
    return this.named_buffers().map(([, b]) => b);
  }
  register_buffer(name: string, tensor: Tensor | null, persistent = true): void {
    moduleState(this).buffers.set(name, persistent);
    (this as unknown as Fields)[name] = tensor;
  }
  register_parameter(name: string, parameter: Parameter | null): void {
    if (parameter !== null && !isParameter(parameter))
      throw new TypeError(`cannot assign a Tensor to parameter '${name}' (torch.nn.Parameter or null required)`);
    (this as unknown as Fields)[name] = parameter;
  }
  train(mode = true): this {
    for (const m of this.modules()) m.training = mode;
    return this;
  }
  eval(): this {
    return this.train(false);
  }
  /** Adds a child under a name. */
  add_module(name: string, module: Module | null): void {
    if (module !== null && !(module instanceof Module)) throw new TypeError(`${typeof module} is not a Module subclass`);
    if (name === '') throw new Error('module name can\'t be empty string ""');
    if (name.includes('.')) throw new Error(`module name can't contain ".", got: ${name}`);
    (this as unknown as Fields)[name] = module;
  }
  register_module(name: string, module: Module | null): void {
    this.add_module(name, module);
  }
  /** The module at a dotted path; '' is this one. */
  get_submodule(target: string): Module {
    if (target === '') return this;
    let at: Module = this;
    for (const part of target.split('.')) {
      const next = (at as unknown as Fields)[part];
      if (next === undefined) throw new Error(`${at.constructor.name} has no attribute \`${part}\``);
      if (!(next instanceof Module)) throw new Error(`\`${part}\` is not an nn.Module`);
      at = next;
    }
    return at;
  }
  get_parameter(target: string): Parameter {
    const { module, name, value } = lookUp(this, target);
    if (!isParameter(value))
      throw new Error(
        value === undefined ? `${module.constructor.name} has no attribute \`${name}\`` : `\`${name}\` is not an nn.Parameter`,
      );
    return value;
  }
  get_buffer(target: string): Tensor {
    const { module, name, value } = lookUp(this, target);
    if (value === undefined) throw new Error(`${module.constructor.name} has no attribute \`${name}\``);
    if (!moduleState(module).buffers.has(name)) throw new Error(`\`${name}\` is not a buffer`);
    return value as Tensor;
  }
  requires_grad_(requires_grad = true): this {
    for (const p of this.parameters()) p.requires_grad_(requires_grad);
    return this;
  }
  zero_grad(set_to_none = true): void {
    for (const p of this.parameters()) clearGrad(p, set_to_none);
  }
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }
  /** To a device, or floating-point parameters and buffers to a dtype; in place. */
  to(...targets: readonly (string | DType)[]): this {
    no_grad(() => {
      for (const t of [...this.parameters(), ...this.buffers()]) {
        for (const target of targets) {
          if (target instanceof DType && !t.is_floating_point()) continue;
          moveInPlace(t, toTensor(t, target) as Tensor);
          if (t.grad_ !== null) moveInPlace(t.grad_ as Tensor, toTensor(t.grad_, target) as Tensor);
        }
      }
    });
    return this;
  }

  float(): this {
    return this.to(float32);
  }
  double(): this {
    return this.to(float64);
  }
  half(): this {
    return this.to(float16);
  }
  bfloat16(): this {
    return this.to(bfloat16);
  }
  cpu(): this {
    return this.to('cpu');
  }
  /** To a card: the current one, or `device`. */
  cuda(device: number | string = 'cuda'): this {
    return this.to(typeof device === 'number' ? `cuda:${device}` : device);
  }
  /** Parameters and buffers to a dtype, whatever they are. */
  type(dtype: DType): this {
    no_grad(() => {
      for (const t of [...this.parameters(), ...this.buffers()]) moveInPlace(t, toTensor(t, dtype) as Tensor);
    });
    return this;
  }

  /** Called before forward with (module, args); may return other arguments. */
  register_forward_pre_hook(hook: ForwardPreHook): HookHandle {
    return addHook(this, 'forwardPre', hook);
  }
  /** Called after forward with (module, args, output); may return another output. */
  register_forward_hook(hook: ForwardHook): HookHandle {
    return addHook(this, 'forward', hook);
  }
  /** Called in backward with (module, grad_output), when gradients of the outputs are there; may return others. */
  register_full_backward_pre_hook(hook: BackwardPreHook): HookHandle {
    return addHook(this, 'backwardPre', hook);
  }
  /** Called in backward with (module, grad_input, grad_output), when gradients of the inputs are there; may return others. */
  register_full_backward_hook(hook: BackwardHook): HookHandle {
    return addHook(this, 'backward', hook);
  }
  /** Called with (module, incompatible_keys) after load_state_dict has been done. */
  register_load_state_dict_post_hook(hook: LoadHook): HookHandle {
    return addHook(this, 'load', hook);
  }

  /** A copy that shares nothing: parameters, buffers, submodules, arrays and maps; tensors held twice are held twice in the copy too. Private (`#`) fields are not copied. */
  deepcopy(): this {
    return copyModule(this, { isModule: (x): x is Module => x instanceof Module, bare: bareModule }) as this;
  }

  /**
   * Prepares `forward` with `torch.compile`, in place: hooks stay outside of it.
   * https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.compile
   */
  compile(options: object = {}): void {
    const { forward } = this;
    this.forward = compiler(forward.bind(this) as never, options) as never;
  }

  /** What is between the parentheses of this module's line when it is printed. */
  extra_repr(): string {
    return '';
  }
  /** PyTorch's tree of modules. */
  toString(): string {
    return moduleText(this);
  }

  /** Parameters and persistent buffers by dotted name; detached unless `keep_vars`. */
  state_dict(options: { readonly prefix?: string; readonly keep_vars?: boolean } = {}): StateDict {
    const out: StateDict = new Map();
    for (const [name, t] of stateOf(this, options.prefix ?? '')) out.set(name, options.keep_vars ? t : (t.detach() as Tensor));
    return out;
  }
  load_state_dict(
    state: Loadable,
    strictOrOptions: boolean | { readonly strict?: boolean; readonly assign?: boolean } = true,
  ): { missing_keys: string[]; unexpected_keys: string[] } {
    const { strict = true, assign = false } = typeof strictOrOptions === 'boolean' ? { strict: strictOrOptions } : strictOrOptions;
    const given = new Map<string, Tensor>(state instanceof Map ? state : Object.entries(state));
    const own = stateOf(this);
    const missing_keys = own.filter(([name]) => !given.has(name)).map(([name]) => name);
    const known = new Set(own.map(([name]) => name));
    const unexpected_keys = [...given.keys()].filter((name) => !known.has(name));
    const errors: string[] = [];
    const quoted = (names: readonly string[]): string => names.map((n) => `"${n}"`).join(', ');
    if (strict && missing_keys.length > 0) errors.push(`Missing key(s) in state_dict: ${quoted(missing_keys)}. `);
    if (strict && unexpected_keys.length > 0) errors.push(`Unexpected key(s) in state_dict: ${quoted(unexpected_keys)}. `);
    no_grad(() => {
      for (const [name, t] of own) {
        const source = given.get(name);
        if (source === undefined) continue;
        if (source.shape.join() === t.shape.join()) {
          if (assign) moveInPlace(t, source.detach() as Tensor);
          else t.copy_(source);
        } else
          errors.push(
            `size mismatch for ${name}: copying a param with shape torch.Size([${source.shape.join(', ')}]) from checkpoint, the shape in current model is torch.Size([${t.shape.join(', ')}]).`,
          );
      }
    });
    if (errors.length > 0) throw new Error(`Error(s) in loading state_dict for ${this.constructor.name}:\n\t${errors.join('\n\t')}`);
    const keys = { missing_keys, unexpected_keys };
    for (const m of this.modules()) runLoadHooks(m, keys);
    return keys;
  }
}
Object.defineProperty(Module.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: Module) {
    return moduleText(this);
  },
});

function lookUp(root: Module, target: string): { module: Module; name: string; value: unknown } {
  const dot = target.lastIndexOf('.');
  const module = root.get_submodule(dot < 0 ? '' : target.slice(0, dot));
  const name = target.slice(dot + 1);
  return { module, name, value: (module as unknown as Fields)[name] };
}

/** Every name, shared tensors included: what a state dict holds. (Not private methods: those would be on the object that the constructor replaces.) */
function stateOf(root: Module, prefix = ''): [string, Tensor][] {
  const out: [string, Tensor][] = [];
  const visit = (m: Module, path: string): void => {
    const names = moduleState(m).buffers;
    for (const [name, t] of [...ownParameters(m), ...ownBuffers(m).filter(([n]) => names.get(n))]) out.push([joined(path, name), t]);
    for (const [name, child] of m.named_children()) visit(child, joined(path, name));
  };
  visit(root, prefix.replace(/\.$/, ''));
  return out;
}
function collect(root: Module, prefix: string, own: (m: Module) => [string, Tensor][]): [string, Tensor][] {
  const seen = new Set<Tensor>();
  const out: [string, Tensor][] = [];
  for (const [path, m] of root.named_modules(prefix))
    for (const [name, t] of own(m)) {
      if (seen.has(t)) continue;
      seen.add(t);
      out.push([joined(path, name), t]);
    }
  return out;
}
const joined = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);
const ownParameters = (m: Module): [string, Parameter][] => fieldsOf(m).filter((e): e is [string, Parameter] => isParameter(e[1]));
function ownBuffers(m: Module): [string, Tensor][] {
  const fields = m as unknown as Fields;
  return [...moduleState(m).buffers.keys()].flatMap((name): [string, Tensor][] =>
    fields[name] instanceof Tensor ? [[name, fields[name]]] : [],
  );
}

/** Forgets a gradient, or makes it zero. */
export function clearGrad(p: Tensor, set_to_none: boolean): void {
  if (sink !== null) sink.gradient(p, set_to_none ? 'clear' : 'read');
  if (p.grad_ === null) return;
  if (!set_to_none) {
    const grad = p.grad_ as Tensor;
    no_grad(() => grad.zero_());
    return;
  }
  p.grad_ = null;
  p.gradSeen = false;
}

// ---- calls

function callModule(self: Module, state: ModuleState, args: readonly never[]): unknown {
  if (sink !== null) sink.module(self);
  const outer = currentScope();
  const scope = outer ?? openScope(self);
  if (outer === null && state.localName === null) prepareTree(self);
  scope.path.push(state.localName ?? self.constructor.name, state.path);
  let returned = false;
  try {
    const { hooks } = state;
    const result = hooks === null ? self.forward(...args) : forwardWithHooks(self, hooks, args, scope.shown);
    returned = true;
    if (outer === null && !isDeferred(result)) finish(scope, [result, args, self, ...scope.shown]);
    return result;
  } finally {
    scope.path.pop();
    if (outer === null) {
      closeScope();
      // Or a flush would find alive, by this list, what it asks the collector about.
      scope.made.length = 0;
      if (returned) for (const engine of openEngines()) engine.anchor();
    }
  }
}

/** What is done once for a tree of modules: their names in paths, and quick fields. */
function prepareTree(root: Module): void {
  for (const [path, m] of root.named_modules()) {
    moduleState(m).localName = path === '' ? root.constructor.name : path.slice(path.lastIndexOf('.') + 1);
    quickenFields(m);
  }
}

/**
 * A function whose name and length were deleted keeps its properties in a hash table: in V8 reading one then costs some 25 ns instead of one, and
 * listing them microseconds. What is found through the prototype of something else is laid out again.
 */
function quickenFields(m: Module): void {
  const below = Object.create(m) as Module;
  // It takes a look or two before an engine thinks that it is worth it.
  for (let i = 0; i < 8; i++) readTraining(below);
}
const readTraining = (m: Module): boolean => m.training;

function isDeferred(x: unknown): boolean {
  if (typeof x !== 'object' || x === null || x instanceof Tensor) return false;
  const { then, next } = x as { then?: unknown; next?: unknown };
  return typeof then === 'function' || typeof next === 'function';
}

const containerDepth = 4;

function finish(scope: ModuleScope, roots: readonly unknown[]): void {
  if (scope.made.length === 0) return;
  const walk = newWalk();
  const depthOf = new Map<object, number>();
  for (const root of roots) if (isObject(root)) reach(root, containerDepth, walk, depthOf);
  presumeDead(scope, walk);
}

const isObject = (x: unknown): x is object => (typeof x === 'object' && x !== null) || typeof x === 'function';

/** Marks the storages of all tensors that are found from `x` on, containers inside containers down to `depth`. */
function reach(x: object, depth: number, walk: number, depthOf: Map<object, number>): void {
  // Most of what is met are modules, and they are functions.
  if (typeof x === 'object' && x instanceof Tensor) {
    x.storage.reached = walk;
    if (x.grad_ !== null) x.grad_.storage.reached = walk;
    return;
  }
  if (ArrayBuffer.isView(x)) return;
  // A list of plain numbers leads nowhere: not worth remembering.
  if (Array.isArray(x) && !x.some(isObject)) return;
  const state = typeof x === 'function' ? findState(x) : undefined;
  if (state !== undefined) {
    if (state.reached === walk) return;
    state.reached = walk;
    // A module inside a module costs no depth.
    for (const name in x) {
      const y = (x as Fields)[name];
      if (isObject(y)) reach(y, containerDepth - 1, walk, depthOf);
    }
    return;
  }
  if (depth < 0 || (depthOf.get(x) ?? -1) >= depth) return;
  depthOf.set(x, depth);
  if (x instanceof Map) {
    for (const [k, y] of x) {
      if (isObject(k)) reach(k, depth - 1, walk, depthOf);
      if (isObject(y)) reach(y, depth - 1, walk, depthOf);
    }
    return;
  }
  if (Array.isArray(x) || x instanceof Set) {
    for (const y of x) if (isObject(y)) reach(y, depth - 1, walk, depthOf);
    return;
  }
  for (const name in x) {
    const y = (x as Fields)[name];
    if (isObject(y)) reach(y, depth - 1, walk, depthOf);
  }
}
