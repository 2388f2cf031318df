"""The tokenizers that others train and serve with, and the vocabularies they are asked with.

Each case names what `helper-tokenize` is told and a function from a text to all its ids, padding
included. The vocabularies of CLIP and Chinese-CLIP are the published ones, out of the packages
open_clip_torch and cn-clip. No package carries those of multilingual BERT and of Gemma;
vocabularies of their kind are trained here, on the texts of texts.py.
"""

import gzip
import importlib.util
import io
import json
import sys
import types
import unittest.mock
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ftfy
import numpy
import sentencepiece
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers


@dataclass
class Case:
    name: str
    kind: str
    like: str
    vocab: Path
    merges: Path | None
    max_tokens: int
    lower: bool
    encode: Callable[[str], list[int]]
    guesses: bool = False  # whether a text was wrongly decoded; we never do


# ---- loading


def numpy_as_torch():
    """open_clip's tokenizer wants PyTorch for one table of zeros; numpy's will do."""
    torch = types.ModuleType("torch")
    torch.zeros = lambda *shape, dtype: numpy.zeros(shape, dtype)
    torch.tensor = numpy.array
    torch.long = numpy.int64
    torch.LongTensor = torch.Tensor = numpy.ndarray
    return torch


def module_of(package, path):
    """One file of a package, without the rest of it."""
    folder = Path(importlib.util.find_spec(package).submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location(f"{package}_{Path(path).stem}", folder / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, folder


# ---- CLIP


def openai_to_hf(bpe, folder):
    """bpe_simple_vocab_16e6.txt as vocab.json and merges.txt, as Hugging Face publishes them."""
    opener = gzip.open if bpe.suffix == ".gz" else open
    with opener(bpe, "rt", encoding="utf-8") as f:
        merges = f.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    merges = [m for m in merges if m]
    letters = list(SIMPLE.bytes_to_unicode().values())
    strings = letters + [c + "</w>" for c in letters] + [m.replace(" ", "") for m in merges]
    strings += ["<|startoftext|>", "<|endoftext|>"]
    vocab, ranks = folder / "vocab.json", folder / "merges.txt"
    vocab.write_text(json.dumps({s: i for i, s in enumerate(strings)}))
    ranks.write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return vocab, ranks


with unittest.mock.patch.dict(sys.modules, {"torch": numpy_as_torch()}):
    SIMPLE, OPEN_CLIP = module_of("open_clip", "tokenizer.py")


def guessless(text):
    """ftfy.fix_text but for its guess at wrongly decoded text."""
    return FIX_TEXT(text, fix_encoding=False)


FIX_TEXT = ftfy.fix_text


def clip_cases(bpe, folder, max_tokens=77, name="CLIP"):
    from transformers import CLIPTokenizer

    vocab, merges = openai_to_hf(bpe, folder)
    zipped = folder / "bpe.txt.gz"
    if bpe.suffix != ".gz":
        zipped.write_bytes(gzip.compress(bpe.read_bytes().rstrip(b"\n")))
    simple = SIMPLE.SimpleTokenizer(str(bpe if bpe.suffix == ".gz" else zipped))
    fast = CLIPTokenizer(str(vocab), str(merges))

    def original(text, fix=FIX_TEXT):
        ftfy.fix_text = fix
        return [int(i) for i in simple([text], max_tokens)[0]]

    def hf(text):
        return fast(text, truncation=True, padding="max_length", max_length=max_tokens)["input_ids"]

    common = max_tokens, True
    return [
        Case(f"{name}, open_clip", "bpe", "original", bpe, None, *common, original, guesses=True),
        Case(
            f"{name}, open_clip, no guess at encodings",
            "bpe",
            "original",
            bpe,
            None,
            *common,
            lambda text: original(text, guessless),
        ),
        Case(f"{name}, transformers", "bpe", "hf", vocab, merges, *common, hf),
    ]


# ---- BERT


def bert_cases(vocab, lower, max_tokens, name):
    from transformers import BertTokenizer

    google, _ = module_of("cn_clip", "clip/bert_tokenizer.py")
    full = google.FullTokenizer(str(vocab), do_lower_case=lower)
    fast = BertTokenizer(str(vocab), do_lower_case=lower)

    def original(text):
        # As cn_clip.clip.tokenize does it.
        ids = full.convert_tokens_to_ids(full.tokenize(text))[: max_tokens - 2]
        ids = [full.vocab["[CLS]"], *ids, full.vocab["[SEP]"]]
        return ids + [0] * (max_tokens - len(ids))

    def hf(text):
        return fast(text, truncation=True, padding="max_length", max_length=max_tokens)["input_ids"]

    common = "wordpiece", vocab, None, max_tokens, lower
    return [
        Case(f"{name}, cn_clip", common[0], "original", *common[1:], original),
        Case(f"{name}, transformers", common[0], "hf", *common[1:], hf),
    ]


def published_bert():
    folder = importlib.util.find_spec("cn_clip").submodule_search_locations[0]
    return Path(folder) / "clip/vocab.txt"


# ---- SentencePiece


def lower_letters(text):
    """Lower case letter by letter: no final sigma."""
    return "".join(c.lower() for c in text)


def sentencepiece_case(model, lower, max_tokens, name):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    pad = max(processor.pad_id(), 0)

    def original(text):
        ids = processor.encode(lower_letters(text) if lower else text)[: max_tokens - 1]
        ids.append(processor.eos_id())
        return ids + [pad] * (max_tokens - len(ids))

    like = "original"
    return Case(name, "sentencepiece", like, model, None, max_tokens, lower, original)


# Options of the trainer: as SigLIP's vocabulary was made (T5's), as Gemma's was, which SigLIP2 has,
# and two that have what these lack.
SENTENCEPIECES = {
    "unigram, as SigLIP": dict(model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1),
    "BPE, as Gemma": dict(
        model_type="bpe",
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        user_defined_symbols=["<start_of_turn>", "▁▁", "▁▁▁", "▁▁▁▁", "<b>", "</b>", "[@BOS@]"],
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
    ),
    "unigram with bytes": dict(
        model_type="unigram",
        byte_fallback=True,
        normalization_rule_name="nmt_nfkc_cf",
        user_defined_symbols=["cat", "[CLS]", "猫", "Σ"],
    ),
    "BPE, space behind": dict(
        model_type="bpe", normalization_rule_name="nfkc", treat_whitespace_as_suffix=True
    ),
}


def train_sentencepiece(texts, n, options, path):
    model = io.BytesIO()  # a path would stand in the model
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=n,
        character_coverage=0.995,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    path.write_bytes(model.getvalue())


# ---- training


def train_bpe(texts, n_merges, path):
    """A small vocabulary in the form of OpenAI's file."""
    t = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=512 + n_merges,
        end_of_word_suffix="</w>",
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    t.train_from_iterator(texts, trainer)
    merges = json.loads(t.to_str())["model"]["merges"][:n_merges]
    path.write_text("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in merges))


def train_wordpiece(texts, n, lower, path):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=n, special_tokens=specials, show_progress=False)
    t.train_from_iterator(texts, trainer)
    vocab = t.get_vocab()
    path.write_text("".join(token + "\n" for token in sorted(vocab, key=vocab.get)))
