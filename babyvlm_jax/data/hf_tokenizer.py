"""Tokenizers in Hugging Face's format, `tokenizer.json`, with our interface.

An imported model brings one (byte-level BPE or words); an exported one takes ours in
this format along, because `transformers` reads no sentencepiece file of this kind.
"""

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from babyvlm_jax.data.schema import IMAGE_MARK
from babyvlm_jax.runtime.errors import UserError

# The names that a special token goes by, the published models' first, CLIP's last.
NAMES = {
    "pad": ("<pad>", "[PAD]", "<unk>", "</s>", "<|endoftext|>"),
    "unk": ("<unk>", "[UNK]", "<|endoftext|>"),
    "sos": ("<sos>", "<s>", "<bos>", "<|startoftext|>"),
    "eos": ("<eos>", "</s>", "<|endoftext|>"),
}
_BLANK = "\u2581"  # sentencepiece's mark of a word's beginning
_BREAK = "\u0001"  # a control character: sentencepiece's normaliser drops it
_NORMAL, _USER_DEFINED = 1, 4  # sentencepiece's kinds of pieces
# Unassigned and private letters: a model without a token for the unknown fails here.
_PROBE = "\u0378 a\ue000 \U000e0080"


class HfTokenizer:
    """Text <-> ids through the `tokenizers` library.

    Ids are those that the file gives to training text: a stored truncation or padding
    is not applied, and the name of a special token within a text ("<eos>") is words,
    as it is for a sentencepiece model.

    Attributes:
        vocab_size: number of ids, specials included.
        pad_id, unk_id, sos_id, eos_id: ids of the specials; some may be the same.
        fingerprint: hex digest of the file and of the rule for specials.
        first_fingerprint: what the first edition stored with a checkpoint.
    """

    def __init__(self, model: bytes):
        """
        Args:
            model: the file's content.

        Raises:
            ValueError: it is no such file, has no token for one of the specials, or
                cannot encode every text.
        """
        content, specials, names = _without_specials(json.loads(model))
        self._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(content))
        # or a special token whose name a normaliser makes would be found in a text
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.encode(_PROBE, add_special_tokens=False)
        # prompts, option letters and role names come again and again
        self._encode = functools.lru_cache(maxsize=2**16)(self._ids)
        vocabulary = {
            names.get(name, name): index
            for name, index in self._tokenizer.get_vocab(True).items()
        }
        self._names = {index: name for name, index in vocabulary.items()}
        self.vocab_size = 1 + max(self._names)
        self.pad_id, self.unk_id, self.sos_id, self.eos_id = (
            vocabulary[specials[kind]] for kind in ("pad", "unk", "sos", "eos")
        )
        self._silent = {vocabulary[name] for name in names.values()}
        rule = b"specials are words"
        self.fingerprint = hashlib.sha256(model + rule).hexdigest()[:16]
        self.first_fingerprint = hashlib.sha256(model).hexdigest()[:16]

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without specials."""
        return list(self._encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; specials leave no trace."""
        return self._tokenizer.decode(
            [int(i) for i in ids if int(i) not in self._silent]
        )

    def name(self, index: int) -> str:
        """The piece of an id."""
        return self._names[index]

    def pieces(self, text: str) -> list[str]:
        """The pieces that `encode` names by id."""
        return [self._names[index] for index in self._encode(text)]


