"""Records tokenizer.fixture.json: what other tokenizers make of varied texts.

Small vocabularies are trained here, so that the file holds them whole: byte-level BPE by Hugging Face's tokenizers (Rust), with the ways of
cutting text of several models, and SentencePiece's BPE with bytes as fallback. SmolLM2's is that of a GGUF file, read by transformers, which does
not look at the way of cutting text that the file names: it is put right here, as SmolLM2's own tokenizer.json has it.

  python3 -m venv VENV && VENV/bin/pip install transformers tokenizers sentencepiece gguf torch
  VENV/bin/python src/models/tokenizer.fixture.py SmolLM2-135M-Instruct.Q4_1.gguf FOLDER_OF_MINILM
"""
import io
import json
import os
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

texts = [
    "Hello, world!",
    "  two  spaces,   three and a tail  ",
    "\tdef f(x):\n\t\treturn x ** 2  # comment\n\n\nclass A:\n    pass\r\n",
    "I'm can't WE'LL they've IT'S 'tis",
    "In 2024, 3.14159 and 1,000,000 or 0x1F; 12345678",
    "\u00dcn\u00efc\u00f6d\u00e9 na\u00efve cafe\u0301 \u00c5ngstr\u00f6m \ufb01ne",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3001\u4e2d\u6587\u6587\u672c\u3002 \ud55c\uad6d\uc5b4",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea ok \u2764\ufe0f",
    "<|user|>hi<|end|>\n<|user|> again <|end|>",
    "a<|end|>b <|user",
    "https://example.com/a?b=c&d=%20#x  foo_bar-baz@qux.org",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u00a0non\u2003breaking\u3000spaces\u200bzero",
    "!!!??? ... --- \u201cquotes\u201d \u2014 \u00ab\u00bb \u20ac100 \u00bd \u00b2 \u2167 \u0663",
    "\n",
    " ",
    "\n\n  \n x",
    "x",
    "",
    "\ufeffbom and \u0000nul",
    "the the theater then there",
    "<0x41> \u2581 <s> </s> <unk>",
]
corpus = [
    "The quick brown fox jumps over the lazy dog, and then the other dogs there have nothing to say about that.",
    "def main(argv):\n    for index, value in enumerate(argv):\n        print(index, value)\n    return 0\n",
    "I'm sure they've said it's 2023 or 2024, 3.14 and 1,000 times; we'll see, can't we?",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3067\u3059\u3002\u4e2d\u6587\u6587\u672c\u3002 caf\u00e9 na\u00efve \u00fcber \U0001f600 \U0001f600",
    "  indented  text\n\n\nwith lines\t\tand tabs, hello world! Hello, world! user end again",
] * 3

any_case = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
words = lambda digits: any_case + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
split = lambda regex: pre_tokenizers.Split(Regex(regex), "isolated", False)
bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
gpt2_cut = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
# As the models' own tokenizer.json files have them.
ways = {
    "gpt-2": (None, gpt2_cut),
    "smollm": (None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2_cut])),
    "llama-bpe": (None, pre_tokenizers.Sequence([split(words("{1,3}")), bytes_only])),
    "qwen2": (normalizers.NFC(), pre_tokenizers.Sequence([split(words("")), bytes_only])),
}


def byte_level():
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = gpt2_cut
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=520, initial_alphabet=alphabet, special_tokens=["<|begin|>", "<|end|>"], show_progress=False)
    base.train_from_iterator(corpus, trainer)
    trained = json.loads(base.to_str())["model"]
    vocab = trained["vocab"]
    merges = [tuple(x) if isinstance(x, list) else tuple(x.split(" ")) for x in trained["merges"]]
    # A word that merges do not make: only a tokenizer that looks for whole words finds it.
    vocab["\u0120theater"] = len(vocab)
    user = len(vocab)
    vocab["<|user|>"] = user
    tokens = [token for token, _ in sorted(vocab.items(), key=lambda x: x[1])]
    types = [3 if token in ("<|begin|>", "<|end|>") else 4 if token == "<|user|>" else 1 for token in tokens]
    cases = {}
    for name, (normalizer, pre) in ways.items():
        tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=name == "llama-bpe"))
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken("<|begin|>", normalized=False, special=True), AddedToken("<|end|>", normalized=False, special=True)])
        tokenizer.add_tokens([AddedToken("<|user|>", normalized=False)])
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        cases[name] = {"ids": ids, "decoded": [tokenizer.decode(row, skip_special_tokens=True) for row in ids]}
    return {"tokens": tokens, "types": types, "merges": [" ".join(merge) for merge in merges], "ways": cases}


def sentence_piece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter("".join(corpus).split("\n")), model_writer=model, model_type="bpe", vocab_size=470, byte_fallback=True,
        character_coverage=0.99, normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    count = processor.get_piece_size()
    kind = lambda i: 2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 6 if processor.is_byte(i) else 1
    plain = [text for text in texts if "<" not in text and "\u2581" not in text]
    ids = [processor.encode(text) for text in plain]
    return {
        "tokens": [processor.id_to_piece(i) for i in range(count)],
        "scores": [processor.get_score(i) for i in range(count)],
        "types": [kind(i) for i in range(count)],
        "texts": plain,
        "ids": ids,
        "decoded": [processor.decode(row) for row in ids],
    }


def from_files(gguf, folder):
    from transformers import AutoTokenizer

    smol = AutoTokenizer.from_pretrained(os.path.dirname(gguf), gguf_file=os.path.basename(gguf))
    smol.backend_tokenizer.pre_tokenizer = ways["smollm"][1]
    bert = AutoTokenizer.from_pretrained(folder)
    special = [text.replace("<|user|>", "<|im_start|>").replace("<|end|>", "<|im_end|>") for text in texts]
    mask = [text.replace("<|end|>", "[SEP]").replace("<|user|>", "[MASK]") for text in texts]
    pairs = [["How old are you?", "I am \u00fcber 6 years old."], ["a", "the second text is much longer than the first"]]
    cut = bert([a for a, _ in pairs], [b for _, b in pairs], truncation=True, max_length=10, padding="max_length")
    smol_ids = [smol.encode(text, add_special_tokens=False) for text in special]
    bert_ids = [bert.encode(text) for text in mask]
    return {
        "smollm2": {"texts": special, "ids": smol_ids, "decoded": [smol.decode(row) for row in smol_ids]},
        "minilm": {
            "texts": mask, "ids": bert_ids, "decoded": [bert.decode(row, skip_special_tokens=True) for row in bert_ids],
            "pairs": pairs, "cut": {name: list(rows) for name, rows in cut.items()},
        },
    }


if __name__ == "__main__":
    out = {"texts": texts, "bytes": byte_level(), "sentencePiece": sentence_piece(), **from_files(*sys.argv[1:3])}
    with open(os.path.join(os.path.dirname(__file__), "tokenizer.fixture.json"), "w", encoding="utf8") as file:
        json.dump(out, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")
