/** The examples, as a user runs them. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
function run(name: string, args: readonly string[] = [], env: Record<string, string> = {}): string {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '-s', 'example', '--', name, ...args], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

test('xor is learned', () => {
  const out = run('xor');
  expect(out).toMatch(/step 200: loss 0\.00/);
  expect(out).toContain('(hidden): Linear(in_features=2, out_features=8, bias=True)');
  expect(out.replace(/\s/g, '')).toContain('0^00^11^01^1=0110');
});

test('a convolutional network learns digits', () => {
  const out = run('mnist', ['1', '4000']);
  expect(Number(/held out ([\d.]+) % right/.exec(out)?.[1])).toBeGreaterThan(80);
});

test('a character GPT learns its own source text', () => {
  const out = run('gpt', [], { STEPS: '200' });
  const losses = [...out.matchAll(/step \d+: ([\d.]+) nats/g)].map((m) => Number(m[1]));
  expect(losses).toHaveLength(3);
  expect(losses[2]).toBeLessThan(2);
});
