/**
 * Where a command writes: results to standard output, everything that is said about them to standard error. A closed pipe (`| head -1`) ends the
 * program quietly; with `--json` standard output has one JSON object a line and nothing else.
 */

export interface CommonOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Results. Waits where the reader is slower. */
export async function write(text: string): Promise<void> {
  if (text === '' || process.stdout.write(text)) return;
  await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
}

/** JSON has no bigint: those that a number holds are numbers, others texts. */
export const jsonLine = (value: unknown): string =>
  `${JSON.stringify(value, (_, x: unknown) => (typeof x === 'bigint' ? (Number.isSafeInteger(Number(x)) ? Number(x) : `${x}`) : x))}\n`;

/** A remark, on a line of its own. */
export function note(line: string, { quiet = false }: CommonOptions = {}): void {
  if (!quiet) process.stderr.write(`${line}\n`);
}

/** What is wrong with the command line: exit code 2. */
export class UsageError extends Error {}

/** A closed pipe is no error: nobody wants more. */
export function endQuietlyOnClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      process.exit(0);
    });
}

/** The lines of standard input, blank ones too; none where there is nothing. */
export async function readLines(): Promise<string[]> {
  const text = await readAll();
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/);
}

/** All of standard input, without the line end that `echo` puts there. */
export async function readInput(): Promise<string> {
  return (await readAll()).replace(/\r?\n$/, '');
}

async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
