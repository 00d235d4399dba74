/**
 * The suite's end of a worker process: one JSON line out, one JSON line back. What a worker prints besides JSON on standard output is ignored, its standard
 * error is kept for the message when it dies.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const keptErrorText = 4000;

export class Worker {
  readonly name: string;
  readonly #process: ChildProcessWithoutNullStreams;
  #errorText = '';
  #pending: { readonly resolve: (reply: string) => void; readonly reject: (error: Error) => void } | undefined;
  #ended: string | undefined;

  constructor(name: string, command: string, parameters: readonly string[], environment: Readonly<Record<string, string>>) {
    this.name = name;
    this.#process = spawn(command, parameters, { env: { ...process.env, ...environment }, stdio: 'pipe' });
    this.#process.stderr.on('data', (text: Buffer) => {
      this.#errorText = (this.#errorText + text.toString()).slice(-keptErrorText);
    });
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const pending = this.#pending;
      this.#pending = undefined;
      pending?.resolve(line);
    });
    const end = (how: string): void => {
      this.#ended ??= how;
      const pending = this.#pending;
      this.#pending = undefined;
      pending?.reject(new Error(`${name} ended (${how}): ${this.#errorText.trim()}`));
    };
    this.#process.on('error', (error) => end(error.message));
    this.#process.on('close', (code, signal) => end(`${signal ?? `exit code ${code}`}`));
    this.#process.stdin.on('error', () => {});
  }

  /** Throws what the worker answers as an error, or that it has ended. */
  async ask<T>(request: object): Promise<T> {
    if (this.#ended !== undefined) throw new Error(`${this.name} has ended (${this.#ended}): ${this.#errorText.trim()}`);
    const line = await new Promise<string>((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    });
    const reply = JSON.parse(line) as T & { readonly error?: string };
    if (reply.error !== undefined) throw new Error(`${this.name}: ${reply.error}`);
    return reply;
  }

  stop(): void {
    this.#process.kill('SIGKILL');
  }
}
