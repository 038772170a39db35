"""The tokenizer: lower-casing BPE with the four special ids that the model expects.

`python -m babyvlm_jax.data.tokenizer --shards=SHARDS --out=FILE.model` trains one on
the `text` dataset's train split, and on nothing else.
"""

import argparse
import codecs
import dataclasses
import functools
import hashlib
import io
import json
import os
import re
import string
import textwrap
from collections.abc import Iterable, Sequence

import sentencepiece as spm
from etils import epath

from babyvlm_jax.data.hf_tokenizer import HfTokenizer
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.words import (
    MAGIC,
    SPECIALS,
    WordSettings,
    WordTokenizer,
    train_words,
)
from babyvlm_jax.runtime.errors import (
    CommandParser,
    UserError,
    add_command_flags,
    read_bytes,
    run_main,
)
from babyvlm_jax.runtime.files import write_atomically

PAD_ID, UNK_ID, SOS_ID, EOS_ID = range(4)  # as BabyVLM-V2's tokenizer
# A word after an opening quotation mark is the same piece as anywhere else: the
# questions name things in quotes, the caregiver does not. `touch 'ball'` would hold the
# piece "ball" where all that was heard is "\u2581ball".
OPENING_QUOTE = re.compile(r"(?<!\S)(['\"])(?=\w)")
# sentencepiece's trainer drops without a word what is longer (4192 bytes), and every
# line with this letter, which it uses itself
_LINE = 1000  # characters: 4000 bytes at most
_TRAINERS_OWN = "\u2585"


class Tokenizer:
    """Text <-> ids; case is folded, so "(A)" and "(a)" are the same.

    Attributes:
        vocab_size: number of ids, specials included.
        fingerprint: hex digest of the model file and of the rule for quotes.
        first_fingerprint: what the first edition stored with a checkpoint.
    """

    pad_id, unk_id, sos_id, eos_id = PAD_ID, UNK_ID, SOS_ID, EOS_ID

    def __init__(self, model: bytes):
        self._processor = spm.SentencePieceProcessor(model_proto=model)
        # prompts, option letters and role names come again and again
        self._ids = functools.lru_cache(maxsize=2**16)(self._processor.encode)
        self.vocab_size = self._processor.vocab_size()
        rules = OPENING_QUOTE.pattern.encode()
        self.fingerprint = hashlib.sha256(model + rules).hexdigest()[:16]
        self.first_fingerprint = self.fingerprint

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Tokenizer | HfTokenizer":
        """Reads a tokenizer file; the same content is parsed once per process.

        Args:
            path: a sentencepiece model of ours, or a Hugging Face tokenizer.json.

        Raises:
            UserError: no such file, not a tokenizer, or with other special ids.
        """
        path = epath.Path(path)
        if not path.exists():
            raise UserError(
                f"no tokenizer {path}; train one with "
                f"`python -m babyvlm_jax.data.tokenizer --out={path}`"
            )
        return cls.parse(read_bytes(path), str(path))

    @staticmethod
    def parse(model: bytes, name: str) -> "Tokenizer | HfTokenizer":
        """The tokenizer in a file's content; see `load`.

        Args:
            name: of the file, for messages.
        """
        try:
            return _parse(model)
        except BaseException as error:  # `tokenizers` raises no narrower class
            if not isinstance(error, Exception) and not _is_panic(error):
                raise
            raise UserError(
                f"{name} is not a usable tokenizer ({error}); train it again"
            ) from None

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without specials; runs of blanks count as one."""
        return list(self._ids(_apart(text)))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; specials other than <unk> leave no trace."""
        return self._processor.decode([int(i) for i in ids])

    def name(self, index: int) -> str:
        """The piece of an id."""
        return self._processor.id_to_piece(index)

    def pieces(self, text: str) -> list[str]:
        """The pieces that `encode` names by id."""
        return self._processor.encode(_apart(text), out_type=str)


def _is_panic(error: BaseException) -> bool:
    """Whether Rust code gave up; its class cannot be imported."""
    return type(error).__name__ == "PanicException"


def _apart(text: str) -> str:
    """touch 'ball' -> touch ' ball'; don't -> don't."""
    return OPENING_QUOTE.sub(r"\1 ", text)


@functools.lru_cache(maxsize=4)
def _parse(model: bytes) -> Tokenizer | HfTokenizer | WordTokenizer:
    if model.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return HfTokenizer(model)
    if model.startswith(MAGIC):
        return WordTokenizer(model)
    tokenizer = Tokenizer(model)
    found = tuple(tokenizer._processor.id_to_piece(i) for i in range(len(SPECIALS)))
    if found != SPECIALS:
        raise ValueError(f"its first pieces are {found}, expected {SPECIALS}")
    processor = tokenizer._processor
    plain = [
        SPECIALS[i] for i in (PAD_ID, SOS_ID, EOS_ID) if not processor.is_control(i)
    ]
    if plain or not processor.is_unknown(UNK_ID):
        raise ValueError(
            f"{', '.join(plain) or SPECIALS[UNK_ID]} would be found in a text; "
            "expected control pieces"
        )
    return tokenizer


