"""Facts of benchmark items: what guessing gives, what is wrong, what goes together."""

import io

import numpy as np
from PIL import Image

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.errors import UserError
from babyvlm_jax.evals.dialogue import (
    gold_texts,
    option_labels,
    questions,
    round_images,
)
from babyvlm_jax.evals.scoring import gold_answer, is_adjacent, memory_metrics
from babyvlm_jax.evals.tasks import (
    DIFFERENCE,
    DIRECTION,
    LETTER,
    LETTERS,
    NUMBER,
    QUADRANT,
    QUADRANTS,
    WORD,
    Task,
    offered_answers,
)


def cluster(record: Record) -> str:
    """What an item shares with others: its recordings, or else itself.

    The recordings are in its meta; in released ids they stand before the last slash,
    as in `{video}/{start}_{end}_{object}`.
    """
    if record.meta.get("recordings"):
        return " ".join(sorted(record.meta["recordings"]))
    return record.id.rpartition("/")[0] or record.id


def offered(task: Task, record: Record) -> list[tuple[str, ...]]:
    """The answers that each round of an item allows; see `tasks.offered_answers`."""
    return [offered_answers(task, question) for question in questions(record)]


def option_images(task: Task, record: Record) -> list[dict[str, bytes]]:
    """Letter -> picture for each round whose options are pictures.

    The options are the last pictures of a round; a query stands before them. A round
    with more letters than pictures asks for a place in one picture: {}.
    """
    found = []
    for letters, images in zip(
        offered(task, record), round_images(record), strict=True
    ):
        is_pictures = task.answer == LETTER and len(images) >= len(letters)
        shown = images[len(images) - len(letters) :] if is_pictures else ()
        found.append(dict(zip(letters, shown, strict=False)))
    return found


def chance_metrics(task: Task, record: Record) -> dict[str, float]:
    """Expected metrics of an item when each offered answer is as likely.

    Args:
        task: names the metrics.
        record: its item; a prompt that offers nothing gets the task's own chance, and
            so does Winoground, whose four comparisons share their scores.

    Returns:
        metric -> value.
    """
    try:
        answers = offered(task, record)
    except UserError:
        return dict(task.chance)
    if "group" in task.metrics:
        return dict(task.chance)
    guesses = [1 / len(options) for options in answers]
    if "adjusted" in task.metrics:
        return memory_metrics(guesses, option_labels(record))
    if "adjacent" not in task.metrics:
        return {"accuracy": float(np.mean(guesses))}
    golds = [gold_answer(task.answer, text) for text in gold_texts(record)]
    near = [
        np.mean([is_adjacent(side, gold) for side in options])
        for options, gold in zip(answers, golds, strict=True)
    ]
    return {"exact": float(np.mean(guesses)), "adjacent": float(np.mean(near))}


def find_problem(task: Task, record: Record, needs_options: bool) -> str | None:
    """What makes an item unfit to be asked, in words; None if nothing does.

    Args:
        task: the task.
        record: its item.
        needs_options: answers are chosen from those offered, so they must be there.
    """
    roles = [role for role, _ in record.turns]
    if not roles or roles != [HUMAN, ASSISTANT] * (len(roles) // 2):
        return f"turns go {roles}, expected human and assistant in turn"
    for number, image in enumerate(record.images, 1):
        if not is_picture(image):
            return f"picture {number} of {len(record.images)} is missing or damaged"
    try:
        options = option_images(task, record)
    except UserError as error:
        return str(error) if needs_options else None
    for shown, gold in zip(options, gold_texts(record), strict=True):
        right = shown.get(gold_answer(task.answer, gold))
        same = [letter for letter, image in shown.items() if image == right]
        if right is not None and len(same) > 1:
            return f"options {' and '.join(same)} are the same picture, the right one"
    return None


def is_picture(data: bytes) -> bool:
    """Whether bytes begin as a picture does that can be decoded."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return min(image.size) > 0
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def listed_under(task: Task, record: Record) -> str:
    """The line of its task's breakdown that an item belongs to.

    By number (counting), word (vocabulary), direction (delayed response), quadrant
    (localisation) or what differs between two phrases; "" where there is none, and in
    memory, whose lines are the rounds.
    """
    answer = gold_answer(task.answer, gold_texts(record)[0])
    if task.breakdown == QUADRANT:
        return dict(zip(LETTERS, QUADRANTS, strict=True)).get(answer, "")
    if task.breakdown == WORD:
        return str(record.meta.get("word", ""))
    if task.breakdown == DIFFERENCE:
        return str(record.meta.get("difference", ""))
    return answer if task.breakdown in (NUMBER, DIRECTION) else ""
