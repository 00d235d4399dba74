/**
 * `torch.compile` and `torch.compiler`, as users call them: arguments and options with PyTorch's checks.
 *
 * There is one back end and one way to run, so of the options only `fullgraph` and `disable` change anything; `dynamic` means nothing because sizes of
 * programs are symbols anyway and numbers are followed.
 */
import { Module, provideCompiler } from '../nn/module.ts';
import { sink } from '../tensor/tracing.ts';
import { CompiledFunction, config, resetAll, stance, withoutCompiling } from './compile.ts';

export interface CompileOptions {
  /** Throws where a call cannot be prepared, instead of running it in plain code. */
  readonly fullgraph?: boolean;
  readonly dynamic?: boolean | null;
  readonly backend?: string;
  readonly mode?: string | null;
  readonly options?: Readonly<Record<string, unknown>> | null;
  /** Gives the function back as it is. */
  readonly disable?: boolean;
}

const modes = ['default', 'lite', 'reduce-overhead', 'max-autotune-no-cudagraphs', 'max-autotune'];
/** Options of PyTorch's compiler that programs for it set, with their types; they mean nothing here. */
const knownOptions: Readonly<Record<string, 'bool' | 'int' | 'str'>> = {
  'triton.cudagraphs': 'bool',
  'triton.unique_kernel_names': 'bool',
  coordinate_descent_tuning: 'bool',
  coordinate_descent_check_all_directions: 'bool',
  cpp_wrapper: 'bool',
  debug: 'bool',
  dce: 'bool',
  emulate_precision_casts: 'bool',
  epilogue_fusion: 'bool',
  force_same_precision: 'bool',
  freezing: 'bool',
  fx_graph_cache: 'bool',
  guard_filter_fn: 'str',
  max_autotune: 'bool',
  max_autotune_gemm: 'bool',
  max_autotune_gemm_backends: 'str',
  max_autotune_pointwise: 'bool',
  max_fusion_size: 'int',
  pattern_matcher: 'bool',
  shape_padding: 'bool',
  size_asserts: 'bool',
  use_fast_math: 'bool',
};
const backends = ['cudagraphs', 'inductor'];
const otherBackends = ['eager', 'aot_eager', 'aot_eager_decomp_partition', 'openxla', 'tvm'];

const pythonType = (x: unknown): string =>
  typeof x === 'boolean'
    ? 'bool'
    : typeof x === 'number'
      ? Number.isInteger(x)
        ? 'int'
        : 'float'
      : typeof x === 'string'
        ? 'str'
        : typeof x;

function check({ backend = 'inductor', mode = null, options = null }: CompileOptions): void {
  if (typeof backend !== 'string')
    throw new TypeError('a backend that is a function takes a graph of torch.fx, which there is none of here: backend should be a name');
  if (mode !== null && options !== null)
    throw new Error("Either mode or options can be specified, but both can't be specified at the same time.");
  if (![...backends, ...otherBackends].includes(backend))
    throw new Error(`Invalid backend: '${backend}', see \`torch._dynamo.list_backends()\` for available backends.`);
  if (mode !== null && !modes.includes(mode)) throw new Error(`Unrecognized mode=${mode}, should be one of: ${modes.join(', ')}`);
  for (const [name, value] of Object.entries(options ?? {})) {
    const expected = knownOptions[name.replaceAll('-', '_')];
    if (expected === undefined)
      throw new Error(
        `Unexpected optimization option ${name}, known options are [${Object.keys(knownOptions)
          .map((k) => `'${k}'`)
          .join(', ')}]`,
      );
    if (pythonType(value) !== expected && typeof value !== 'function')
      throw new Error(`Unexpected type of attr ${name}, got ${pythonType(value)} should be ${expected}`);
  }
}

type AnyFunction = (...args: never[]) => unknown;
const compiledOf = new WeakMap<object, CompiledFunction>();

