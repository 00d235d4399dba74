import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { parseOptions, type StartOptions } from './options.ts';

function parse(...parameters: string[]): { options?: StartOptions; out: string; error: string; code?: number } {
  let [out, error] = ['', ''];
  const output = { writeOut: (text: string) => (out += text), writeErr: (text: string) => (error += text) } as const;
  try {
    return {
      options: parseOptions(parameters, { writeOut: (text) => void output.writeOut(text), writeErr: (text) => void output.writeErr(text) }),
      out,
      error,
    };
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(CommanderError);
    return { out, error, code: (thrown as CommanderError).exitCode };
  }
}

describe('the command line', () => {
  test('without parameters is the minute on two cores that the README promises', () => {
    const { options } = parse();
    expect(options).toMatchObject({
      seconds: 60,
      layers: 3,
      heads: 3,
      width: 96,
      context: 96,
      batch: 16,
      lr: 3e-3,
      seed: 1337,
      device: 'cpu',
    });
    expect(options?.steps).toBeUndefined();
    expect(options?.text).toBeUndefined();
    expect(options?.given.size).toBe(0);
  });

  test('takes every option, and the text as an argument or as an option', () => {
    const { options } = parse(
      'book.txt',
      '--steps',
      '7',
      '--lr=1e-3',
      '--resume',
      'c.safetensors',
      '--prompt',
      'Call me',
      '--quiet',
      '--json',
    );
    expect(options).toMatchObject({
      text: 'book.txt',
      steps: 7,
      lr: 1e-3,
      resume: 'c.safetensors',
      prompt: 'Call me',
      quiet: true,
      json: true,
    });
    expect([...(options?.given ?? [])].sort()).toEqual(['json', 'lr', 'prompt', 'quiet', 'resume', 'steps']);
    expect(parse('--text', 'book.txt').options?.text).toBe('book.txt');
  });

  test.each([
    [['--steps', '0'], /whole number/],
    [['--steps', '1.5'], /whole number/],
    [['--seconds', 'soon'], /greater than 0/],
    [['--lr', ''], /greater than 0/],
    [['--temperature', '-1'], /0 or more/],
    [['--width', '100'], /not a multiple of --heads 3/],
    [['--nonsense'], /unknown option/],
    [['a.txt', 'b.txt'], /too many arguments/],
    [['a.txt', '--text', 'b.txt'], /two texts/],
  ])('refuses %j and says why', (parameters, message) => {
    const { error, code } = parse(...parameters);
    expect(code).toBe(1);
    expect(error).toMatch(message);
  });

  test('explains itself, with examples and what Ctrl-C does', () => {
    const { out, code } = parse('--help');
    expect(code).toBe(0);
    for (const part of ['--seconds', '--resume', 'Moby Dick', 'npm start -- my-book.txt', 'Ctrl-C']) expect(out).toContain(part);
  });
});
