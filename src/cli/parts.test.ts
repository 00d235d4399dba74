/** The parts of the main job that need no tensors: text, sampler, schedule, Ctrl-C, curves, progress, state, report. */
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { formatBytes, formatCount, formatSeconds } from './format.ts';
import { Interrupt } from './interrupt.ts';
import { resample, smooth, svgPlot, terminalPlot, ticks } from './plot.ts';
import { createProgress, type ProgressState } from './progress.ts';
import { reportLines } from './report.ts';
import { heldOutBatches, WindowSampler } from './sampler.ts';
import { TrainingPlan } from './schedule.ts';
import { packState, unpackState } from './state.ts';
import { loadText, splitTokens, vocabularyFrom, vocabularyOf } from './text.ts';

describe('text', () => {
  test('Moby Dick is read in its order, from the etymology to the epilogue', () => {
    const { content } = loadText(undefined);
    expect(content.length).toBeGreaterThan(1_150_000);
    expect(content.indexOf('Call me Ishmael')).toBeGreaterThan(0);
    // The table of contents names every chapter once before it comes.
    expect(content.indexOf('Call me Ishmael')).toBeLessThan(content.lastIndexOf('CHAPTER 2.'));
    expect(content.lastIndexOf('CHAPTER 2.')).toBeLessThan(content.lastIndexOf('CHAPTER 10.'));
    expect(content.lastIndexOf('Epilogue')).toBeGreaterThan(content.lastIndexOf('CHAPTER 135.'));
  });

  test('a file is read as UTF-8; a missing or binary one is an error that names it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'magpie-text-'));
    writeFileSync(join(folder, 'a.txt'), 'one\r\ntwo é');
    writeFileSync(join(folder, 'b.bin'), new Uint8Array([0xff, 0xfe, 0x80]));
    expect(loadText(join(folder, 'a.txt')).content).toBe('one\ntwo é');
    expect(() => loadText(join(folder, 'b.bin'))).toThrow(/cannot read the text '.*b\.bin'/);
    expect(() => loadText(join(folder, 'c.txt'))).toThrow(/cannot read the text '.*c\.txt'/);
    rmSync(folder, { recursive: true });
  });

  test('the vocabulary counts code points and turns text into numbers and back', () => {
    const vocabulary = vocabularyOf('b🐋a\nb');
    expect(vocabulary.characters).toEqual(['\n', 'a', 'b', '🐋']);
    expect([...vocabulary.encode('ab🐋')]).toEqual([1, 2, 3]);
    const unknown = new Set<string>();
    expect(vocabularyFrom(vocabulary.characters).decode(vocabulary.encode('a?b!', unknown))).toBe('ab');
    expect([...unknown]).toEqual(['?', '!']);
  });

  test('the last tenth is held out, and a text too short for that is refused', () => {
    const { training, heldOut } = splitTokens(
      Int32Array.from({ length: 1000 }, (_, at) => at),
      50,
    );
    expect([training.length, heldOut.length, heldOut[0]]).toEqual([900, 100, 900]);
    expect(() => splitTokens(new Int32Array(500), 50)).toThrow(/too short/);
  });
});

describe('the sampler', () => {
  test('goes on from a saved state as if it had not stopped', () => {
    const sampler = new WindowSampler(7);
    for (let draw = 0; draw < 10; draw++) sampler.below(1000);
    const state = JSON.parse(JSON.stringify(sampler.state()));
    const other = new WindowSampler(0);
    other.load(state);
    const draws = (from: WindowSampler): number[] => Array.from({ length: 20 }, () => from.below(1000));
    expect(draws(other)).toEqual(draws(sampler));
  });

  test('draws evenly, differently for each seed, and its targets are the inputs moved by one', () => {
    const sampler = new WindowSampler(1);
    const counts = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 10_000; draw++) counts[sampler.below(10)]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
    expect(new WindowSampler(2).below(2 ** 31)).not.toBe(new WindowSampler(3).below(2 ** 31));
    const tokens = Int32Array.from({ length: 50 }, (_, at) => at);
    const { inputs, targets } = sampler.batch(tokens, 4, 8);
    for (let at = 0; at < 32; at++) expect(targets[at]).toBe(inputs[at]! + 1n);
  });

  test('every window of the text can be drawn, the last one too', () => {
    const tokens = Int32Array.from({ length: 10 }, (_, at) => at);
    const sampler = new WindowSampler(5);
    const starts = new Set<bigint>();
    for (let draw = 0; draw < 200; draw++) starts.add(sampler.batch(tokens, 1, 8).inputs[0]!);
    expect([...starts].sort()).toEqual([0n, 1n]);
  });

  test('the held-out text is cut into windows side by side, each once', () => {
    const tokens = Int32Array.from({ length: 41 }, (_, at) => at);
    const batches = [...heldOutBatches(tokens, 2, 5)];
    expect(batches.flatMap(({ inputs }) => [...inputs])).toEqual(Array.from({ length: 40 }, (_, at) => BigInt(at)));
    expect([...heldOutBatches(tokens, 2, 5, 2)].map(({ inputs }) => inputs[0])).toEqual([0n, 20n]);
    expect([...heldOutBatches(tokens, 100, 5)].map(({ rows }) => rows)).toEqual([8]);
  });
});

