"""Runs one task by one mechanism: records in, scored items out."""

from collections.abc import Callable, Sequence
from typing import Any

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.errors import UserError
from babyvlm_jax.evals.choice import choose, match_images
from babyvlm_jax.evals.dialogue import hold_dialogues, option_labels
from babyvlm_jax.evals.generate import generate
from babyvlm_jax.evals.predictors import Predictor
from babyvlm_jax.evals.scoring import Round, item_metrics, score_round
from babyvlm_jax.evals.tasks import DIALOGUE, GENERATE, Task, offered_answers

CHOICE = "choice"
MATCH = "match"
OFFICIAL = ""  # generate, in a dialogue where the task is one
MECHANISMS = (OFFICIAL, GENERATE, CHOICE, MATCH)


def check_records(task: Task, records: Sequence[Record]) -> None:
    """Raises UserError unless each record is a list of questions with answers."""
    for record in records:
        roles = [role for role, _ in record.turns]
        if not roles or roles != [HUMAN, ASSISTANT] * (len(roles) // 2):
            raise UserError(
                f"dataset {task.dataset!r}, item {record.id!r}: turns go {roles}, "
                "expected human and assistant in turn; build the dataset again"
            )


def run_task(
    task: Task,
    mechanism: str,
    records: Sequence[Record],
    predictor: Predictor,
    normalize: bool,
    progress: Callable[[float], object],
) -> list[dict[str, Any]]:
    """Asks every item of a task and scores the replies.

    An item with one question is a dialogue of one round, so the model's own replies
    are the history wherever there is one.

    Args:
        task: the task.
        mechanism: one of `MECHANISMS`.
        records: its items, as `check_records` wants them.
        predictor: the checkpoint.
        normalize: `choice` and `match` compare likelihoods per token.
        progress: is told the newly answered questions.

    Returns:
        One prediction per record, sorted by id; see `make_prediction`.
    """

    def answer(asked):
        if mechanism == MATCH:
            return match_images(predictor, asked, normalize, progress)
        if mechanism == CHOICE:
            offered = [offered_answers(task, record.turns[-2][1]) for record in asked]
            return choose(predictor, asked, offered, normalize, progress)
        return generate(predictor, asked, task.max_new_tokens, progress)

    replies = hold_dialogues(records, answer)
    predictions = [
        make_prediction(task, record, outputs)
        for record, outputs in zip(records, replies, strict=True)
    ]
    return sorted(predictions, key=lambda prediction: prediction["id"])


def make_prediction(
    task: Task, record: Record, outputs: Sequence[str]
) -> dict[str, Any]:
    """Scores one item.

    Args:
        task: the task.
        record: its item.
        outputs: the model's replies, one a round.

    Returns:
        A line of `predictions.jsonl`: `task`, `id`, `dataset`, `answer`, `prediction`
        (what the scorer read, or the output where it read nothing), `output`,
        `correct`, `metrics`; a dialogue also has `rounds`, is correct when all of them
        are, and joins their texts with spaces.
    """
    golds = [text for role, text in record.turns if role == ASSISTANT]
    rounds = [
        score_round(task.answer, gold, output)
        for gold, output in zip(golds, outputs, strict=True)
    ]
    lines = [_line(one) for one in rounds]
    labels = option_labels(record) if task.mechanism == DIALOGUE else ()
    prediction = {
        "task": task.name,
        "id": record.id,
        "dataset": task.dataset,
        "answer": " ".join(line["answer"] for line in lines),
        "prediction": " ".join(line["prediction"] for line in lines),
        "output": " ".join(line["output"] for line in lines),
        "correct": all(line["correct"] for line in lines),
        "metrics": item_metrics(task, rounds, labels),
    }
    return prediction | ({"rounds": lines} if len(lines) > 1 else {})


def best_constant(task: Task, records: Sequence[Record]) -> float:
    """Score of the best answer that never looks: the floor that chance may hide.

    Five items with the answers A, A, A, B, C give 3 / 5, for answering always A.

    Returns:
        The highest mean of the primary metric over the answers that occur.
    """
    golds = [[t for role, t in r.turns if role == ASSISTANT] for r in records]
    scores = []
    for answer in sorted({gold for texts in golds for gold in texts}):
        items = [
            make_prediction(task, record, [answer] * len(texts))
            for record, texts in zip(records, golds, strict=True)
        ]
        scores.append(sum(i["metrics"][task.primary] for i in items) / len(items))
    return max(scores)


def _line(scored: Round) -> dict[str, Any]:
    read = scored.output if scored.prediction is None else scored.prediction
    return {
        "answer": scored.answer,
        "prediction": read,
        "output": scored.output,
        "correct": scored.correct,
    }
