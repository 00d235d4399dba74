#!/usr/bin/env node
/**
 * `npx torch-magpie`: generate, chat, embed and info, for models that others trained. Each command is a file of `commands/`.
 *
 * Exit codes: 0 done, also when the reader of a pipe wants no more; 1 failed, with one line that says why; 2 wrong command line; 130 ended by Ctrl-C.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addCommands } from './commands/definitions.ts';
import { endQuietlyOnClosedPipes, UsageError } from './commands/terminal.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };

const program = new Command('torch-magpie')
  .description('Runs models that others trained: Hugging Face folders, GGUF and llama2.c files.')
  .version(version)
  .showHelpAfterError('(--help says what there is)')
  .exitOverride();
addCommands(program);
// Commands that were added inherit neither.
for (const command of program.commands)
  command
    .exitOverride()
    .showHelpAfterError('(--help says what there is)')
    .allowExcessArguments(command.name() === 'embed');

endQuietlyOnClosedPipes();
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error as Error);
}

/** What to say of a failure, and the exit code. */
function report(error: Error): number {
  // commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError) {
    process.stderr.write(`error: ${error.message}\n`);
    return 2;
  }
  // A bug of ours is worth its stack; a missing file is not.
  const bug = error.message.startsWith('internal:');
  process.stderr.write(bug ? `${error.stack}\n` : `error: ${error.message.replace(/\s*\n\s*/g, ' ')}\n`);
  return 1;
}
