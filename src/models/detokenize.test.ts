/** Text as tokens come: its pieces are `decode` of the whole, and none has half a character. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Detokenizer, StopStrings, tokenizerFromGguf } from './index.ts';
import { fixture, gguf } from './test-support.ts';
import { cleanUpTokenization, PreTrainedTokenizer } from './tokenizer.ts';
import { tokenizerParts } from './tokenizer-parts.ts';

/** Few words, so that clean-up has much to do. */
const wordPiece = (cleanup: boolean): PreTrainedTokenizer => {
  const words = [
    '[UNK]',
    '[SEP]',
    'a',
    'n',
    "'",
    'm',
    's',
    've',
    '.',
    ',',
    '!',
    '?',
    "n't",
    '##n',
    "##'",
    '##t',
    '##.',
    'r',
    're',
    'v',
    '##v',
    '好',
    '##好',
  ];
  const json = {
    added_tokens: [{ id: 1, content: '[SEP]', special: true }],
    pre_tokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    },
  };
  return new PreTrainedTokenizer(tokenizerParts(json, { clean_up_tokenization_spaces: true }, 'word pieces'));
};
const metaspace = (): PreTrainedTokenizer => {
  const words = ['<unk>', '\u2581', '\u2581a', 'b', '\u2581\u2581', '.', "\u2581'", 'n', '\ufffd', '</s>'];
  const json = {
    added_tokens: [{ id: 9, content: '</s>', special: true }],
    decoder: { type: 'Metaspace', replacement: '\u2581', prepend_scheme: 'always' },
    model: { type: 'Unigram', unk_id: 0, vocab: words.map((word, i) => [word, -i]) },
  };
  return new PreTrainedTokenizer(tokenizerParts(json, { clean_up_tokenization_spaces: true }, 'metaspace'));
};
/** Its text is known at the end only. */
const endOfWord = (): PreTrainedTokenizer => {
  const json = {
    decoder: { type: 'BPEDecoder', suffix: '</w>' },
    model: { type: 'BPE', vocab: { 'a</w>': 0, a: 1, 'b</w>': 2, b: 3 }, merges: [] },
  };
  return new PreTrainedTokenizer(tokenizerParts(json, {}, 'end of word'));
};

const tokenizers: readonly (readonly [string, PreTrainedTokenizer])[] = [
  ['bytes', tokenizerFromGguf(gguf.bytes('gpt-2'))],
  ['SentencePiece', tokenizerFromGguf(gguf.pieces())],
  ['word pieces', wordPiece(false)],
  ['word pieces that clean themselves up', wordPiece(true)],
  ['a metaspace', metaspace()],
  ['ends of words', endOfWord()],
];

function streamed(detokenizer: Detokenizer, ids: readonly number[]): string[] {
  return [...ids.map((id) => detokenizer.push(id)), detokenizer.end()];
}
const lonely = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

