"""What a rewriter says of a caption, and the check of a model's answers."""

import json
from typing import Any, NamedTuple

from babyvlm_jax.data.schema import IMAGE_MARK
from data_prep.importing.reading import is_utf8
from data_prep.transfer.prompts import LONGEST


class Answer(NamedTuple):
    """Whether a pair is kept, and what is said; nothing is if it is not."""

    keep: bool
    utterance: str


def read_answers(content: Any, count: int) -> tuple[dict[int, Answer], dict[int, str]]:
    """Checks the answers about captions 0, ..., count - 1, each by itself.

    Args:
        content: the text of the model's message.
        count: captions that it was asked about.

    Returns:
        Caption number -> answer, and number -> why there is none; each number is in
        one of them.
    """
    try:
        items = json.loads(content)["answers"]
        if not isinstance(items, list):
            raise TypeError("answers is not a list")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        why = f"not the JSON that was asked for ({type(error).__name__}: {error})"
        return {}, dict.fromkeys(range(count), why[:200])
    good, bad = {}, {}
    for item in items:
        number = item.get("id") if isinstance(item, dict) else None
        if isinstance(number, bool) or number not in range(count):
            continue  # about a caption that nobody asked for
        found = _answer(item)
        if number in good or number in bad:
            good.pop(number, None)
            bad[number] = "two answers for one caption"
        elif isinstance(found, Answer):
            good[number] = found
        else:
            bad[number] = found
    for number in range(count):
        if number not in good:
            bad.setdefault(number, "no answer for this caption")
    return good, bad


def _answer(item: dict[str, Any]) -> Answer | str:
    """The answer, or what is wrong with it."""
    keep, said = item.get("keep"), item.get("utterance")
    if set(item) != {"id", "keep", "utterance"}:
        return f"keys {sorted(map(str, item))}"
    if not isinstance(keep, bool) or not isinstance(said, str):
        return "keep is not a boolean, or utterance not a string"
    if not keep:
        return Answer(False, "")
    if not is_utf8(said) or IMAGE_MARK in said:
        return "characters that no utterance has"
    said = " ".join(said.split())
    if not any(letter.isalpha() for letter in said):
        return "kept without a word"
    if len(said.split()) > LONGEST:
        return f"{len(said.split())} words, more than {LONGEST}"
    return Answer(True, said)