/** Prepares a function, or a module: what is returned is called in its place. */
export function compile<F extends AnyFunction | Module>(model: F, options?: CompileOptions): F;
/** A decorator with these options. */
export function compile(options?: CompileOptions): <F extends AnyFunction | Module>(model: F) => F;
export function compile(model?: unknown, given: CompileOptions = {}): unknown {
  if (model === undefined || model === null || (typeof model === 'object' && Object.getPrototypeOf(model) === Object.prototype))
    return (fn: AnyFunction | Module) => compile(fn, (model ?? given) as CompileOptions);
  if (typeof model !== 'function') throw new TypeError(`A callable function is expected, but ${typeof model} is provided.`);
  check(given);
  // PyTorch's back end `eager` runs what was captured as it was written.
  if (given.disable === true || given.backend === 'eager') return model;
  return model instanceof Module ? compileModule(model, given) : compileFunction(model as AnyFunction, given);
}

function compileFunction(fn: AnyFunction, { fullgraph = false }: CompileOptions, name = fn.name || 'function'): AnyFunction {
  const compiled = new CompiledFunction(fn as never, name, fullgraph);
  const call = function (this: unknown, ...args: unknown[]): unknown {
    return compiled.call(this, args);
  };
  Object.defineProperty(call, 'name', { value: fn.name, configurable: true });
  Object.defineProperty(call, 'length', { value: fn.length, configurable: true });
  compiledOf.set(call, compiled);
  return call as AnyFunction;
}

/** The module, whose calls are prepared; everything else of it is its own. */
function compileModule(module: Module, options: CompileOptions): Module {
  const call = compileFunction((...args: never[]) => module(...args), options, module.constructor.name);
  const methods = new Map<unknown, unknown>();
  const proxy = new Proxy(module, {
    apply: (_, __, args) => call(...(args as never[])),
    get(target, name) {
      if (name === '_orig_mod') return target;
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function' || value instanceof Module || name === 'constructor') return value;
      // Methods look at the module itself, which is known by identity.
      let bound = methods.get(value);
      if (bound === undefined) {
        bound = (value as AnyFunction).bind(target);
        methods.set(value, bound);
      }
      return bound;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
  compiledOf.set(proxy, compiledOf.get(call)!);
  return proxy;
}

export const isCompiled = (fn: object): boolean => compiledOf.has(fn);
/** How many plans a compiled function has: for tests and measurements. */
export const plansOf = (fn: object): number => compiledOf.get(fn)?.plans ?? 0;

/** `fn`, in which compiled functions run in plain code; called inside of a compiled function it cannot be a part of a program. */
function disable<F extends AnyFunction>(fn: F): F {
  const call = function (this: unknown, ...args: never[]): unknown {
    if (sink !== null) sink.refuse(`it calls ${fn.name || 'a function'}, which torch.compiler.disable has taken out`);
    return withoutCompiling(() => fn.apply(this, args));
  };
  return call as F;
}

const stances = ['default', 'force_eager', 'eager_on_recompile', 'fail_on_recompile'] as const;
function set_stance(next: (typeof stances)[number]): void {
  if (!stances.includes(next)) throw new Error(`invalid torch.compile stance '${next}'`);
  stance.current = next;
}

/** https://docs.pytorch.org/docs/stable/torch.compiler_api.html */
export const compiler = {
  compile,
  config,
  /** Forgets everything that was prepared. */
  reset: resetAll,
  disable,
  set_stance,
  list_backends: (): string[] => [...backends],
  /** True while a function is being traced: what is computed now is repeated later. */
  is_compiling: (): boolean => sink !== null,
  is_dynamo_compiling: (): boolean => sink !== null,
  is_exporting: (): boolean => false,
  /** Results here own their memory, so there is nothing to mark. */
  cudagraph_mark_step_begin: (): void => {},
  /** All functions are allowed: a trace follows calls, not source text. */
  allow_in_graph: <F>(fn: F): F => fn,
  assume_constant_result: <F>(fn: F): F => fn,
};

provideCompiler((fn, options) => compile(fn as AnyFunction, options as CompileOptions));
