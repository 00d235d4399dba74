/**
 * What is seen while training: a bar on a terminal, a line now and then where output goes to a file or a pipe, nothing with
 * `--quiet`. The drawing of the bar is cli-progress's.
 */
import cliProgress from 'cli-progress';
import { formatCount, formatSeconds } from './format.ts';

export interface ProgressState {
  readonly step: number;
  readonly totalSteps: number | undefined;
  /** Between 0 and 1. */
  readonly share: number;
  readonly loss: number;
  readonly heldOut: number | undefined;
  readonly tokensPerSecond: number;
  readonly secondsLeft: number;
}

export interface Progress {
  update(state: ProgressState): void;
  /** A line of its own, above the bar. */
  note(line: string): void;
  stop(): void;
}

export type ProgressKind = 'bar' | 'lines' | 'none';

const noProgress: Progress = { update: () => undefined, note: () => undefined, stop: () => undefined };

export function createProgress(kind: ProgressKind, stream: NodeJS.WritableStream, secondsBetweenLines = 5): Progress {
  switch (kind) {
    case 'none':
      return noProgress;
    case 'lines':
      return linesProgress(stream, secondsBetweenLines);
    case 'bar':
      return barProgress(stream);
    default:
      return kind satisfies never;
  }
}

function linesProgress(stream: NodeJS.WritableStream, secondsBetween: number): Progress {
  let last = Number.NEGATIVE_INFINITY;
  let pending: ProgressState | undefined;
  const print = (state: ProgressState): void => {
    const { step, of, loss, speed, left, held } = words(state);
    stream.write(`step ${step}${of}  loss ${loss}${held}  ${speed} tokens/s  ${left} left\n`);
    pending = undefined;
  };
  return {
    update(state) {
      const now = performance.now() / 1000;
      pending = state;
      if (now - last < secondsBetween) return;
      last = now;
      print(state);
    },
    note: (line) => stream.write(`${line}\n`),
    stop: () => pending && print(pending),
  };
}

const resolution = 1000;

function barProgress(stream: NodeJS.WritableStream): Progress {
  const bar = new cliProgress.SingleBar(
    {
      // Not `{total}`: that is cli-progress's own maximum.
      format: '{bar} {percentage}%  step {step}{of}  loss {loss}{held}  {speed} tokens/s  {left} left',
      barsize: 24,
      fps: 10,
      hideCursor: true,
      stream,
      stopOnComplete: false,
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  );
  let started = false;
  return {
    update(state) {
      if (!started) bar.start(resolution, 0, words(state));
      started = true;
      bar.update(Math.round(state.share * resolution), words(state));
    },
    note(line) {
      if (started) stream.write('\r\x1b[2K');
      stream.write(`${line}\n`);
    },
    stop() {
      if (started) bar.stop();
      started = false;
    },
  };
}

function words(state: ProgressState): { step: string; of: string; loss: string; held: string; speed: string; left: string } {
  return {
    step: String(state.step),
    of: state.totalSteps === undefined ? '' : `/${state.totalSteps}`,
    loss: state.loss.toFixed(3),
    held: state.heldOut === undefined ? '' : ` (held out ${state.heldOut.toFixed(3)})`,
    speed: formatCount(state.tokensPerSecond),
    left: formatSeconds(state.secondsLeft),
  };
}
