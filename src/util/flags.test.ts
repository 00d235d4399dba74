import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { flagDefaults, flags, flagTable, parseBytes, readFlags, traceTopics } from './flags.ts';
import { trace } from './trace.ts';

describe('flags', () => {
  test('sizes have suffixes, and what is no size is refused', () => {
    expect(['4096', '512K', '1.5G', '2 MiB', '1t', '', 'much'].map(parseBytes)).toEqual([
      4096,
      512 << 10,
      1.5 * 2 ** 30,
      2 << 20,
      2 ** 40,
      undefined,
      undefined,
    ]);
    expect(() => readFlags({ MAGPIE_MEMORY: 'lots' })).toThrow(
      "MAGPIE_MEMORY must be a number of bytes with an optional suffix K, M, G or T, got 'lots'",
    );
    expect(() => readFlags({ MAGPIE_THREADS: 'many' })).toThrow("MAGPIE_THREADS must be a number, got 'many'");
  });

  test('an environment overrides the defaults, and an empty variable does not', () => {
    const read = readFlags({ MAGPIE_MEMORY: '1G', MAGPIE_THREADS: '3', MAGPIE_NO_SYMBOLS: '1', MAGPIE_ISA: '', MAGPIE_TRACE: 'graph' });
    expect(read).toEqual({ ...flagDefaults, memory: 2 ** 30, threads: 3, noSymbols: true, trace: 'graph' });
    expect(readFlags({ MAGPIE_NO_SYMBOLS: '0' }).noSymbols).toBe(false);
  });

  test('tracing prints the topics asked for, each line with its name, and builds no other text', () => {
    const lines: string[] = [];
    const error = console.error;
    console.error = (line: string) => lines.push(line);
    try {
      flags.trace = 'graph, memory';
      trace('graph', () => 'a\nb');
      trace('code', () => {
        throw new Error('nobody asked');
      });
      flags.trace = 'all';
      trace('code', () => 'c');
    } finally {
      console.error = error;
      flags.trace = '';
    }
    expect(lines).toEqual(['[graph] a', '[graph] b', '[code] c']);
    expect(Object.keys(traceTopics)).toContain('kernels');
  });

  test('docs/flags.md is what the table says', () => {
    const script = fileURLToPath(new URL('../../scripts/flags-page.mjs', import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('every variable that the package reads is declared, and read elsewhere only if the table says so', () => {
    const src = fileURLToPath(new URL('..', import.meta.url));
    const read = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.endsWith('util/flags.ts'))
      .flatMap((file) =>
        [...readFileSync(join(src, file), 'utf8').matchAll(/(?:env|environment)(?:\['|\.)(MAGPIE_\w+)/g)].map((m) => m[1]),
      );
    const elsewhere = Object.values(flagTable).flatMap((info) => ('read' in info ? [info.env] : []));
    expect([...new Set(read)].sort()).toEqual([...elsewhere].sort());
  });
});
