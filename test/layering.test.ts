/**
 * The layers of docs/design.md, section 3, held by a test: a module imports values from its own layer or from a lower one.
 *
 * Type imports are erased and may point anywhere; but `import { type X }` keeps its module loaded under
 * `verbatimModuleSyntax`, so only `import type` counts as one. Imports within a layer must not form a cycle, because the order
 * in which ES modules of a cycle are evaluated depends on who is imported first. Test files are not walked.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const layers: Readonly<Record<string, number>> = {
  ...rank(0, 'util', 'dtype', 'shape', 'random'),
  ...rank(1, 'graph', 'kernel'),
  ...rank(2, 'schedule'),
  ...rank(3, 'backend'),
  ...rank(4, 'autograd', 'tensor'),
  ...rank(5, 'ops'),
  ...rank(6, 'nn', 'optim', 'data', 'distributions', 'func', 'amp', 'quant', 'sparse', 'serialize', 'onnx', 'tensorboard'),
  ...rank(6, 'cuda', 'profiler', 'distributed', 'models', 'peft', 'compile'),
  // The files directly in src/ (index.ts) are the public surface; the command line and the FFI are written against it.
  ...rank(7, '.', 'ffi', 'cli'),
};

function rank(level: number, ...folders: string[]): Record<string, number> {
  return Object.fromEntries(folders.map((folder) => [folder, level]));
}

interface ValueImport {
  /** Both relative to src/, with forward slashes. */
  readonly from: string;
  readonly to: string;
  readonly line: number;
}

/** The relative imports and re-exports of one file that remain when types are erased; dynamic `import()` too. */
function valueImports(file: string, text: string): ValueImport[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
  const found: ValueImport[] = [];
  const add = (specifier: ts.Node): void => {
    if (!ts.isStringLiteral(specifier) || !specifier.text.startsWith('.')) return;
    const to = normalize(join(dirname(file), specifier.text))
      .split(sep)
      .join('/');
    found.push({ from: file, to, line: source.getLineAndCharacterOfPosition(specifier.getStart()).line + 1 });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && !node.importClause?.isTypeOnly) add(node.moduleSpecifier);
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier && !node.isTypeOnly) add(node.moduleSpecifier);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword && node.arguments[0]) add(node.arguments[0]);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function folderOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : '.';
}

/** One message for each import that points upwards, leaves src/, or touches a folder that is in no layer. */
function layeringErrors(imports: readonly ValueImport[]): string[] {
  const errors: string[] = [];
  for (const { from, to, line } of imports) {
    const [source, target] = [folderOf(from), folderOf(to)];
    const [low, high] = [layers[source], layers[target]];
    if (to.startsWith('..')) errors.push(`src/${from}:${line} imports '${to}', which is outside src/`);
    else if (low === undefined)
      errors.push(`src/${from}: the folder '${source}' is in no layer; add it to test/layering.test.ts and docs/design.md`);
    else if (high === undefined) errors.push(`src/${from}:${line} imports 'src/${to}', whose folder is in no layer`);
    else if (high > low) errors.push(`src/${from}:${line} (layer ${low}) imports a value from 'src/${to}' (layer ${high}, above it)`);
  }
  return errors;
}

/** Every cycle of value imports once, as `a -> b -> a`. An iterative depth-first walk: import chains are long. */
function importCycles(imports: readonly ValueImport[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to } of imports) targets.set(from, [...(targets.get(from) ?? []), to]);
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[] = [];
  for (const start of targets.keys()) {
    if (state.has(start)) continue;
    const path: { file: string; next: number }[] = [{ file: start, next: 0 }];
    state.set(start, 'open');
    while (path.length > 0) {
      const top = path[path.length - 1]!;
      const target = (targets.get(top.file) ?? [])[top.next++];
      if (target === undefined) {
        state.set(top.file, 'done');
        path.pop();
      } else if (state.get(target) === 'open') {
        const names = path.map((step) => step.file);
        cycles.push([...names.slice(names.indexOf(target)), target].map((name) => `src/${name}`).join(' -> '));
      } else if (!state.has(target)) {
        state.set(target, 'open');
        path.push({ file: target, next: 0 });
      }
    }
  }
  return cycles;
}

const sourceRoot = fileURLToPath(new URL('../src', import.meta.url));

function sourceFiles(): string[] {
  return readdirSync(sourceRoot, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts') && !entry.name.endsWith('.d.ts'))
    .map((entry) => relative(sourceRoot, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

function allImports(): ValueImport[] {
  return sourceFiles().flatMap((file) => valueImports(file, readFileSync(join(sourceRoot, file), 'utf8')));
}

describe('layers of src/', () => {
  test('no module imports a value from a layer above its own', () => {
    expect(layeringErrors(allImports())).toEqual([]);
  });

  test('value imports form no cycle', () => {
    expect(importCycles(allImports())).toEqual([]);
  });

  test('every folder of src/ has a layer, and every relative import names a file that exists', () => {
    const unknown = sourceFiles().filter((file) => layers[folderOf(file)] === undefined);
    const missing = allImports().filter(({ to }) => !existsSync(join(sourceRoot, to)));
    expect(unknown).toEqual([]);
    expect(missing.map(({ from, to, line }) => `src/${from}:${line} imports '${to}'`)).toEqual([]);
  });
});

describe('the layering check itself', () => {
  test('an import added to a real file that points upwards is reported with file, line and import', () => {
    const file = 'dtype/dtype.ts';
    const text = readFileSync(join(sourceRoot, file), 'utf8');
    expect(layeringErrors(valueImports(file, text))).toEqual([]);
    const changed = `import { relu } from '../ops/pointwise.ts';\n${text}`;
    expect(layeringErrors(valueImports(file, changed))).toEqual([
      "src/dtype/dtype.ts:1 (layer 0) imports a value from 'src/ops/pointwise.ts' (layer 5, above it)",
    ]);
  });

  test('re-exports, side-effect imports and dynamic imports count; type imports do not; inline type imports do', () => {
    const text = [
      "export { a } from '../tensor/a.ts';",
      "import '../tensor/b.ts';",
      "const c = import('../tensor/c.ts');",
      "import type { D } from '../tensor/d.ts';",
      "export type { E } from '../tensor/e.ts';",
      "type F = import('../tensor/f.ts').F;",
      "import { type G } from '../tensor/g.ts';",
      "import { readFileSync } from 'node:fs';",
    ].join('\n');
    expect(valueImports('graph/x.ts', text).map(({ to, line }) => `${line} ${to}`)).toEqual([
      '1 tensor/a.ts',
      '2 tensor/b.ts',
      '3 tensor/c.ts',
      '7 tensor/g.ts',
    ]);
    expect(layeringErrors(valueImports('graph/x.ts', text))).toHaveLength(4);
  });

  test('a folder without a layer and an import that leaves src/ are errors', () => {
    expect(layeringErrors([{ from: 'graph/x.ts', to: 'misc/y.ts', line: 1 }])).toHaveLength(1);
    expect(layeringErrors([{ from: 'graph/x.ts', to: '../bench/y.ts', line: 1 }])).toHaveLength(1);
  });

  test('a sideways import is allowed, a cycle of them is reported', () => {
    const sideways = { from: 'graph/x.ts', to: 'kernel/y.ts', line: 1 };
    expect(layeringErrors([sideways])).toEqual([]);
    expect(importCycles([sideways])).toEqual([]);
    expect(importCycles([sideways, { from: 'kernel/y.ts', to: 'graph/x.ts', line: 1 }])).toEqual([
      'src/graph/x.ts -> src/kernel/y.ts -> src/graph/x.ts',
    ]);
  });
});
