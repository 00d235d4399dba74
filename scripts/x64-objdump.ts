/**
 * GNU objdump as a reader of machine code: each piece's first instruction as text in Intel's syntax, and its length. Version 2.40 or newer knows all that is emitted.
 *
 * Used by `record-x64-listing.mjs`, and by the test that repeats its comparison where objdump is installed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Disassembled {
  readonly text: string;
  readonly size: number;
}

const oldest = 2.4;

/** Why objdump cannot be used here, or null. */
export function objdumpMissing(): string | null {
  try {
    const [line] = execFileSync('objdump', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n');
    const version = /(\d+)\.(\d+)/.exec(line!);
    if (version === null || Number(version[1]) * 100 + Number(version[2]) < oldest * 100) return `objdump 2.40 is needed, this is ${line}`;
    return null;
  } catch (error) {
    return `objdump (binutils) is not here: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** What objdump reads at the begin of each piece; undefined where it reads nothing there. */
export function disassemble(pieces: readonly Uint8Array[]): (Disassembled | undefined)[] {
  // A run of nops between the pieces brings objdump back in step after one that it reads as longer or shorter than intended.
  const gap = 16;
  const offsets: number[] = [];
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const bytes of pieces) {
    offsets.push(length);
    parts.push(bytes, Buffer.alloc(gap, 0x90));
    length += bytes.length + gap;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'x64-objdump-'));
  try {
    const binary = join(scratch, 'forms.bin');
    writeFileSync(binary, Buffer.concat(parts));
    const output = execFileSync('objdump', ['-D', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--insn-width=16', '-z', binary], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const read = new Map<number, Disassembled>();
    for (const line of output.split('\n')) {
      const match = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t?(.*)$/.exec(line);
      if (!match) continue;
      // `{evex}` only says that an assembler would need to be told, because it would pick a VEX form.
      const text = match[3]!
        .replace(/\s*#.*$/, '')
        .replace(/^\{evex\} /, '')
        .replace(/\s+/g, ' ')
        .trim();
      read.set(Number.parseInt(match[1]!, 16), { text, size: match[2]!.trim().split(' ').length });
    }
    return offsets.map((offset) => read.get(offset));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
