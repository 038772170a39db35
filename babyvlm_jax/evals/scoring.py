"""Scores answers: reads them, compares them with the right ones, computes metrics.

Two parsers read what was said. The strict one is `Question.read`; the official one is
that of the DevCV scorers. Its faults are kept, because scores must be comparable with
published ones, and each is named in the docstring of the function that has it.
`make_line` turns one answer to one item into a line of predictions.jsonl.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from babyvlm_jax.data.questions import (
    DIRECTION,
    LETTER,
    NUMBER,
    RING,
    Question,
    questions_of,
    read_text,
)
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import captions
from babyvlm_jax.evals.items import (
    cluster,
    gold_texts,
    listed_under,
    offered,
    option_labels,
)
from babyvlm_jax.evals.results import OFFICIAL, STRICT
from babyvlm_jax.evals.tasks import (
    CAPTION,
    GENERATE,
    Task,
)

Lines = list[dict[str, Any]]
Reader = Callable[[str], str | None]
_LETTER = re.compile(r"\b([A-D])\b", re.IGNORECASE)
_NUMBER_TOKEN = re.compile(r"\d+|[a-z]+")
# The official list ends at ten: "eleven" and "twelve" are not understood.
_TO_TEN = (
    *("zero", "one", "two", "three", "four", "five"),
    *("six", "seven", "eight", "nine", "ten"),
)


def letter_article_counts(text: str) -> str | None:
    """First stand-alone A-D of either case, upper-cased.

    Fault kept: the article "a" counts, so "it is a dog, so B" is read as A.

    Source: BabyVLM-V2, DevCV scorer.
    """
    found = _LETTER.search(text)
    return found.group(1).upper() if found else None


def number_words_to_ten(text: str) -> str | None:
    """First run of digits or number word zero to ten, written in digits.

    Fault kept: "eleven" and "twelve" are not understood, "twenty1" is 1.

    Source: BabyVLM-V2, DevCV scorer.
    """
    for token in _NUMBER_TOKEN.findall(text.lower()):
        if token.isdigit():
            return str(int(token))
        if token in _TO_TEN:
            return str(_TO_TEN.index(token))
    return None


def direction_unstripped(text: str) -> str | None:
    """The whole output lower-cased, if it is one of the eight directions.

    Fault kept: nothing is stripped or searched, so "left." and " left" are wrong.

    Source: BabyVLM-V2, DevCV scorer.
    """
    lowered = text.lower()
    return lowered if lowered in RING else None


OFFICIAL_READERS: Mapping[str, Reader] = {
    LETTER: letter_article_counts,
    NUMBER: number_words_to_ten,
    DIRECTION: direction_unstripped,
    CAPTION: read_text,
}


def official_gold(task: Task, question: Question, text: str) -> str | None:
    """What the official scorers read in a right answer's text.

    The extraction is that of the replies; of a dialogue only the last word is read.
    A direction is the whole text.

    Source: BabyVLM-V2, DevCV scorer.
    """
    if task.answer == DIRECTION:
        return text.strip().lower()
    if "adjusted" in task.metrics:
        text = " ".join(text.split()[-1:])
    return OFFICIAL_READERS[_official_kind(task, question)](text)


def _official_kind(task, question):
    """An option that is called by a number is read as a number (ours)."""
    return NUMBER if task.answer == LETTER and question.is_numbered else task.answer


def is_adjacent(prediction: str | None, label: str) -> bool:
    """Whether a direction is the label or one of its two neighbours on the ring."""
    if prediction not in RING or label not in RING:
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
    correct: Sequence[float], labels: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Learning, raw and adjusted testing accuracy of one memory dialogue.

    With b old items: rounds 0..b-1 teach, the others test each old item twice.
    Adjusted counts an old item only when both of its test rounds are right.
    Pitfalls kept: a label that is tested once or three times never scores, a test
    round without an old label is skipped, the denominator stays b, and rounds after
    3b, as 31 rounds have one, count as tests.

    Args:
        correct: per round, whether the reply was right, or how likely it is.
        labels: per round, the names of the options; rounds may be missing at the end.

    Returns:
        `learning`, `raw` and `adjusted`, each in [0, 1].

    Source: BabyVLM-V2, DevCV scorer.
    """
    base = memory_base(len(correct))
    old = {label for options in labels[:base] for label in options}
    tests: dict[str, list[float]] = {}
    for right, options in zip(correct[base:], labels[base:], strict=False):
        for label in old.intersection(options):
            tests.setdefault(label, []).append(right)
    both = sum(math.prod(rounds) for rounds in tests.values() if len(rounds) == 2)
    return {
        "learning": _mean(correct[:base]),
        "raw": _mean(correct[base:]),
        "adjusted": both / base,
    }


