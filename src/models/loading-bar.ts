/**
 * What is seen while a model is loaded: one bar for all its files, on a terminal only, and only where it takes long enough to be read.
 *
 * The drawing is cli-progress's. It goes to stderr, so that what a program prints can be piped.
 */
import cliProgress from 'cli-progress';

/** Called after each tensor: how many are done, of how many, and the name of the last. */
export type LoadingCallback = (done: number, total: number, name: string) => void;
/** true (the default): a bar on a terminal; false: nothing; or a function. */
export type LoadingOption = boolean | LoadingCallback;

interface Terminal extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
}
export interface LoadingBar extends Disposable {
  readonly update: LoadingCallback;
}

/** Shorter than this is not worth a bar. */
const patience = 300;

export function loadingBar(option: LoadingOption, stream: Terminal = process.stderr, wait = patience): LoadingBar {
  if (typeof option === 'function') return { update: option, [Symbol.dispose]: () => {} };
  if (!option || stream.isTTY !== true) return { update: () => {}, [Symbol.dispose]: () => {} };
  const begin = performance.now();
  let bar: cliProgress.SingleBar | null = null;
  return {
    update: (done, total, name) => {
      if (bar === null) {
        if (performance.now() - begin < wait) return;
        const format = 'Loading weights {bar} {value}/{total} {name}';
        bar = new cliProgress.SingleBar(
          { format, barsize: 24, fps: 10, hideCursor: true, stream, stopOnComplete: false, gracefulExit: false },
          cliProgress.Presets.shades_classic,
        );
        bar.start(total, done, { name });
      }
      bar.update(done, { name });
      // Loading does not return to the event loop, whose timers would draw it.
      bar.render();
    },
    [Symbol.dispose]: () => bar?.stop(),
  };
}
