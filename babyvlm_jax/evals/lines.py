"""Lines of predictions.jsonl: one for each item, protocol and control."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.dialogue import gold_texts, option_labels
from babyvlm_jax.evals.items import chance_metrics, cluster, listed_under
from babyvlm_jax.evals.parsers import OFFICIAL, STRICT
from babyvlm_jax.evals.scoring import (
    Round,
    item_metrics,
    read_officially,
    read_strictly,
)
from babyvlm_jax.evals.tasks import GENERATE, Task


@dataclasses.dataclass(frozen=True)
class Said:
    """What one answerer said to one item.

    Attributes:
        protocol: one of `tasks.PROTOCOLS`, "" for a control that asks no model.
        control: its name, "" for the plain item.
        replies: one a round.
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
    said: Said,
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


def _read(task, record, replies, parser) -> list[Round]:
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


def _facts(scored: Round) -> dict[str, Any]:
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


def metrics_of(line: Mapping[str, Any], parser: str) -> Mapping[str, float]:
    """An item's metrics as a parser reads it."""
    return line["official"]["metrics"] if parser == OFFICIAL else line["metrics"]


def parsers_of(protocol: str) -> tuple[str, ...]:
    """The parsers that lines of a protocol are read by."""
    return (STRICT, OFFICIAL) if protocol == GENERATE else (STRICT,)
