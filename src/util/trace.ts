/** Printing for the debug flag `trace`: each line names its topic; the text is built only if somebody reads it. */
import { flags, type traceTopics } from './flags.ts';

export type TraceTopic = keyof typeof traceTopics;

let parsedFrom: string | null = null;
let topics = new Set<string>();

export function tracing(topic: TraceTopic): boolean {
  if (flags.trace !== parsedFrom) {
    parsedFrom = flags.trace;
    topics = new Set(flags.trace.split(',').map((t) => t.trim()));
  }
  return topics.has(topic) || topics.has('all');
}

export function trace(topic: TraceTopic, text: () => string): void {
  if (tracing(topic)) for (const line of text().split('\n')) console.error(`[${topic}] ${line}`);
}
