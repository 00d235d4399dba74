/**
 * Constructor arguments of modules: PyTorch's parameters by position, in PyTorch's order, or by name in one trailing options object, or both.
 *
 * `interface Conv2dArguments { in_channels: number; ...; stride?: Size }` and the order of its keys are all that a module says of them:
 * `constructor(...args: ConstructorArguments<Conv2dArguments, typeof order>)` types every way of calling, and `bindConstructor` fills in defaults.
 * Keyword-only parameters are those that the order does not list.
 */

type OptionsOf<P, Taken> = { readonly [K in keyof P as K extends Taken ? never : K]: P[K] };
type Trailing<O> = object extends O ? [options?: O] : [options: O];
/** All ways to give arguments: the first few by position, the others in an options object (omitted if nothing there is required). */
export type ConstructorArguments<P, Order extends readonly unknown[], Given extends readonly unknown[] = [], Taken = never> =
  | [...Given, ...Trailing<OptionsOf<P, Taken>>]
  | (Order extends readonly [infer H extends keyof P, ...infer R extends readonly unknown[]]
      ? ConstructorArguments<P, R, [...Given, P[H]], Taken | H>
      : never);

/** Arguments with nothing left out: what a constructor body reads. `undefined` is never among them. */
export type BoundConstructor<P> = { readonly [K in keyof P]-?: Exclude<P[K], undefined> };

const isOptions = (x: unknown): x is Record<string, unknown> => {
  if (typeof x !== 'object' || x === null) return false;
  const prototype = Object.getPrototypeOf(x);
  return prototype === Object.prototype || prototype === null;
};

/**
 * Arguments by name. `order` are the positional parameters; `defaults` has a value for every parameter that may be left out, and only for
 * those: its keys that are not in `order` are keyword-only.
 */
export function bindConstructor<P extends object>(
  module: string,
  order: readonly (keyof P & string)[],
  defaults: { readonly [K in keyof P]?: P[K] | null },
  args: readonly unknown[],
): BoundConstructor<P> {
  const positional = [...args];
  const options = isOptions(positional[positional.length - 1]) ? (positional.pop() as Record<string, unknown>) : {};
  if (positional.length > order.length) {
    const required = order.filter((name) => !Object.hasOwn(defaults, name)).length;
    const range = required === order.length ? `${required + 1}` : `from ${required + 1} to ${order.length + 1}`;
    throw new TypeError(`${module}.__init__() takes ${range} positional arguments but ${positional.length + 1} were given`);
  }
  const out: Record<string, unknown> = { ...defaults };
  positional.forEach((value, i) => {
    if (value !== undefined) out[order[i]] = value;
  });
  for (const [name, value] of Object.entries(options)) {
    const at = order.indexOf(name as keyof P & string);
    if (at < 0 && !Object.hasOwn(defaults, name)) throw new TypeError(`${module}.__init__() got an unexpected keyword argument '${name}'`);
    if (at >= 0 && at < positional.length) throw new TypeError(`${module}.__init__() got multiple values for argument '${name}'`);
    if (value !== undefined) out[name] = value;
  }
  const missing = order.filter((name) => out[name] === undefined);
  if (missing.length > 0) {
    const names = missing.map((n) => `'${n}'`);
    const list =
      names.length === 1
        ? names[0]
        : names.length === 2
          ? names.join(' and ')
          : `${names.slice(0, -1).join(', ')}, and ${names[names.length - 1]}`;
    throw new TypeError(
      `${module}.__init__() missing ${names.length} required positional argument${names.length === 1 ? '' : 's'}: ${list}`,
    );
  }
  return out as BoundConstructor<P>;
}
