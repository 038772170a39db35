"""Facts of benchmark items: what guessing gives, what is wrong, what goes together."""

import re

from babyvlm_jax.data.images import open_image
from babyvlm_jax.data.questions import (
    BAD_ROUNDS,
    DIRECTION,
    NO_CHOICES,
    NUMBER,
    RING,
    TEXT,
    questions_of,
    recording_of,
)
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.evals.dialogue import gold_texts
from babyvlm_jax.evals.tasks import (
    CAPTION,
    DIFFERENCE,
    QUADRANT,
    QUADRANTS,
    WORD,
    Task,
)
from babyvlm_jax.runtime.errors import UserError

# of an item and of its augmented copy; #2 is ours, of an id that comes again
_COPY = re.compile(r"_(?:original|augmented|aug)(?:#\d+)?$")


def cluster(record: Record) -> str:
    """What an item shares with others: its recordings, or else itself.

    The recordings are in its meta, or in its id, see `recording_of`; an item and its
    augmented copy go together in any case.
    """
    if record.meta.get("recordings"):
        return " ".join(sorted(record.meta["recordings"]))
    return recording_of(record.id) or _COPY.sub("", record.id)


def offered(task: Task, record: Record) -> list[tuple[str, ...]]:
    """The answers that each round of an item allows, as the right ones are spelt.

    Directions stand in ring order whatever the prompt, so that the first of equals
    does not depend on its wording; a number is one of the task's.

    Raises:
        UserError: a question that allows any text.
    """
    return [_offered(task, question) for question in questions_of(record)]


def _offered(task, question) -> tuple[str, ...]:
    if question.kind == DIRECTION:
        return tuple(sorted(question.choices, key=RING.index))
    if question.choices:
        return question.choices
    if question.kind == NUMBER and task.largest_number:
        return tuple(str(number) for number in range(1, task.largest_number + 1))
    raise UserError(
        f"task {task.name!r}: the prompt {question.prompt!r} offers no {task.answer}; "
        "use the protocol 'generate' for it"
    )


def option_images(record: Record) -> list[dict[str, bytes]]:
    """Choice -> picture for each round; {} where the choices are no pictures."""
    return [
        dict(
            zip(
                question.choices,
                [record.images[image] for image in question.options],
                strict=False,
            )
        )
        for question in questions_of(record)
    ]


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
    if "adjusted" in task.metrics and len(roles) < 4:
        return "a memory dialogue of one round tests nothing"
    for number, image in enumerate(record.images, 1):
        if not is_picture(image):
            return f"picture {number} of {len(record.images)} is missing or damaged"
    golds = gold_texts(record)
    for question, gold in zip(questions_of(record), golds, strict=True):
        if what := _find_fault(task, question, gold, needs_options):
            return what
    for question, shown in zip(
        questions_of(record), option_images(record), strict=True
    ):
        right = shown.get(question.answer)
        same = [letter for letter, image in shown.items() if image == right]
        if right is not None and len(same) > 1:
            return f"options {' and '.join(same)} are the same picture, the right one"
    return None


def _find_fault(task, question, gold, needs_options) -> str | None:
    asked = f"the prompt {question.prompt!r}"
    if question.fault == BAD_ROUNDS:
        return f"its meta has no valid entry of 'rounds' for {asked}"
    expected = {NUMBER: task.answer == NUMBER, TEXT: task.answer == CAPTION}
    if question.fault == NO_CHOICES or not expected.get(question.kind, True):
        return f"{asked} offers no {task.answer} in a form that is known"
    if question.fault:
        return f"the right answer {gold!r} is none that {asked} offers"
    if needs_options and question.kind == TEXT:
        return f"{asked} offers no choices; use the protocol 'generate'"
    if needs_options and question.answer not in _offered(task, question):
        return f"the right answer {gold!r} is beyond {task.largest_number}"
    return None


def is_picture(data: bytes) -> bool:
    """Whether bytes begin as a picture does that can be decoded."""
    try:
        with open_image(data) as image:
            return min(image.size) > 0
    except UserError:
        return False


def listed_under(task: Task, record: Record) -> str:
    """The line of its task's breakdown that an item belongs to.

    By number (counting), word (vocabulary), direction (delayed response), quadrant
    (localisation) or what differs between two phrases; "" where there is none, and in
    memory, whose lines are the rounds.
    """
    if task.breakdown == WORD:
        return str(record.meta.get("word", ""))
    if task.breakdown == DIFFERENCE:
        return str(record.meta.get("difference", ""))
    question = questions_of(record)[0]
    said = question.says(question.answer)
    known = {QUADRANT: QUADRANTS, DIRECTION: RING}
    if task.breakdown in known:
        return said if said in known[task.breakdown] else ""
    return said if task.breakdown == NUMBER else ""
