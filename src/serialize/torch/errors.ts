/**
 * Errors of reading and writing PyTorch's files, in PyTorch's words: `_weights_only_unpickler.py`, `serialization.py`, `inline_container.cc`.
 */

/** The bytes are not a pickle that may be read. Python raises `pickle.UnpicklingError`. */
export class UnpicklingError extends Error {
  override readonly name = 'UnpicklingError';
}
/** A value that cannot be written. Python raises `TypeError` or `pickle.PicklingError`. */
export class PicklingError extends Error {
  override readonly name = 'PicklingError';
}

export const unsafeMessage =
  'In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to `True`. ' +
  'Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in arbitrary code execution. ' +
  'Do it only if you got the file from a trusted source.';

const docsMessage =
  '\n\nCheck the documentation of torch.load to learn more about types accepted by default with weights_only https://pytorch.org/docs/stable/generated/torch.load.html.';

/** What `torch.load` says around an error of its weights-only unpickler. */
export function weightsOnlyMessage(message: string): string {
  if (/GLOBAL (\S+) was not an allowed global by default\./.test(message))
    return (
      'Weights only load failed. This file can still be loaded, to do so you have two options, ' +
      'do those steps only if you trust the source of the checkpoint. ' +
      `\n\t(1) ${unsafeMessage}\n\t(2) Alternatively, to load with \`weights_only=True\` please check ` +
      `the recommended steps in the following error message.\n\tWeightsUnpickler error: ${message}${docsMessage}`
    );
  const blocked = /whose module (\S+) is blocked/.test(message);
  const report = blocked
    ? ''
    : 'Please file an issue with the following so that we can make `weights_only=True` compatible with your use case: WeightsUnpickler error: ';
  return `Weights only load failed. ${unsafeMessage}\n${report}\n\n${message}${docsMessage}`;
}

/** The unpickler's own error for a name that is not on the list. */
export function unsupportedGlobal(path: string): UnpicklingError {
  const name = path.startsWith('builtins.') ? path.slice('builtins.'.length) : path;
  return new UnpicklingError(
    `Unsupported global: GLOBAL ${name} was not an allowed global by default. ` +
      `Please use \`torch.serialization.add_safe_globals([${name}])\` or the ` +
      `\`torch.serialization.safe_globals([${name}])\` context manager to allowlist this global if you trust this class/function.`,
  );
}

export const archiveError = (what: string): Error => new Error(`PytorchStreamReader failed ${what}`);
