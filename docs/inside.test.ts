/**
 * The programs in the documents run: every block of ```ts that begins with the line `// run` is a module, `// run, continued` goes on with it.
 *
 * A module is type-checked as a user's would be and run; all that it prints (console.log and the debug flags) must be the lines after `// -> `,
 * in order. In an expected line `...` stands for any text; a line that is `...` alone for any lines.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatWithOptions } from 'node:util';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
// inside.md first: it shows numbers of programs and of pending calls, which go on from one module to the next.
const documents = ['docs/inside.md', 'README.md', 'docs/adding-an-op.md', 'docs/amp.md', 'docs/compile.md'];
const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { exports: Record<string, { default?: string }> };
/** Sources of the package and its subpaths. */
const packagePaths = new Map(
  Object.entries(exports).flatMap(([path, { default: built }]) =>
    built === undefined ? [] : [[`torch-magpie${path.slice(1)}`, built.replace('./dist/', '../../src/').replace('.js', '.ts')]],
  ),
);

interface Module {
  readonly path: string;
  source: string;
  readonly expected: string[];
}

function modulesOf(document: string): Module[] {
  const modules: Module[] = [];
  for (const [, block] of readFileSync(root + document, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)) {
    const [first, ...lines] = block.split('\n');
    if (first === '// run')
      modules.push({ path: `${root}out/docs/${document.replace(/\W+/g, '-')}-${modules.length}.ts`, source: '', expected: [] });
    else if (first !== '// run, continued') continue;
    const module = modules[modules.length - 1];
    module.expected.push(...lines.flatMap((line) => /^\s*\/\/ -> ?(.*)$/.exec(line)?.slice(1) ?? []));
    module.source += `${lines.join('\n')}\n`;
  }
  for (const module of modules) {
    module.source = module.source.replace(/(from |import )'([^']+)'/g, (_, word: string, name: string) => {
      const path = packagePaths.get(name) ?? (name.startsWith('../src/') ? `../${name}` : name);
      return `${word}'${path}'`;
    });
    mkdirSync(dirname(module.path), { recursive: true });
    writeFileSync(module.path, module.source);
  }
  return modules;
}

/** What a module prints, by line. */
async function outputOf(path: string): Promise<string[]> {
  const lines: string[] = [];
  const { log, error } = console;
  const note = (...args: unknown[]): void => {
    lines.push(...formatWithOptions({ colors: false }, ...args).split('\n'));
  };
  Object.assign(console, { log: note, error: note });
  try {
    await import(/* @vite-ignore */ path);
  } finally {
    Object.assign(console, { log, error });
  }
  return lines.map((line) => line.trimEnd());
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
/** The expected lines as one pattern. */
function patternOf(expected: readonly string[]): RegExp {
  const parts = expected.map((line) =>
    line.trim() === '...' ? '(?:.*\\n)*?' : `${line.trimEnd().split('...').map(escaped).join('.*')}\\n`,
  );
  return new RegExp(`^${parts.join('')}$`);
}

const modules = documents.flatMap(modulesOf);

describe('programs in the documents', () => {
  test('there are some in each document', () => {
    for (const document of documents) expect(modules.some((m) => m.path.includes(document.replace(/\W+/g, '-')))).toBe(true);
  });

  test('README.md and FEATURES.md name the same percentage', () => {
    const share = (file: string): string | undefined => /\*\*[\d.]+ %\*\*/.exec(readFileSync(root + file, 'utf8'))?.[0];
    expect(share('README.md')).toBe(share('FEATURES.md'));
  });

  for (const { path, expected } of modules)
    test(`${path.slice(root.length)} prints what the document says`, async () => {
      const text = (await outputOf(path)).map((line) => `${line}\n`).join('');
      if (patternOf(expected).test(text)) return;
      // The first line that goes wrong, and everything that was printed.
      const good = expected.findIndex((_, n) => !patternOf([...expected.slice(0, n + 1), '...']).test(text));
      expect(`${good < 0 ? 'the end' : expected[good]}\n\nwas printed otherwise:\n${text}`).toBe('');
    });

  test('their types are right', () => {
    const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config, ts.sys, root);
    const program = ts.createProgram(
      modules.map((m) => m.path),
      { ...options, noUnusedLocals: false },
    );
    const found = modules.flatMap(({ path }) => {
      const file = program.getSourceFile(path)!;
      return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map((d) =>
        ts.formatDiagnostic(d, { getCanonicalFileName: (f) => f, getCurrentDirectory: () => root, getNewLine: () => '\n' }),
      );
    });
    expect(found).toEqual([]);
  }, 300_000);
});
