#!/usr/bin/env node
/**
 * `npm start`: the main job, from the command line to the last line. It wires the parts of this folder together; each of them
 * says what it does. Exit codes: 0 done or ended by Ctrl-C after saving, 1 failed, 2 wrong command line, 130 a second Ctrl-C.
 */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import torch from '../index.ts';
import { formatCount } from './format.ts';
import { generate } from './gpt.ts';
import { breathe, Interrupt } from './interrupt.ts';
import { parseOptions, type StartOptions } from './options.ts';
import { svgPlot, terminalPlot } from './plot.ts';
import { createProgress, type ProgressKind } from './progress.ts';
import { type Report, reportLines } from './report.ts';
import { prepareRun, type Run, train } from './train.ts';

const started = performance.now();

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const { stdout } = process;
  const silent = options.quiet || options.json;
  const kind: ProgressKind = silent ? 'none' : stdout.isTTY ? 'bar' : 'lines';
  const progress = createProgress(kind, stdout);
  const interrupt = new Interrupt(
    process,
    () => progress.note('Ctrl-C: finishing the step and saving; once more ends at once.'),
    () => {
      progress.stop();
      process.exit(130);
    },
  );
  const run = prepareRun(options);
  const result = await train(run, options.out, {
    begin: (prepared) => silent || stdout.write(`${introduction(prepared)}\n\n`),
    update: (state) => progress.update(state),
    stopRequested: () => interrupt.requested,
  }).finally(() => progress.stop());

  const curves = { training: run.trainingCurve, heldOut: run.heldOutCurve };
  const svg = join(options.out, 'loss.svg');
  mkdirSync(options.out, { recursive: true });
  writeFileSync(svg, svgPlot(curves, `${run.text.name}: held-out loss ${result.heldOutLoss.toFixed(3)} after ${run.step} steps`));
  if (!silent) {
    const chart = terminalPlot(curves, { columns: stdout.columns ?? 80, color: stdout.isTTY && stdout.hasColors?.() === true });
    if (chart !== '') stdout.write(`\n${chart}\n`);
  }
  const sample = result.interrupted
    ? ''
    : await writeSample(
        run,
        options,
        (text) => options.json || stdout.write(text),
        () => interrupt.requested,
      );
  interrupt.dispose();

  const tokens = run.step * run.batch * run.model.config.context;
  const report: Report = {
    text: run.text.name,
    parameters: run.model.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0),
    device: run.device,
    isa: torch.backends.cpu.get_cpu_capability(),
    threads: torch.get_num_threads(),
    steps: run.step,
    resumedAt: run.resumedAt,
    interrupted: result.interrupted,
    tokens,
    tokensPerSecond: run.measuredSteps === 0 ? 0 : (run.measuredSteps * run.batch * run.model.config.context) / run.measuredSeconds,
    trainingLoss: result.trainingLoss,
    heldOutLoss: result.heldOutLoss,
    heldOutCharacters: result.heldOutCharacters,
    wallSeconds: (performance.now() - started) / 1000,
    files: [result.checkpoint, svg].map((path) => ({ path, bytes: statSync(path).size })),
  };
  if (options.json) stdout.write(`${JSON.stringify({ ...report, sample })}\n`);
  else stdout.write(`\n${reportLines(report).join('\n')}\n`);
}

function introduction(run: Run): string {
  const { layers, heads, width, context } = run.model.config;
  const characters = run.training.length + run.heldOut.length;
  return [
    `${run.text.name}: ${formatCount(characters)} characters of ${run.vocabulary.characters.length} kinds; the last tenth is held out`,
    `GPT: ${layers} layers, ${heads} heads, width ${width}, context ${context}; batches of ${run.batch}`,
    ...(run.resumedAt > 0 ? [`continuing at step ${run.resumedAt}`] : []),
  ].join('\n');
}

/** Streams the generated text, character by character; Ctrl-C ends it early. */
async function writeSample(run: Run, options: StartOptions, write: (text: string) => void, stopped: () => boolean): Promise<string> {
  if (options.tokens === 0) return '';
  const unknown = new Set<string>();
  const prompt = run.vocabulary.encode(options.prompt, unknown);
  if (unknown.size > 0) process.stderr.write(`not in the text, so left out of the prompt: ${[...unknown].join(' ')}\n`);
  run.model.eval();
  write(`\n${options.prompt.trimStart()}`);
  let sample = options.prompt;
  for (const token of generate(run.model, prompt, options.tokens, options.temperature)) {
    const character = run.vocabulary.decode([token]);
    sample += character;
    write(character);
    await breathe();
    if (stopped()) break;
  }
  write('\n');
  return sample;
}

// `npm start -- --help | head` closes the pipe: no more is wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

try {
  await main();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    const { message, stack } = error as Error;
    // A bug of ours is worth its stack; a missing file is not.
    process.stderr.write(`${message.startsWith('internal:') || error instanceof TypeError ? stack : `error: ${message}`}\n`);
    process.exitCode = 1;
  }
}
