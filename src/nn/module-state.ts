/** What a module has besides its fields: names of buffers, hooks, where it stands in the tree. Kept apart so that fields are the user's alone. */
import { PathMemo } from '../tensor/scope.ts';
import type { Hooks } from './module-hooks.ts';

export class ModuleState {
  /** Buffer names; false: not part of the state dict. */
  readonly buffers: Map<string, boolean> = new Map();
  hooks: Hooks | null = null;
  /** The last part of the path at which the module was found. */
  localName: string | null = null;
  readonly path: PathMemo = new PathMemo();
  /** Scratch: the number of the last look at what is in reach that came by. */
  reached = 0;
}
const states = new WeakMap<object, ModuleState>();

export function newState(module: object): ModuleState {
  const state = new ModuleState();
  states.set(module, state);
  return state;
}
/** The state of a module; undefined for what is none. */
export const findState = (module: object): ModuleState | undefined => states.get(module);
export const moduleState = (module: object): ModuleState => states.get(module)!;