def train(texts: Iterable[str], vocab_size: int, symbols: Sequence[str] = ()) -> bytes:
    """Trains a BPE model; the same arguments give the same bytes.

    Letters, digits and punctuation of ASCII are always known, because prompts and
    answers need them while transcripts hardly have any.

    Args:
        texts: the corpus, one utterance each.
        vocab_size: upper bound; a small corpus has fewer pieces to offer.
        symbols: words that are one piece each whatever the corpus says, for example
            "user:" or "(a)"; lower case, without blanks.

    Returns:
        The sentencepiece model file.

    Raises:
        UserError: no text, or a size too small for the alphabet and the symbols.

    Source: the tokenizer published with BabyVLM-V2 (BPE, NFKC, lower case).
    """
    lines = [line for text in texts for line in _lines(text)]
    if not lines:
        raise UserError("a tokenizer needs text, but the corpus has none")
    for symbol in symbols:
        if symbol != symbol.lower() or len(symbol.split()) != 1:
            raise UserError(f"symbol {symbol!r} must be one lower-case word")
    out = io.BytesIO()
    try:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=out,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc_cf",
            character_coverage=1.0,
            required_chars=string.ascii_lowercase + string.digits + string.punctuation,
            byte_fallback=False,
            # U+2581 stands for the blank before a word
            user_defined_symbols=[f"\u2581{symbol}" for symbol in symbols],
            num_threads=1,  # more would make the result depend on timing
            minloglevel=2,
            **{
                f"{name}_{field}": value
                for i, name in enumerate(("pad", "unk", "bos", "eos"))
                for field, value in (("id", i), ("piece", SPECIALS[i]))
            },
        )
    except RuntimeError as error:
        raise UserError(
            f"no tokenizer of {vocab_size} pieces ({' '.join(str(error).split())}); "
            "give a larger --vocab-size"
        ) from None
    return out.getvalue()


def _lines(text: str) -> list[str]:
    """A text as the trainer takes it whole; it counts words, so cuts change nothing."""
    text = text.replace(_TRAINERS_OWN, " ")
    if len(text) <= _LINE:
        return [text] if text.strip() else []
    return textwrap.wrap(" ".join(text.split()), _LINE, break_on_hyphens=False)


def _read_note(path: epath.Path) -> dict:
    """What a tokenizer was made of; empty if it is not known."""
    try:
        made = json.loads(path.read_text()) if path.exists() else {}
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}


def _train_file(args: argparse.Namespace) -> None:
    out = epath.Path(args.out)
    note = out.with_suffix(".json")
    source = RecordSource(args.shards, "text", "train")
    symbols = [word for word in args.symbols.split(",") if word]
    settings = {"corpus": source.fingerprint}
    if args.kind == "words":
        form = WordSettings(args.split, args.case == "fold", args.unknown)
        settings |= {"min_count": args.min_count, **dataclasses.asdict(form)}
    else:
        settings |= {"vocab_size": args.vocab_size, "symbols": symbols}
    if out.exists():
        made = _read_note(note)
        if {**made, "corpus": source.renewed(made.get("corpus"))} != settings:
            raise UserError(
                f"{out} was made with other settings or from another corpus than "
                f"{settings}; delete it or choose another --out"
            )
        print(f"{out} is already there")
        return
    texts = (text for record in source for _, text in record.turns)
    if args.kind == "words":
        model = train_words(texts, args.min_count, form)
    else:
        model = train(texts, args.vocab_size, symbols)
    write_atomically(note, json.dumps(settings, indent=1).encode())
    write_atomically(out, model)
    print(f"{out}: {_parse(model).vocab_size} pieces from {len(source)} utterances")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the training."""
    parser = CommandParser(
        prog="python -m babyvlm_jax.data.tokenizer",
        description="Trains the tokenizer on the train split of the `text` dataset.",
        epilog="example: python -m babyvlm_jax.data.tokenizer --shards=runs/demo/shards"
        " --out=runs/demo/tokenizer.model --vocab-size=1024 --symbols='user:,(a),(b)'"
        "\n         python -m babyvlm_jax.data.tokenizer --kind=words --min-count=3"
        " --shards=runs/v1/shards --out=runs/v1/words.txt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--shards", required=True, help="folder of the datasets")
    parser.add_argument(
        "--out", required=True, help="file to write, for example t.model"
    )
    parser.add_argument(
        "--vocab-size", type=int, default=6000, help="upper bound (default 6000)"
    )
    parser.add_argument(
        "--symbols", default="", help="comma-separated words that get a piece each"
    )
    parser.add_argument(
        "--kind", choices=("bpe", "words"), default="bpe", help="words: V1's word list"
    )
    parser.add_argument(
        "--min-count", type=int, default=3, help="words: rarer ones are unknown"
    )
    parser.add_argument(
        "--split",
        choices=("blanks", "regex"),
        default="blanks",
        help="words: where they end; regex cuts at punctuation, as V1 did by mistake",
    )
    parser.add_argument(
        "--case",
        choices=("fold", "keep"),
        default="fold",
        help="words: keep makes capitalised words unknown, as in V1",
    )
    parser.add_argument(
        "--unknown",
        choices=("keep", "drop"),
        default="keep",
        help="words: drop removes unknown ones from the text, as V1's training did",
    )
    add_command_flags(parser)
    args = parser.parse_args(argv)
    run_main(lambda: _train_file(args), args.debug)


if __name__ == "__main__":
    main()
