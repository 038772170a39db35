"""What the questions of a benchmark item ask, and how answers are read strictly.

An item knows its questions: `meta["rounds"]` has an entry for each human turn,

    {"kind": "letter", "choices": ["A", "B"], "options": [1, 2], "answer": "B"}

with `texts` beside them where the choices say something (sides, phrases). Builders and
importers write it with `rounds_of`; records of older shards, which have none, pass
through the same parser when they are read. Nothing else looks into a prompt.
"""

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, IMAGE_MARK, Record

LETTER, NUMBER, DIRECTION, TEXT = "letter", "number", "direction", "text"
KINDS = (LETTER, NUMBER, DIRECTION, TEXT)
LETTERS, NUMERALS = "ABCDEFGH", "12345678"  # what choices may be called

# The sides and corners of a frame in ring order: neighbours differ by 45 degrees.
RING = (
    *("top", "top right", "right", "bottom right"),
    *("bottom", "bottom left", "left", "top left"),
)
# Why a question cannot be asked.
NO_CHOICES, NOT_OFFERED, BAD_ROUNDS = "no_choices", "not_offered", "bad_rounds"

_LABEL = re.compile(rf"\(([{LETTERS}{NUMERALS}])\)")
_QUOTED_SIDE = re.compile(
    r"['\"\u2018\u201c]((?:top|bottom)(?: (?:left|right))?|left|right)['\"\u2019\u201d]"
)
_NTH = re.compile(
    r"\bthe (first|second|third|fourth|fifth|sixth|seventh|eighth) image\b"
)
_ORDINALS = (
    *("first", "second", "third", "fourth"),
    *("fifth", "sixth", "seventh", "eighth"),
)
_SENTENCE_END = re.compile(r"[.?!](?:\s|$)|\n")
_JOINED = re.compile(r"(?:\s|,|;|\bor\b|\band\b)+$", re.IGNORECASE)

# `..._clip_009` of released delayed response, and what SAYCam calls a recording
_CLIP = re.compile(r"(?P<recording>.+)_clip_\d+.*")
_SAYCAM = re.compile(r"(?P<recording>[A-Z]_\d{8}_\d{4}_\d+)(?:_.*)?")