describe('the plan', () => {
  test('of a number of steps rises linearly and falls along a cosine to zero', () => {
    const plan = new TrainingPlan({ seconds: 60, steps: 1000 }, 1);
    expect(plan.learningRate(0)).toBeCloseTo(0.01);
    expect(plan.learningRate(99)).toBeCloseTo(1);
    expect(plan.learningRate(550)).toBeCloseTo(0.5);
    expect(plan.learningRate(999)).toBeLessThan(1e-5);
    expect(plan.isDone(999)).toBe(false);
    expect(plan.isDone(1000)).toBe(true);
  });

  test('of a number of seconds becomes steps from the measured speed, without the slow first steps', () => {
    const plan = new TrainingPlan({ seconds: 60 }, 1);
    let elapsed = 0;
    let step = 0;
    while (!plan.isDone(step)) {
      elapsed += step++ < 3 ? 0.7 : 0.05;
      plan.observe(step, elapsed);
    }
    expect(elapsed).toBeGreaterThan(59.5);
    expect(elapsed).toBeLessThan(60.5);
  });

  test('ends in time even when no speed can be measured', () => {
    const plan = new TrainingPlan({ seconds: 1 }, 1);
    plan.observe(1, 5);
    expect(plan.isDone(1)).toBe(true);
  });

  test('restored in the middle gives the same rates', () => {
    const plan = new TrainingPlan({ seconds: 60 }, 3e-3);
    for (let step = 1; plan.totalSteps === undefined; step++) plan.observe(step, step * 0.1);
    const { seconds, totalSteps } = plan.state();
    const restored = new TrainingPlan({ seconds, steps: totalSteps }, 3e-3);
    for (let step = 0; step < 600; step += 7) expect(restored.learningRate(step)).toBe(plan.learningRate(step));
  });
});

describe('Ctrl-C', () => {
  test('asks first and ends at once the second time', () => {
    const source = new EventEmitter();
    const log: string[] = [];
    const interrupt = new Interrupt(
      source,
      () => log.push('first'),
      () => log.push('exit'),
    );
    expect(interrupt.requested).toBe(false);
    source.emit('SIGINT');
    expect(interrupt.requested).toBe(true);
    source.emit('SIGTERM');
    expect(log).toEqual(['first', 'exit']);
    interrupt.dispose();
    expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0);
  });
});

const curve = Array.from({ length: 300 }, (_, step) => ({ step: step + 1, loss: 1.6 + 2.8 * Math.exp(-step / 60) }));

describe('the loss curve', () => {
  test('is smoothed without the bias of its beginning and resampled by interpolation', () => {
    expect(smooth([{ step: 1, loss: 4 }], 10)[0]!.loss).toBeCloseTo(4);
    expect(
      resample(
        [
          { step: 0, loss: 0 },
          { step: 10, loss: 1 },
        ],
        0,
        10,
        5,
      ),
    ).toEqual([0, 0.25, 0.5, 0.75, 1]);
  });

  test('in the terminal has the asked height and stays inside the columns', () => {
    const lines = terminalPlot({ training: curve, heldOut: [] }, { columns: 60, height: 8 }).split('\n');
    expect(lines).toHaveLength(8 + 1 + 2);
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(60);
    expect(lines[0]).toMatch(/4\.\d\d/);
    expect(terminalPlot({ training: curve.slice(0, 1), heldOut: [] })).toBe('');
  });

  test('as SVG has labelled axes, both curves inside the frame, and an escaped title', () => {
    const svg = svgPlot(
      {
        training: curve,
        heldOut: [
          { step: 150, loss: 2.1 },
          { step: 300, loss: 1.7 },
        ],
      },
      'a < b & "c"',
    );
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    expect(svg.match(/<polyline/g)).toHaveLength(3);
    expect(svg).toContain('>step<');
    expect(svg).not.toContain('NaN');
    for (const [, x, y] of svg.matchAll(/(-?[\d.]+),(-?[\d.]+)[ "]/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(70);
      expect(Number(x)).toBeLessThanOrEqual(780);
      expect(Number(y)).toBeGreaterThanOrEqual(45);
      expect(Number(y)).toBeLessThanOrEqual(400);
    }
  });

  test('survives a single point, equal losses and losses that are not finite', () => {
    for (const training of [
      [],
      [{ step: 1, loss: 2 }],
      [
        { step: 1, loss: 2 },
        { step: 2, loss: Number.NaN },
        { step: 3, loss: 2 },
      ].slice(0, 1),
    ]) {
      expect(svgPlot({ training, heldOut: [] }, 'x')).not.toMatch(/NaN|Infinity/);
    }
    expect(ticks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(2, 2, 5).length).toBeGreaterThanOrEqual(2);
  });
});

function collector(): { stream: Writable; text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += String(chunk);
      done();
    },
  });
  return { stream, text: () => text };
}

