/** `npm run example NAME [ARGUMENTS]`: runs `examples/NAME.ts` on the built package. Only types are stripped here; `npm test` checks them. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const [name, ...args] = process.argv.slice(2);
const source = `${root}examples/${name}.ts`;
if (name === undefined || !existsSync(source)) {
  const names = readdirSync(`${root}examples`).flatMap((f) => (f.endsWith('.ts') ? [f.slice(0, -3)] : []));
  console.error(`usage: npm run example NAME [ARGUMENTS]; there are: ${names.join(', ')}`);
  process.exit(2);
}
const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
  compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
});
mkdirSync(`${root}out/examples`, { recursive: true });
writeFileSync(`${root}out/examples/${name}.mjs`, outputText);
process.exit(spawnSync(process.execPath, [`${root}out/examples/${name}.mjs`, ...args], { stdio: 'inherit' }).status ?? 1);