# "a" before a word is the article, unless the word goes on about the answer
_ARTICLE = re.compile(
    r"\ba (?!(?:is|was|has|and|or|because|since|as)\b)(?=[a-z])", re.IGNORECASE
)
_LONE_LETTER = re.compile(rf"\b([{LETTERS}])\b", re.IGNORECASE)
_SIDES = re.compile(
    r"\b(?:(top|upper|bottom|lower)(?:[ -](left|right))?|(left|right))\b", re.IGNORECASE
)
_SIDE_NAMES = {"upper": "top", "lower": "bottom"}
_TO_TWENTY = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
    *("seventeen", "eighteen", "nineteen", "twenty"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORD_VALUES = {word: value for value, word in enumerate(_TO_TWENTY)} | {
    word: 10 * tens for tens, word in enumerate(_TENS, 2)
}
_WORD_VALUES |= {
    f"{word}{_TO_TWENTY[unit]}": 10 * tens + unit
    for tens, word in enumerate(_TENS, 2)
    for unit in range(1, 10)
}
_TENS_AND_UNIT = re.compile(
    rf"\b({'|'.join(_TENS)})[ -]({'|'.join(_TO_TWENTY[1:10])})\b"
)
_NUMERAL = re.compile(r"-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|[a-z]+")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2212\uff0d"), "-")


@dataclasses.dataclass(frozen=True)
class Question:
    """One question of an item and its answer.

    Attributes:
        prompt: the human turn.
        images: numbers, in the item, of the pictures of that turn.
        kind: of the answer: letter (also where choices are numbered), number,
            direction, or text where pictures alone are shown.
        choices: what may be answered, in the prompt's order; none for a number or a
            text.
        options: number, in the item, of the picture of each choice; none where the
            choices are not pictures.
        answer: the right answer as `choices` spell it, or in digits, or the text in
            lower case; None where it is none of them.
        texts: what each choice says, a side by its name in `RING`; none where the
            choices are pictures, or say themselves.
        fault: why it cannot be asked (`NO_CHOICES`, `NOT_OFFERED`, `BAD_ROUNDS`), ""
            if it can.
    """

    prompt: str
    images: tuple[int, ...]
    kind: str
    choices: tuple[str, ...]
    options: tuple[int, ...]
    answer: str | None
    texts: tuple[str, ...] = ()
    fault: str = ""

    @property
    def gold(self) -> int | None:
        """Index of the right choice, None where there is none."""
        return self.choices.index(self.answer) if self.answer in self.choices else None

    @property
    def queries(self) -> tuple[int, ...]:
        """The pictures of the turn that are no options."""
        return tuple(image for image in self.images if image not in self.options)

    @property
    def is_numbered(self) -> bool:
        """Whether the choices are called by numbers."""
        return self.kind == LETTER and self.choices[0] in NUMERALS

    def says(self, answer: str | None) -> str | None:
        """What an answer stands for: its choice's text, or itself.

        "(A) the left side (B) the right side": says("B") -> "right".
        """
        if self.texts and answer in self.choices:
            return self.texts[self.choices.index(answer)]
        return answer

    def read(self, reply: str) -> str | None:
        """The answer that a reply gives, strictly; None where it gives none."""
        if self.kind == LETTER and not self.is_numbered:
            return read_letter(reply, max(self.choices[-1], "D"))
        reader: Callable[[str], str | None] = {
            LETTER: read_number,
            NUMBER: read_number,
            DIRECTION: read_direction,
            TEXT: read_text,
        }[self.kind]
        return reader(reply)

    def entry(self) -> dict[str, Any]:
        """Its entry of `meta["rounds"]`."""
        entry = {
            "kind": self.kind,
            "choices": list(self.choices),
            "options": list(self.options),
            "answer": self.answer,
        }
        return entry | ({"texts": list(self.texts)} if self.texts else {})


def questions_of(record: Record) -> tuple[Question, ...]:
    """The questions of an item: those in its meta, or else its turns, parsed.

    Raises:
        ValueError: its turns are not human and assistant in turn.
    """
    parts = list(_parts(record.turns))
    if "rounds" not in record.meta:
        return tuple(_parse(prompt, images, gold) for prompt, images, gold in parts)
    rounds = record.meta["rounds"]
    if not isinstance(rounds, list) or len(rounds) != len(parts):
        rounds = [None] * len(parts)
    return tuple(
        _from_entry(prompt, images, entry)
        for (prompt, images, _), entry in zip(parts, rounds, strict=True)
    )


def parse_turns(turns: Sequence[tuple[str, str]]) -> tuple[Question, ...]:
    """Parses the turns of a DevCV item, built here or released, in all their wordings.

    A choice is offered as `(A)` or `(1)`, or, for a direction, in quotes; without
    either a number is asked for, or, where there are no words, a text.

    parse_turns((("human", "<image> Same? (A) <image> (B) <image>"),
                 ("assistant", "(B).")))[0]
        -> choices ("A", "B"), options (1, 2), queries (0,), answer "B"

    Raises:
        ValueError: the turns are not human and assistant in turn.
    """
    return tuple(_parse(prompt, images, gold) for prompt, images, gold in _parts(turns))


def rounds_of(turns: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """What a builder writes as `meta["rounds"]` of an item.

    Raises:
        ValueError: a question cannot be understood.
    """
    found = parse_turns(turns)
    for one in found:
        if one.fault:
            raise ValueError(f"{one.fault}: {one.prompt!r}")
    return [one.entry() for one in found]


def add_rounds(record: Record) -> Record:
    """A record of an older shard with `meta["rounds"]`.

    Unchanged if it has them, or if one of its questions cannot be understood.
    """
    if "rounds" in record.meta:
        return record
    try:
        rounds = rounds_of(record.turns)
    except ValueError:
        return record
    return dataclasses.replace(record, meta={**record.meta, "rounds": rounds})


def recording_of(name: str) -> str:
    """The recording that a released id names, "" if it names none.

    It stands before the last slash, or before the number of a clip, or is called as
    SAYCam's are:

        c8bf04e6-74f2/7200_7332_lamp           -> c8bf04e6-74f2
        S_20130101_0827_04_clip_009_original   -> S_20130101_0827_04

    Source: BabyVLM-V2, ids of Visual Delayed Response.
    """
    found = name.rpartition("/")[0]
    for form in (_CLIP, _SAYCAM):
        match = form.fullmatch(name)
        found = found or (match["recording"] if match else "")
    return found


def _parts(turns):
    """(prompt, numbers of its pictures, text of the answer) of each question."""
    first = 0
    for (asked, prompt), (told, gold) in zip(turns[::2], turns[1::2], strict=True):
        if (asked, told) != (HUMAN, ASSISTANT):
            raise ValueError(f"expected a human and an assistant, not {asked}, {told}")
        after = first + prompt.count(IMAGE_MARK)
        yield prompt, tuple(range(first, after)), gold
        first = after


def _from_entry(prompt, images, entry) -> Question:
    """A question from its entry; its fault is `BAD_ROUNDS` where that is not one."""
    bad = Question(prompt, images, TEXT, (), (), None, fault=BAD_ROUNDS)
    if not isinstance(entry, Mapping) or entry.get("kind") not in KINDS:
        return bad
    lists = [entry.get(key, []) for key in ("choices", "options", "texts")]
    if not all(isinstance(one, list) for one in lists):
        return bad
    choices, options, texts = map(tuple, lists)
    found = Question(
        prompt, images, entry["kind"], choices, options, entry.get("answer"), texts
    )
    is_good = (
        isinstance(found.answer, str)
        and all(isinstance(one, str) for one in (*choices, *texts))
        and len(set(choices)) == len(choices)
        and set(options) <= set(images)
        and all(len(one) in (0, len(choices)) for one in (options, texts))
        and _are_choices(found.kind, choices)
        and (not choices or found.answer in choices)
    )
    return found if is_good else bad


def _are_choices(kind, choices) -> bool:
    if kind == LETTER:
        size = len(choices)
        return size > 0 and choices in (tuple(LETTERS[:size]), tuple(NUMERALS[:size]))
    return set(choices) <= set(RING) and bool(choices) == (kind == DIRECTION)


@functools.lru_cache(maxsize=1024)  # an item without rounds is asked for them often
def _parse(prompt, images, gold) -> Question:
    labels = tuple(dict.fromkeys(_LABEL.findall(prompt)))
    sides = tuple(dict.fromkeys(_QUOTED_SIDE.findall(prompt)))
    if labels:
        return _lettered(prompt, images, gold, labels)
    if sides:
        answer = read_direction(gold)
        found = Question(prompt, images, DIRECTION, sides, (), answer)
        return found if answer in sides else _not_offered(found)
    if not prompt.replace(IMAGE_MARK, "").strip():
        found = Question(prompt, images, TEXT, (), (), read_text(gold))
    else:
        found = Question(prompt, images, NUMBER, (), (), read_number(gold))
    return found if found.answer is not None else _not_offered(found)


def _not_offered(question: Question) -> Question:
    return dataclasses.replace(question, answer=None, fault=NOT_OFFERED)


def _lettered(prompt, images, gold, labels) -> Question:
    names = NUMERALS if labels[0] in NUMERALS else LETTERS
    parts = [prompt[a:b] for a, b in _segments(prompt, labels)]
    options = _options(parts, images)
    texts = () if options else _texts(parts)
    found = Question(prompt, images, LETTER, labels, options, None, texts)
    is_understood = bool(options) or _are_distinct(texts)
    if labels != tuple(names[: len(labels)]) or not is_understood:
        return dataclasses.replace(found, fault=NO_CHOICES)
    answer = _label(gold, found)
    return (
        _not_offered(found)
        if answer is None
        else dataclasses.replace(found, answer=answer)
    )


def _segments(prompt, labels) -> list[tuple[int, int]]:
    """Where what stands behind each label begins and ends."""
    places = [prompt.index(f"({label})") for label in labels]
    ends = [*places[1:], len(prompt)]
    return [
        (place + len(label) + 2, end)
        for place, end, label in zip(places, ends, labels, strict=True)
    ]


def _options(parts, images) -> tuple[int, ...]:
    """The picture of each label: behind it, or told as "the first image"."""
    marks = [part.count(IMAGE_MARK) for part in parts]
    if set(marks) == {1}:
        return images[len(images) - len(parts) :]
    nth = [_NTH.search(part) for part in parts]
    if any(marks) or not all(nth) or len(images) != len(parts):
        return ()
    places = [_ORDINALS.index(found[1]) for found in nth]
    is_each = sorted(places) == list(range(len(images)))
    return tuple(images[place] for place in places) if is_each else ()


def _texts(parts) -> tuple[str, ...]:
    """What the labels say: sides by their names, or the words that stand there.

    Empty texts, or equal ones, where that cannot be told.
    """
    if any(IMAGE_MARK in part for part in parts):
        return ("",)
    readings = (
        [read_direction(part) or "" for part in parts],
        [part[slice(*_words(part))] for part in parts],
        [part.strip() for part in parts],
    )
    good = (tuple(texts) for texts in readings if _are_distinct(texts))
    return next(good, ("",))


def _are_distinct(texts) -> bool:
    return all(texts) and len(set(texts)) == len(texts)


def _words(part) -> tuple[int, int]:
    """Where the words of a choice begin and end, without what joins it to the next."""
    end = _SENTENCE_END.search(part.rstrip() + " ")
    text = part[: end.start()] if end and part[: end.start()].strip() else part
    text = _JOINED.sub("", text)
    return len(text) - len(text.lstrip()), len(text)


def _label(gold, question) -> str | None:
    """The right choice: its label, as the last word or alone, or what it says.

    A number may stand for a letter, and a letter for a number.
    """
    choices = question.choices
    words = plain(gold).split()
    last = words[-1].strip("().,:;'\"").upper() if words else ""
    if len(last) == 1 and last not in choices:
        names, others = LETTERS, NUMERALS
        if question.is_numbered:
            names, others = NUMERALS, LETTERS
        if last in others[: len(choices)]:
            last = names[others.index(last)]
    if last in choices:
        return last
    told = question.read(gold)
    if told in choices:
        return told
    texts = [text.lower() for text in question.texts]
    said = [read_direction(gold), " ".join(gold.lower().split()).strip(" .")]
    return next((choices[texts.index(one)] for one in said if one in texts), None)


def plain(text: str) -> str:
    """Digits, letters and dashes of other scripts and widths as ASCII has them."""
    if text.isascii():
        return text
    found = "".join(
        chr(ord(c) - 0xFEE0) if 0xFF01 <= ord(c) <= 0xFF5E else c for c in text
    )
    digits = (str(unicodedata.decimal(c)) if c.isdecimal() else c for c in found)
    return "".join(digits).translate(_DASHES)


def read_letter(text: str, last: str = "D") -> str | None:
    """First stand-alone letter from A to `last` that is not the article "a".

    "it is a dog, so B" is B, "a" and "A because it is new" are A, "a dog" is nothing.
    """
    for found in _LONE_LETTER.findall(_ARTICLE.sub("", plain(text))):
        if found.upper() <= last:
            return found.upper()
    return None


def read_number(text: str) -> str | None:
    """First whole number, in digits or as a word up to ninety-nine, in digits.

    A number that is not whole, or below zero, is an answer and no count: nothing.
    """
    lowered = _TENS_AND_UNIT.sub(r"\1\2", plain(text).lower())
    for token in _NUMERAL.findall(lowered):
        if token in _WORD_VALUES:
            return str(_WORD_VALUES[token])
        if not token.isalpha():
            digits = token.replace(",", "")
            return str(int(digits)) if digits.isdigit() else None
    return None


def read_direction(text: str) -> str | None:
    """The one of the eight directions that the text names.

    "Left.", "through the upper-left corner" are read; "left or right" is two, so none.
    """
    named = set()
    for vertical, beside, alone in _SIDES.findall(plain(text)):
        first = _SIDE_NAMES.get(vertical.lower(), vertical.lower())
        named.add(" ".join(filter(None, (first, (beside or alone).lower()))))
    return named.pop() if len(named) == 1 else None


def read_text(text: str) -> str | None:
    """The whole text in lower case; nothing where there is none."""
    return text.strip().lower() or None


def reworded(prompt: str, question: Question, shift: int) -> str:
    """A prompt in which each choice says what stood `shift` places before it.

    "(A) left or (B) right", shift 1 -> "(A) right or (B) left"; of sides in quotes,
    each becomes the next one wherever it is named. A prompt that names nothing, as one
    whose words were taken away, stays as it is.
    """
    if question.kind == DIRECTION:
        return _next_sides(prompt, question.choices, shift)
    if not question.texts or f"({question.choices[-1]})" not in prompt:
        return prompt
    spans = []
    for (start, end), text in zip(
        _segments(prompt, question.choices), question.texts, strict=True
    ):
        part = prompt[start:end]
        side = _SIDES.search(part) if read_direction(part) == text else None
        first = side.start() if side else max(part.find(text), 0)
        last = side.end() if side else first + len(text)
        spans.append((start + first, start + last))
    said = [prompt[a:b] for a, b in spans]
    for number in reversed(range(len(spans))):
        a, b = spans[number]
        prompt = f"{prompt[:a]}{said[(number - shift) % len(said)]}{prompt[b:]}"
    return prompt


def _next_sides(prompt, sides, shift):
    order = sorted(sides, key=RING.index)
    names = "|".join(sorted(sides, key=len, reverse=True))
    named = re.compile(
        rf"(?<=['\"\u2018\u201c])({names})(?=['\"\u2019\u201d])"
        rf"|\b({names})(?= side\b)"
    )
    return named.sub(
        lambda found: order[(order.index(found[0]) + shift) % len(order)], prompt
    )