def winoground_metrics(correct: Sequence[bool]) -> dict[str, float]:
    """What four comparisons of two images with two phrases add up to.

    With s[i][p] the score of image i under phrase p, image 0 and phrase 0 those
    that belong together in the recording, the positive context:

        image   s[0][0] > s[1][0] and s[1][1] > s[0][1]: each phrase has its image
        text    s[0][0] > s[0][1] and s[1][1] > s[1][0]: each image has its phrase
        group   both
        positive_context_group   the two that s[0][0] is in
        negative_context_group   the two that s[1][1] is in
        positive_context_text, negative_context_text   image 0, or 1, has its phrase

    Scores that are drawn independently give 1/4, 1/4, 1/6, 1/3, 1/3, 1/2, 1/2.

    Args:
        correct: of the rounds of an item: phrase 0 has its image, phrase 1, image
            0 has its phrase, image 1.

    Source: Winoground, arXiv 2204.03162; the contexts by group: BabyVLM V1's scorer;
    by text: BabyCL, arXiv 2606.05115.
    """
    image0, image1, text0, text1 = map(bool, correct)
    found = {
        "image": image0 and image1,
        "text": text0 and text1,
        "group": image0 and image1 and text0 and text1,
        "positive_context_group": image0 and text0,
        "negative_context_group": image1 and text1,
        "positive_context_text": text0,
        "negative_context_text": text1,
    }
    return {name: float(value) for name, value in found.items()}


@dataclasses.dataclass(frozen=True)
class Reading:
    """One question and its reply, as a parser read it.

    Attributes:
        answer: the right one.
        output: what was said.
        prediction: what was read in it, None where nothing was.
        correct: whether that is the answer.
        near: of directions, whether it is the answer or beside it.
    """

    answer: str
    output: str
    prediction: str | None
    correct: bool
    near: bool = False


def read_strictly(question: Question, output: str) -> Reading:
    """Reads one reply by what its question offers, and compares it with the answer."""
    prediction = question.read(output)
    correct = prediction == question.answer
    side, right = question.says(prediction), question.says(question.answer)
    near = correct or is_adjacent(side, right)
    return Reading(question.answer, output, prediction, correct, near)


def read_officially(task: Task, question: Question, gold: str, output: str) -> Reading:
    """Reads one reply, and the text of the right answer, as the official scorers do.

    Faults kept: a direction must be the whole reply, and where nothing can be read in
    the right answer's text, a reply in which nothing can be read is right.

    Args:
        task: whose scorer; it does not look at what a question offers.
        question: the question.
        gold: the assistant's turn of the record.
        output: what was said.

    Source: BabyVLM-V2, DevCV scorer.
    """
    answer = official_gold(task, question, gold)
    prediction = OFFICIAL_READERS[_official_kind(task, question)](output)
    if task.answer == DIRECTION and output.lower() == answer:
        prediction = answer
    near = is_adjacent(prediction, answer)
    return Reading(answer or "", output, prediction, prediction == answer, near)