const state: ProgressState = {
  step: 5,
  totalSteps: 20,
  share: 0.25,
  loss: 2.34567,
  heldOut: 2.5,
  tokensPerSecond: 37703.2,
  secondsLeft: 75,
};

describe('progress', () => {
  test('where there is no terminal is a line now and then, and the last state is never lost', () => {
    const { stream, text } = collector();
    const progress = createProgress('lines', stream, 1000);
    progress.update(state);
    progress.update({ ...state, step: 6 });
    progress.update({ ...state, step: 7 });
    progress.stop();
    expect(text()).toBe(
      'step 5/20  loss 2.346 (held out 2.500)  37,703 tokens/s  1:15 left\nstep 7/20  loss 2.346 (held out 2.500)  37,703 tokens/s  1:15 left\n',
    );
  });

  test('on a terminal is one bar with step, loss, tokens a second and the time left', () => {
    const { stream, text } = collector();
    Object.assign(stream, { isTTY: true, columns: 120, cursorTo: () => true, clearLine: () => true, moveCursor: () => true });
    const progress = createProgress('bar', stream);
    progress.update(state);
    progress.note('saving');
    progress.stop();
    expect(text()).toContain('step 5/20  loss 2.346 (held out 2.500)  37,703 tokens/s  1:15 left');
    expect(text()).toContain('25%');
    expect(text()).toContain('saving\n');
  });

  test('is nothing when asked to be quiet', () => {
    const { stream, text } = collector();
    const progress = createProgress('none', stream);
    progress.update(state);
    progress.note('x');
    progress.stop();
    expect(text()).toBe('');
  });
});

describe('packed state', () => {
  class Fake {
    readonly id: number;
    constructor(id: number) {
      this.id = id;
    }
  }
  const isFake = (value: unknown): value is Fake => value instanceof Fake;

  test('comes back with its tensors, Maps, bigints and odd numbers', () => {
    const original = {
      model: new Map([['a.weight', new Fake(1)]]),
      optimizer: {
        state: { 0: { step: 5n, exp_avg: new Fake(2) } },
        groups: [{ lr: 0.1, betas: [0.9, Number.POSITIVE_INFINITY], params: [0] }],
      },
      nothing: [undefined, null, Number.NaN, -0],
    };
    const { skeleton, tensors } = packState(original, isFake);
    expect([...tensors.keys()]).toEqual(['model.a.weight', 'optimizer.state.0.exp_avg']);
    expect(unpackState(skeleton, tensors)).toEqual(original);
  });

  test('says which tensor is missing, and refuses what it cannot hold', () => {
    const { skeleton } = packState({ a: new Fake(1) }, isFake);
    expect(() => unpackState(skeleton, new Map())).toThrow(/no tensor 'a'/);
    expect(() => packState({ a: { b: () => 1 } }, isFake)).toThrow(/function at 'a\.b'/);
  });
});

describe('the report', () => {
  test('says what was measured and where the files are', () => {
    const lines = reportLines({
      text: 'Moby Dick',
      parameters: 364_000,
      device: 'cpu',
      isa: 'AVX2',
      threads: 2,
      steps: 1500,
      resumedAt: 0,
      interrupted: true,
      tokens: 2_304_000,
      tokensPerSecond: 40_123.4,
      trainingLoss: 1.61234,
      heldOutLoss: 1.70001,
      heldOutCharacters: 120_000,
      wallSeconds: 65,
      files: [{ path: 'out/checkpoint.safetensors', bytes: 4_400_000 }],
    }).join('\n');
    for (const part of [
      'cpu, AVX2, 2 threads',
      '1,500',
      'interrupted',
      '40,123 tokens/s',
      '1.6123',
      '1.7000',
      '1:05',
      '4.2 MB',
      '--resume out/checkpoint',
    ]) {
      expect(lines).toContain(part);
    }
  });

  test('numbers are written for people', () => {
    expect([formatCount(1234567.8), formatCount(12), formatSeconds(9.96), formatSeconds(4000)]).toEqual([
      '1,234,568',
      '12',
      '10 s',
      '1:06:40',
    ]);
    expect([formatBytes(5), formatBytes(2048), formatBytes(3 << 20)]).toEqual(['5 B', '2.0 kB', '3.0 MB']);
  });
});