def _without_specials(
    content: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """A tokenizer.json in which no text leads to a special token.

    Every special token goes by a name that no text holds, both where tokens are cut
    out of the text and in the vocabulary of the model: a tokenizer that cuts at blanks
    would look the whole word up, one of the Unigram kind would prefer it.

    Returns:
        The content, without truncation and padding; kind -> name of our four specials;
        new name -> name of every special.
    """
    model, added = content["model"], content.get("added_tokens") or []
    known = model["vocab"]
    listed = isinstance(known, list)  # Unigram: [name, score] by id
    names = {name for name, _ in known} if listed else set(known)
    names |= {token["content"] for token in added}
    specials = {kind: _special(names, kind) for kind in NAMES}
    unk = model.get("unk_token")
    if listed and model.get("unk_id") is not None:
        unk = known[model["unk_id"]][0]
    if unk in names:  # what the model itself makes of an unknown word
        specials["unk"] = unk
    hidden = {*specials.values()}
    hidden |= {token["content"] for token in added if token["special"]}
    secret = hashlib.sha256(repr(sorted(names)).encode()).hexdigest()
    new = {name: f"\uffff{secret}{name}" for name in hidden}
    if listed:
        model["vocab"] = [[new.get(name, name), score] for name, score in known]
    else:
        model["vocab"] = {new.get(name, name): index for name, index in known.items()}
    if unk in names:
        model["unk_token"] = new[unk]
    if model.get("merges"):
        pairs = (m.split(" ", 1) if isinstance(m, str) else m for m in model["merges"])
        model["merges"] = [
            pair for pair in pairs if not hidden & {*pair, "".join(pair)}
        ]
    content["added_tokens"] = [
        token | {"content": new[token["content"]], "special": True}
        if token["content"] in new
        else token
        for token in added
    ]
    content["truncation"] = content["padding"] = None
    return content, specials, {value: key for key, value in new.items()}


def _special(names, kind) -> str:
    for name in NAMES[kind]:
        if name in names:
            return name
    raise ValueError(f"it has no {kind} token; expected one of {NAMES[kind]}")


def from_sentencepiece(model: bytes) -> str:
    """Our sentencepiece BPE as a tokenizer.json, with the same ids.

    A merge joins two pieces into one that exists, and goes by the score of the result;
    symbols of the user ("▁(a)") are cut out first and are words of their own.

    Args:
        model: the sentencepiece file, see `data.tokenizer.train`.

    Returns:
        The text of the file, without `<image>` or a post-processor.

    Raises:
        UserError: not our kind of sentencepiece model, or a piece would be cut
            otherwise.
    """
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    pieces = [piece.piece for piece in proto.pieces]
    if proto.trainer_spec.model_type != proto.trainer_spec.BPE:
        raise UserError("only a sentencepiece model of the BPE kind can be converted")
    made = tokenizers.Tokenizer(
        models.BPE(
            vocab={piece: index for index, piece in enumerate(pieces)},
            merges=_merges(proto),
            unk_token=proto.trainer_spec.unk_piece,
            fuse_unk=True,
            ignore_merges=True,  # a symbol is a word that no merges lead to
        )
    )
    made.normalizer = normalizers.Sequence(
        [
            # as `tokenizer.OPENING_QUOTE`: a word behind one stands apart
            *(
                normalizers.Replace(
                    tokenizers.Regex(rf"(?<!\S){quote}(?=\w)"), f"{quote} "
                )
                for quote in "'\""
            ),
            # The library maps a letter and its accents at once, and would lose the
            # accents: so join what can be joined, and cut off what is left.
            normalizers.NFC(),
            normalizers.Replace(tokenizers.Regex(r"(?=\p{M})"), _BREAK),
            normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
            normalizers.Replace(tokenizers.Regex(r"\A +| +\z"), ""),
            normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
        ]
    )
    blank = {"replacement": _BLANK, "prepend_scheme": "always"}
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(**blank, split=True), *_cut_symbols(proto)]
    )
    made.decoder = decoders.Metaspace(**blank)
    specials = [piece.piece for piece in proto.pieces[:4]]
    made.add_special_tokens([_special_token(name) for name in specials])
    _check_words(made, proto)
    return made.to_str()


def _merges(proto) -> list[tuple[str, str]]:
    ids = {piece.piece: index for index, piece in enumerate(proto.pieces)}
    found = [
        (-piece.score, ids[left], ids[right], left, right)
        for piece in proto.pieces
        if piece.type == _NORMAL
        for cut in range(1, len(piece.piece))
        if (left := piece.piece[:cut]) in ids and (right := piece.piece[cut:]) in ids
    ]
    return [(left, right) for *_, left, right in sorted(found)]


def _cut_symbols(proto) -> list[pre_tokenizers.PreTokenizer]:
    symbols = [p.piece for p in proto.pieces if p.type == _USER_DEFINED]
    if not symbols:
        return []
    longest_first = "|".join(map(re.escape, sorted(symbols, key=len, reverse=True)))
    return [pre_tokenizers.Split(tokenizers.Regex(longest_first), "isolated")]


def _check_words(made, proto) -> None:
    words = [p.piece for p in proto.pieces if p.piece.startswith(_BLANK)]
    for word in words:
        found = made.encode(word[1:], add_special_tokens=False).tokens
        if found != [word] and word != _BLANK:
            raise UserError(f"the tokenizer's piece {word!r} would be cut to {found}")


def _special_token(name: str) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(name, special=True, normalized=False)


def with_image_token(model: str, image_id: int) -> str:
    """A tokenizer.json whose `<image>` has `image_id`, and which begins with <sos>.

    It neither truncates nor pads.

    Args:
        model: the text of a tokenizer.json.
        image_id: at least the number of its ids; ids between get names.

    Returns:
        The text of the new one.
    """
    made = tokenizers.Tokenizer.from_str(model)
    made.no_truncation()
    made.no_padding()
    plain = HfTokenizer(model.encode())
    unused = range(plain.vocab_size, image_id)
    made.add_special_tokens(
        [_special_token(f"<unused{index}>") for index in unused]
        + [_special_token(IMAGE_MARK)]
    )
    sos = made.id_to_token(plain.sos_id)
    made.post_processor = processors.TemplateProcessing(
        single=f"{sos} $A", special_tokens=[(sos, plain.sos_id)]
    )
    return made.to_str()


def without_image_token(model: bytes) -> bytes:
    """A tokenizer.json without the `<image>` and names that an export added.

    They are taken off while they are the last ids, as pictures have no id here.
    """
    content = json.loads(model)
    added = content.get("added_tokens") or []
    if not any(token["content"] == IMAGE_MARK for token in added):
        return model
    added.sort(key=lambda token: token["id"])
    while added and re.fullmatch(r"<image>|<unused\d+>", added[-1]["content"]):
        added.pop()
    content["post_processor"] = None
    return json.dumps(content, ensure_ascii=False).encode()
