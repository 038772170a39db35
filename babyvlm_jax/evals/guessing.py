"""Simulated guessers, for metrics whose chance is no simple proportion.

Delayed Memory counts an old object when both of its rounds are right, so the objects of
a dialogue share rounds and their number differs; a neighbouring direction is right as
often as the item offers one.
"""

from collections.abc import Sequence

import numpy as np

from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.items import offered, option_labels
from babyvlm_jax.evals.scoring import memory_metrics, read_strictly
from babyvlm_jax.evals.tasks import Task

DRAWS = 10_000  # ours: a p-value of .05 moves by less than .005 between seeds


def guess(
    task: Task, records: Sequence[Record], seed: int, draws: int = DRAWS
) -> dict[str, np.ndarray]:
    """Scores of guessers who take each offered answer as often.

    Args:
        task: the task.
        records: all of its items.
        seed: of the guesses.
        draws: number of guessers.

    Returns:
        metric -> f64[draws], a guesser's mean over the items; {} for tasks whose
        items are right or wrong.
    """
    if not {"adjusted", "adjacent"}.intersection(task.metrics):
        return {}
    rng = np.random.default_rng(seed)
    totals = {metric: np.zeros(draws) for metric in task.metrics}
    for record in records:
        found = (_guess_memory if "adjusted" in task.metrics else _guess_sides)(
            task, record, rng, draws
        )
        for metric, values in found.items():
            totals[metric] += values
    return {metric: total / len(records) for metric, total in totals.items()}


def _guess_memory(task, record, rng, draws) -> dict[str, np.ndarray]:
    answers = offered(task, record)
    right = [
        (rng.random(draws, np.float32) < 1 / len(options)).astype(np.float64)
        for options in answers
    ]
    return memory_metrics(right, option_labels(record))


def _guess_sides(task, record, rng, draws) -> dict[str, np.ndarray]:
    exact, near = [], []
    for question, options in zip(
        questions_of(record), offered(task, record), strict=True
    ):
        picks = rng.integers(len(options), size=draws)
        exact.append(np.array([side == question.answer for side in options])[picks])
        near.append(np.array([read_strictly(question, s).near for s in options])[picks])
    return {"exact": np.mean(exact, axis=0), "adjacent": np.mean(near, axis=0)}
