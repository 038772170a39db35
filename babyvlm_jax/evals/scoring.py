"""Answer extraction and metrics of the official DevCV scorers, as pure functions.

The official rules have pitfalls; they are reproduced here because scores must be
comparable, and each is named in the docstring of the function that has it.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

from babyvlm_jax.evals.tasks import DIRECTION, LETTER, NUMBER, RING, Task

_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)
_NUMBER_TOKEN = re.compile(r"[0-9]+|[a-z]+")
# The official list ends at ten: "eleven" and "twelve" are not understood.
_NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five"),
    *("six", "seven", "eight", "nine", "ten"),
)


def letter_article_counts(text: str) -> str | None:
    """First stand-alone A-D of either case, upper-cased.

    Pitfall kept: the article "a" counts, so "it is a dog, so B" is read as A.

    Source: BabyVLM-V2, DevCV scorer.
    """
    found = _LETTER.search(text)
    return found.group(1).upper() if found else None


def number_words_to_ten(text: str) -> str | None:
    """First run of digits or number word zero to ten, written in digits.

    Pitfall kept: "eleven" and "twelve" are not understood, "twenty1" is 1.

    Source: BabyVLM-V2, DevCV scorer.
    """
    for token in _NUMBER_TOKEN.findall(text.lower()):
        if token.isdigit():
            return str(int(token))
        if token in _NUMBER_WORDS:
            return str(_NUMBER_WORDS.index(token))
    return None


def direction_strict(text: str) -> str | None:
    """The whole output lower-cased, if it is one of the eight directions.

    Pitfall kept: nothing is stripped or searched, so "left." and " left" are wrong.

    Source: BabyVLM-V2, DevCV scorer.
    """
    lowered = text.lower()
    return lowered if lowered in RING else None


READERS: Mapping[str, Callable[[str], str | None]] = {
    LETTER: letter_article_counts,
    NUMBER: number_words_to_ten,
    DIRECTION: direction_strict,
}


def gold_answer(kind: str, text: str) -> str:
    """What the right answer's text stands for.

    A gold letter is the last word of the assistant's turn, upper-cased; numbers and
    directions are the whole turn.

    Source: BabyVLM-V2, DevCV scorer.
    """
    if kind == LETTER:
        return text.split()[-1].upper()
    return text.strip().lower()


def is_adjacent(prediction: str | None, label: str) -> bool:
    """Whether a direction is the label or one of its two neighbours on the ring."""
    if prediction not in RING:
        return False
    steps = (RING.index(prediction) - RING.index(label)) % len(RING)
    return steps in (0, 1, len(RING) - 1)


def memory_base(num_rounds: int) -> int:
    """Number b of old items in a dialogue of 3b rounds: floor((rounds + 1) / 3).

    Raises:
        ValueError: fewer than two rounds.
    """
    if num_rounds < 2:
        raise ValueError(f"a memory dialogue has 3 b rounds, not {num_rounds}")
    return (num_rounds + 1) // 3


def memory_metrics(
    correct: Sequence[bool], labels: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Learning, raw and adjusted testing accuracy of one memory dialogue.

    With b old items: rounds 0..b-1 teach, rounds b..3b-1 test each old item twice.
    Adjusted counts an old item only when both of its test rounds are right.
    Pitfalls kept: a label that is tested once or three times never scores, a test
    round without an old label is skipped, and the denominator stays b.

    Args:
        correct: per round, whether the reply was right.
        labels: per round, the names of the options; rounds may be missing at the end.

    Returns:
        `learning`, `raw` and `adjusted`, each in [0, 1].

    Source: BabyVLM-V2, DevCV scorer.
    """
    base = memory_base(len(correct))
    old = {label for options in labels[:base] for label in options}
    tests: dict[str, list[bool]] = {}
    for right, options in zip(correct[base:], labels[base:], strict=False):
        for label in old.intersection(options):
            tests.setdefault(label, []).append(right)
    both = sum(len(rounds) == 2 and all(rounds) for rounds in tests.values())
    return {
        "learning": _mean(correct[:base]),
        "raw": _mean(correct[base:]),
        "adjusted": both / base,
    }


@dataclasses.dataclass(frozen=True)
class Round:
    """One question and its reply, read by the official rules."""

    answer: str
    output: str
    prediction: str | None
    correct: bool


def score_round(kind: str, gold: str, output: str) -> Round:
    """Reads one output and compares it with the gold text.

    Args:
        kind: `letter`, `number` or `direction`.
        gold: the assistant's turn of the record.
        output: what the model said.
    """
    answer = gold_answer(kind, gold)
    prediction = READERS[kind](output)
    return Round(answer, output, prediction, prediction == answer)


def item_metrics(
    task: Task, rounds: Sequence[Round], labels: Sequence[Sequence[str]] = ()
) -> dict[str, float]:
    """Metrics of one item; a task's score is their mean over items.

    Args:
        task: names the metrics.
        rounds: the item's questions, one but for dialogues.
        labels: option names per round, for memory.

    Returns:
        A value in [0, 1] for each of `task.metrics`.
    """
    correct = [r.correct for r in rounds]
    if "adjusted" in task.metrics:
        return memory_metrics(correct, labels)
    if "adjacent" in task.metrics:
        near = [is_adjacent(r.prediction, r.answer) for r in rounds]
        return {"exact": _mean(correct), "adjacent": _mean(near)}
    return {"accuracy": _mean(correct)}


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values)
