// Records src/backend/cpu/x64/listing.txt: assembles every form that x64-listing-forms.ts names, lets GNU objdump (binutils 2.40 or newer)
// read the bytes back, and writes the listing only when objdump's text equals the intended text for every form.
// Usage: node scripts/record-x64-listing.mjs          (objdump must be on PATH; the tests themselves do not need it)

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../', import.meta.url));
const folder = 'src/backend/cpu/x64';
const scratch = mkdtempSync(join(tmpdir(), 'x64-listing-'));
try {
  // Node 20 cannot import TypeScript: strip the types of the few files into the same places of a scratch folder.
  writeFileSync(join(scratch, 'package.json'), '{ "type": "module" }');
  const sources = readdirSync(join(root, folder)).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  for (const file of [...sources.map((name) => join(folder, name)), 'scripts/x64-listing-forms.ts', 'scripts/x64-objdump.ts']) {
    const { outputText } = ts.transpileModule(readFileSync(join(root, file), 'utf8'), {
      compilerOptions: { target: 'es2022', module: 'esnext', verbatimModuleSyntax: true, rewriteRelativeImportExtensions: true },
    });
    const place = join(scratch, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, outputText);
  }
  const { listingForms, listingLine } = await import(pathToFileURL(join(scratch, 'scripts/x64-listing-forms.js')).href);
  const forms = listingForms();

  const { disassemble } = await import(pathToFileURL(join(scratch, 'scripts/x64-objdump.js')).href);
  const read = disassemble(forms.map(({ bytes }) => bytes));

  let wrong = 0;
  forms.forEach((form, at) => {
    const seen = read[at];
    if (seen?.text === form.text && seen.size === form.bytes.length) return;
    wrong++;
    if (wrong <= Number(process.env.SHOW ?? 40)) console.error(`${listingLine(form)}\n    objdump: ${seen?.text} (${seen?.size} bytes)`);
  });
  if (wrong > 0) {
    console.error(`${wrong} of ${forms.length} forms differ; listing.txt was not written`);
    process.exitCode = 1;
  } else {
    writeFileSync(join(root, folder, 'listing.txt'), `${forms.map(listingLine).join('\n')}\n`);
    console.log(`listing.txt: ${forms.length} forms`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
