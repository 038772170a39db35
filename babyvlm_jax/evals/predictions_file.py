"""Answers that somebody else's model gave, from a file.

A line is a JSON object with `id`, and `output`, the raw text, or `outputs`, one for
each round of a dialogue. `task` (and `source`, where several are evaluated) say where
the id belongs, if ids repeat between tasks. `likelihoods` (or a list of them, one a
round) give {answer: log-likelihood}.

    {"task": "count", "id": "count_test_000000", "output": "Three."}
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.engine import Choices
from babyvlm_jax.evals.items import num_rounds
from babyvlm_jax.evals.predictors import Likelihoods, Predictor, Replies
from babyvlm_jax.runtime.errors import UserError


class PredictionsFile(Predictor):
    """A file of answers.

    Raises:
        UserError: there is no such file, a line is not an object with an id and an
            output, or two lines answer the same item.
    """

    def __init__(self, path: str):
        self._path = path
        self._said: dict[tuple[str, str], Mapping[str, Any]] = {}
        for number, line in enumerate(_lines(path), 1):
            key = line.get("task", ""), line["id"]
            if key in self._said:
                raise UserError(f"{path}, line {number}: a second answer to {key[1]!r}")
            self._said[key] = line

    def problem(self, item: Record, needs_likelihoods: bool) -> str | None:
        """What the file lacks for an item, in words; None if nothing."""
        line = self._find(item)
        if line is None:
            return f"{self._path} has no answer to it"
        rounds = num_rounds(item)
        if len(_outputs(line)) != rounds:
            return f"{self._path} has {len(_outputs(line))} answers for {rounds} rounds"
        if needs_likelihoods and len(_likelihoods(line)) != rounds:
            return (
                f"{self._path} has no likelihoods for it; use the protocol 'generate'"
            )
        return None

    def unknown(self, items: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """(task, id) of lines that answer no item.

        Args:
            items: task -> ids of its items; lines of other tasks are not judged.
        """
        every = {name for names in items.values() for name in names}
        return [
            (task, name)
            for task, name in self._said
            if (name not in every if not task else name not in items.get(task, [name]))
        ]

    def _find(self, item: Record) -> Mapping[str, Any] | None:
        task = item.source.rpartition("/")[2]
        return self._said.get((task, item.id)) or self._said.get(("", item.id))

    def generate(self, items: Sequence[Record]) -> Replies:
        return [_outputs(self._find(item)) for item in items]

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        return [
            [
                np.array([values.get(answer, -np.inf) for answer in offered])
                for values, offered in zip(
                    _likelihoods(self._find(item)), rounds, strict=True
                )
            ]
            for item, rounds in zip(items, choices, strict=True)
        ]


def _outputs(line) -> list[str]:
    return list(line["outputs"]) if "outputs" in line else [line["output"]]


def _likelihoods(line) -> list[Mapping[str, float]]:
    found = line.get("likelihoods", [])
    return [found] if isinstance(found, Mapping) else list(found)


def _lines(path):
    file = epath.Path(path)
    if not file.exists():
        raise UserError(f"config.predictions={path!r} does not exist")
    for number, text in enumerate(file.read_text().splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            outputs = _outputs(line)
            assert isinstance(line["id"], str)
            assert all(isinstance(one, str) for one in outputs)
        except (ValueError, KeyError, TypeError, AssertionError):
            raise UserError(
                f"{path}, line {number} is {text[:60]!r}; expected a JSON object with "
                "a text 'id' and a text 'output', or 'outputs', one text a round"
            ) from None
        yield line