def item_metrics(
    task: Task, rounds: Sequence[Reading], labels: Sequence[Sequence[str]] = ()
) -> dict[str, float]:
    """Metrics of one item; a task's score is their mean over items.

    Args:
        task: names the metrics.
        rounds: the item's questions, one but for dialogues.
        labels: option names per round, for memory.

    Returns:
        A value in [0, 1] for each of `task.metrics`, for captions those that can be
        had.
    """
    correct = [r.correct for r in rounds]
    if task.answer == CAPTION:
        return captions.metrics(rounds[0].answer, rounds[0].prediction or "")
    if "group" in task.metrics:
        return winoground_metrics(correct)
    if "adjusted" in task.metrics:
        return memory_metrics(correct, labels)
    if "adjacent" in task.metrics:
        near = _mean([r.near for r in rounds])
        return {"exact": _mean(correct), "adjacent": near}
    return {"accuracy": _mean(correct)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def chance_metrics(task: Task, record: Record) -> dict[str, float]:
    """Expected metrics of an item when each offered answer is as likely.

    Args:
        task: names the metrics.
        record: its item; a question that allows any text gets the task's own chance,
            and so does Winoground, whose four comparisons share their scores.

    Returns:
        metric -> value.
    """
    if "group" in task.metrics or task.answer == CAPTION:
        return dict(task.chance)
    answers = offered(task, record)
    guesses = [1 / len(options) for options in answers]
    if "adjusted" in task.metrics:
        return memory_metrics(guesses, option_labels(record))
    if "adjacent" not in task.metrics:
        return {"accuracy": float(np.mean(guesses))}
    near = [
        np.mean([read_strictly(question, reply).near for reply in options])
        for question, options in zip(questions_of(record), answers, strict=True)
    ]
    return {"exact": float(np.mean(guesses)), "adjacent": float(np.mean(near))}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one answerer said to one item.

    Attributes:
        protocol: one of `tasks.PROTOCOLS`, "" for a control that asks no model.
        control: its name, "" for the plain item.
        replies: one per round.
        likelihoods: per round, each offered answer's share; None where it wrote.
    """

    protocol: str
    control: str
    replies: Sequence[str]
    likelihoods: Sequence[Mapping[str, float]] | None = None


def make_line(
    task: Task,
    source: str,
    record: Record,
    said: Answer,
    chance: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Scores one item.

    Args:
        task: the task.
        source: name of the set of items, "" if there is only one.
        record: the plain item.
        said: what was said to it, or to an altered form of it.
        chance: expected metrics of guessing, where they do not follow from the item.

    Returns:
        `source`, `task`, `id`, `dataset`, `control`, `protocol`, `cluster`, `listed`,
        `prompt`, `answer`, `prediction` (what the strict parser read, or the output
        where it read nothing), `output`, `correct`, `metrics`, `chance`; where the
        model wrote, `official` {prediction, correct, metrics}; where it chose,
        `likelihoods`. A dialogue has `rounds`, is correct when all of them are, and
        joins their texts with spaces.
    """
    rounds = _read(task, record, said.replies, STRICT)
    lines = [
        {"prompt": question.prompt, **_facts(one)}
        for question, one in zip(questions_of(record), rounds, strict=True)
    ]
    if said.likelihoods is not None:
        for line, shares in zip(lines, said.likelihoods, strict=True):
            line["likelihoods"] = {key: round(x, 5) for key, x in shares.items()}
    line = {
        "source": source,
        "task": task.name,
        "id": record.id,
        "dataset": task.dataset,
        "control": said.control,
        "protocol": said.protocol,
        "cluster": cluster(record),
        "listed": listed_under(task, record),
        **_join(lines),
        "metrics": _metrics(task, record, rounds),
        "chance": dict(chance or chance_metrics(task, record)),
    }
    if said.protocol == GENERATE:
        official = _read(task, record, said.replies, OFFICIAL)
        line["official"] = {
            **_join([_facts(one) for one in official], ("prediction", "correct")),
            "metrics": _metrics(task, record, official),
        }
    return line


def _read(task, record, replies, parser) -> list[Reading]:
    found = zip(questions_of(record), gold_texts(record), replies, strict=True)
    if parser == OFFICIAL:
        return [read_officially(task, *one) for one in found]
    return [read_strictly(question, reply) for question, _, reply in found]


def score_replies(
    task: Task, record: Record, replies: Sequence[str], parser: str = STRICT
) -> dict[str, float]:
    """Metrics of one item from what was said to it, one reply a round."""
    return _metrics(task, record, _read(task, record, replies, parser))


def _metrics(task, record, rounds):
    labels = option_labels(record) if "adjusted" in task.metrics else ()
    return item_metrics(task, rounds, labels)


def _facts(scored: Reading) -> dict[str, Any]:
    read = scored.output if scored.prediction is None else scored.prediction
    return {
        "answer": scored.answer,
        "prediction": read,
        "output": scored.output,
        "correct": scored.correct,
    }


def _join(lines, names=("prompt", "answer", "prediction", "output", "correct")):
    """The fields of one round, or of all of them together with `rounds`."""
    if len(lines) == 1:
        extra = {k: x for k, x in lines[0].items() if k == "likelihoods"}
        return {name: lines[0][name] for name in names} | extra
    joined = {
        name: all(line[name] for line in lines)
        if name == "correct"
        else " ".join(line[name] for line in lines)
        for name in names
    }
    return joined | ({"rounds": lines} if "prompt" in names else {})
