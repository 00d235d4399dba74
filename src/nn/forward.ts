/** Arguments of `forward` by position or, as PyTorch's callers often do, by name in one trailing options object. */
const isOptions = (x: unknown): x is Record<string, unknown> => {
  if (typeof x !== 'object' || x === null) return false;
  const prototype = Object.getPrototypeOf(x);
  return prototype === Object.prototype || prototype === null;
};

/** All arguments by name; `defaults` has those that may be left out. */
export function bindForward<P extends object>(
  names: readonly (keyof P & string)[],
  defaults: Partial<P>,
  args: readonly unknown[],
): Required<P> {
  const positional = [...args];
  const options = isOptions(positional[positional.length - 1]) ? (positional.pop() as Record<string, unknown>) : {};
  if (positional.length > names.length)
    throw new TypeError(`forward() takes ${names.length + 1} positional arguments but ${positional.length + 1} were given`);
  const out: Record<string, unknown> = { ...defaults };
  positional.forEach((value, i) => {
    if (value !== undefined) out[names[i]] = value;
  });
  for (const [name, value] of Object.entries(options)) {
    const at = names.indexOf(name as keyof P & string);
    if (at < 0) throw new TypeError(`forward() got an unexpected keyword argument '${name}'`);
    if (at < positional.length) throw new TypeError(`forward() got multiple values for argument '${name}'`);
    if (value !== undefined) out[name] = value;
  }
  for (const name of names) if (out[name] === undefined) throw new TypeError(`forward() missing 1 required positional argument: '${name}'`);
  return out as Required<P>;
}
