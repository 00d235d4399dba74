/** From the command line's options to those of `generateText()`. */
import type { GenerateTextOptions } from '../../models/index.ts';
import type { SamplingFlags } from './definitions.ts';
import { note } from './terminal.ts';

/** Says that a seed changes nothing where nothing is drawn. */
export function noteSeed(flags: SamplingFlags, draws: boolean | undefined): void {
  if (flags.seed === undefined || (samplingOf(flags).do_sample ?? draws ?? false)) return;
  const why = flags.temperature === 0 ? '--temperature 0 takes' : 'without --temperature, --top-k, --top-p or --min-p the model takes';
  note(`--seed has no effect: ${why} the likeliest token, nothing is drawn`, flags);
}

/** What was not given is left to the model's own generation config. */
export function samplingOf(flags: SamplingFlags): GenerateTextOptions {
  const given = {
    temperature: flags.temperature,
    top_k: flags.topK,
    top_p: flags.topP,
    min_p: flags.minP,
    repetition_penalty: flags.repetitionPenalty,
    seed: flags.seed,
    // A seed asks for drawing as little as a penalty does; the rest does.
    ...([flags.temperature, flags.topK, flags.topP, flags.minP].some((x) => x !== undefined) ? { do_sample: flags.temperature !== 0 } : {}),
  };
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { max_new_tokens: flags.maxNewTokens, stop_strings: flags.stop, ...present };
}
