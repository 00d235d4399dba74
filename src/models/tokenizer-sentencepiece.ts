/**
 * SentencePiece's BPE, as Llama 1 and 2 use it, as a `tokenizer.json`.
 *
 * Such a vocabulary has scores instead of merges: of all neighbours that make a token, those whose token has the best score are joined first. That
 * is BPE over all pairs of tokens that make a token, in the order of scores, so it can be written as merges. Of a token's ways to come about the
 * one with the longer left part is first; a text in which that matters would have to overlap with itself, and none was found.
 */
import type { Json } from './config-fields.ts';
import { type AddedTokenJson, around } from './tokenizer-bytes.ts';

export interface SentencePieceParts {
  /** In the order of their numbers; spaces are U+2581. */
  readonly pieces: readonly string[];
  readonly scores: readonly number[];
  /** Which pieces are text: no control, byte or unused ones. */
  readonly isText: (id: number) => boolean;
  readonly added: readonly AddedTokenJson[];
  readonly unknown: string | null;
  /** A text begins with a space that is not in it, after a special token too. */
  readonly spacePrefix: boolean;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const space = '\u2581';

export function sentencePieceTokenizer(parts: SentencePieceParts): Json {
  const { pieces, added, unknown, spacePrefix, before, after } = parts;
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: space };
  return {
    added_tokens: added,
    normalizer: { type: 'Sequence', normalizers: spacePrefix ? [{ type: 'Prepend', prepend: space }, replace] : [replace] },
    pre_tokenizer: null,
    post_processor: around(before, after),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: space }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(spacePrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: { type: 'BPE', vocab, merges: mergesOf(parts), unk_token: unknown, fuse_unk: true, byte_fallback: true },
  };
}

/** No token is longer: a hostile vocabulary of long ones must not take the square of its size. */
const longestPiece = 512;

function mergesOf({ pieces, scores, isText }: SentencePieceParts): [string, string][] {
  const known = new Set(pieces.filter((_, id) => isText(id)));
  const merges: { readonly pair: [string, string]; readonly score: number }[] = [];
  pieces.forEach((piece, id) => {
    if (!isText(id) || piece.length > longestPiece) return;
    for (let at = piece.length - 1; at > 0; at--) {
      const pair: [string, string] = [piece.slice(0, at), piece.slice(at)];
      if (known.has(pair[0]) && known.has(pair[1])) merges.push({ pair, score: scores[id] });
    }
  });
  // Stable: at equal scores the vocabulary's order.
  return merges.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}