describe.each(tokenizers)('with %s', (_, tokenizer) => {
  const size = Math.max(...tokenizer.get_vocab().values()) + 1;
  // Bytes are a small part of a vocabulary, and it is among them that characters are cut.
  const token = fc.oneof(fc.nat(size), fc.nat(Math.min(size, 260)));
  const options = fc.record({ skip_special_tokens: fc.boolean(), clean_up_tokenization_spaces: fc.boolean() });

  test('pieces of any tokens are the text of all', () => {
    fc.assert(
      fc.property(fc.array(token, { maxLength: 40 }), options, (ids, given) => {
        expect(streamed(new Detokenizer(tokenizer, given), ids).join('')).toBe(tokenizer.decode(ids, given));
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test('pieces of texts have whole characters only', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom(...fixture.texts));
    fc.assert(
      fc.property(text, (words) => {
        const ids = tokenizer.encode(words, { add_special_tokens: false });
        const pieces = streamed(new Detokenizer(tokenizer), ids);
        expect(pieces.join('')).toBe(tokenizer.decode(ids));
        if (tokenizer.decode(ids).includes('\ufffd')) return;
        for (const piece of pieces) expect(piece).not.toMatch(/\ufffd/);
        for (const piece of pieces) expect(piece).not.toMatch(lonely);
      }),
      { numRuns: 500, seed: 2 },
    );
  });

  test('a continuation is what the text of both has after the text of the prompt', () => {
    fc.assert(
      fc.property(fc.array(token, { minLength: 1, maxLength: 8 }), fc.array(token, { maxLength: 12 }), (prompt, ids) => {
        const plain = { clean_up_tokenization_spaces: false };
        const whole = tokenizer.decode([...prompt, ...ids], plain);
        const before = tokenizer.decode(prompt, plain);
        // A prompt that ends within a character, a word that is not over, or only special tokens, has no text of its own to continue.
        if (before.endsWith('\ufffd') || !whole.startsWith(before) || prompt.some((id) => tokenizer.isSpecial(id))) return;
        if (!tokenizer.decodesInPieces || before === '') return;
        expect(streamed(new Detokenizer(tokenizer, { context: prompt, ...plain }), ids).join('')).toBe(whole.slice(before.length));
      }),
      { numRuns: 1000, seed: 3 },
    );
  });
});

describe('bytes of one character in several tokens', () => {
  const [, tokenizer] = tokenizers[0];
  const ids = [...new TextEncoder().encode('a😀')].map((byte) => {
    const letter = byte < 0x7f ? String.fromCharCode(byte) : ({ 240: 'ð', 159: 'Ł', 152: 'ĺ', 128: 'Ģ' } as Record<number, string>)[byte];
    return tokenizer.convert_tokens_to_ids(letter)!;
  });
  test('come out together, with the last of them', () => {
    expect(streamed(new Detokenizer(tokenizer), ids)).toEqual(['a', '', '', '', '😀', '']);
  });
  test('come out after a prompt that ends among them', () => {
    expect(streamed(new Detokenizer(tokenizer, { context: ids.slice(0, 3) }), ids.slice(3))).toEqual(['', '😀', '']);
  });
  test('that never become one come out as U+FFFD at the end', () => {
    expect(streamed(new Detokenizer(tokenizer), ids.slice(0, 3))).toEqual(['a', '', '', '\ufffd']);
  });
});

test('cleaning up in pieces is cleaning up', () => {
  const text = fc.string({ unit: fc.constantFrom(' ', "'", 'n', 'v', 'r', 't', 'm', 's', 'e', '.', ',', 'x'), maxLength: 30 });
  fc.assert(
    fc.property(text, (raw) => {
      const tokenizer = { cleansUp: true, decodesInPieces: true, isSpecial: () => false, convert_ids_to_tokens: () => 'x' };
      const decode = (ids: readonly number[]): string => String.fromCharCode(...ids);
      const detokenizer = new Detokenizer({ ...tokenizer, decode } as unknown as PreTrainedTokenizer);
      const ids = [...raw].map((letter) => letter.charCodeAt(0));
      expect(streamed(detokenizer, ids).join('')).toBe(cleanUpTokenization(raw));
    }),
    { numRuns: 5000, seed: 4 },
  );
});

describe('stop strings', () => {
  const split = (text: string, stops: readonly string[], sizes: readonly number[]): { out: string; found: boolean } => {
    const stopping = new StopStrings(stops);
    let out = '';
    for (let at = 0, i = 0; at < text.length; at += sizes[i++ % sizes.length])
      out += stopping.push(text.slice(at, at + sizes[i % sizes.length]));
    return { out: out + stopping.end(), found: stopping.found };
  };
  test('end a text before the first of them, wherever it is cut', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 20 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(letters, stops, (text, some) => {
        // Letter by letter there is one answer: the stop string that is complete first.
        let end = 1;
        while (end <= text.length && !some.some((stop) => text.slice(0, end).endsWith(stop))) end++;
        const head = text.slice(0, end);
        const at = Math.min(...some.map((stop) => head.indexOf(stop)).filter((i) => i >= 0));
        const expected = end > text.length ? { out: text, found: false } : { out: head.slice(0, at), found: true };
        expect(split(text, some, [1])).toEqual(expected);
        expect(split(text, some, [3, 1, 2]).found).toBe(expected.found);
      }),
      { numRuns: 2000, seed: 5 },
    );
  });
  test('hold back only what may become one', () => {
    const stopping = new StopStrings(['\nUser:', '###']);
    expect(['Hi', ' #', '#', '!', '\nUs', 'e', 'd', '\nUser', ': x'].map((piece) => stopping.push(piece))).toEqual([
      ...['Hi', ' ', '', '##!', '', '', '\nUsed', '', ''],
    ]);
    expect(stopping.found).toBe(true);
    expect(() => new StopStrings([''])).toThrow('a stop string should be a text that is not empty');
  });
});
