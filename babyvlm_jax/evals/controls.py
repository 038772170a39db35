"""Controls: what an answerer scores that lacks something, in the same table.

Some ask the model about altered items (`VARIANTS`): without images, with another item's
images, without words. Others need no model: the best constant answer, the answer that
training makes likeliest, a matcher of pixels. Simulated guessers give p-values to
metrics whose chance is no simple proportion.
"""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from babyvlm_jax.data.images import blank, encode_png, read_image
from babyvlm_jax.data.questions import questions_of
from babyvlm_jax.data.schema import HUMAN, IMAGE_MARK, Record
from babyvlm_jax.evals.items import (
    ItemSet,
    num_rounds,
    offered,
    option_images,
    option_labels,
    round_images,
)
from babyvlm_jax.evals.scoring import (
    Answer,
    Lines,
    make_line,
    memory_metrics,
    read_strictly,
    score_replies,
)
from babyvlm_jax.evals.tasks import CAPTION, Task
from babyvlm_jax.runtime.errors import UserError

NO_IMAGE = "no_image"
SHUFFLED_IMAGE = "shuffled_image"
NO_TEXT = "no_text"
CONSTANT = "constant"
PRIOR = "prior"
PIXELS = "pixels"
GREY = encode_png(blank(16))
_SIDE = 32  # of what the matcher compares, ours
_BINS = 8
_CAPTIONS = 8  # ours: that are tried as the one caption for all


def no_image(record: Record) -> Record:
    """The record with every image replaced by one and the same grey image.

    Also hides which of the images are equal.
    """
    return dataclasses.replace(record, images=(GREY,) * len(record.images))


def no_text(record: Record) -> Record:
    """The record whose questions are their images alone."""
    turns = [
        (
            role,
            " ".join([IMAGE_MARK] * text.count(IMAGE_MARK)) if role == HUMAN else text,
        )
        for role, text in record.turns
    ]
    return dataclasses.replace(record, turns=tuple(turns))


def shuffle_images(records: Sequence[Record]) -> dict[str, Record]:
    """Each record by id, with the images of the next one that has as many.

    The last takes those of the first; a record that is the only one with its numbers
    of images gets grey ones.
    """
    alike = collections.defaultdict(list)
    for record in sorted(records, key=lambda record: record.id):
        alike[tuple(map(len, round_images(record)))].append(record)
    shuffled = {}
    for group in alike.values():
        for record, other in zip(group, [*group[1:], group[0]], strict=True):
            images = other.images if len(group) > 1 else no_image(record).images
            shuffled[record.id] = dataclasses.replace(record, images=images)
    return shuffled


def make_variants(
    names: Sequence[str], records: Sequence[Record]
) -> Callable[[str, Record], Record]:
    """Makes (name of a control, record) -> the altered record.

    Args:
        names: the controls that will be asked for.
        records: all items of the set, where other images are taken from.
    """
    shuffled = shuffle_images(records) if SHUFFLED_IMAGE in names else {}
    return lambda name, record: {
        NO_IMAGE: no_image,
        NO_TEXT: no_text,
        SHUFFLED_IMAGE: lambda record: shuffled[record.id],
    }[name](record)


VARIANTS = (NO_IMAGE, SHUFFLED_IMAGE, NO_TEXT)


def count_answers(records: Sequence[Record]) -> Mapping[str, int]:
    """How often each answer is right."""
    return collections.Counter(
        question.answer for r in records for question in questions_of(r)
    )


def likeliest(task: Task, record: Record, counts: Mapping[str, int]) -> list[str]:
    """Per round the offered answer that was right most often; the first of equals."""
    return [
        max(answers, key=lambda answer: counts.get(answer, 0))
        for answers in offered(task, record)
    ]


def match_pixels(record: Record) -> list[str] | None:
    """Per round the option that looks right, without any understanding.

    Beside a query, the option that is most like it; in a dialogue, the option that is
    least like all seen before. None for other tasks.
    """
    questions = questions_of(record)
    if not all(
        question.options and (len(question.queries) == 1 or len(questions) > 1)
        for question in questions
    ):
        return None
    looks = {image: look(image) for image in set(record.images)}
    seen: list[np.ndarray] = []
    replies = []
    for question, options in zip(questions, option_images(record), strict=True):
        found = {}
        for letter, image in options.items():
            if question.queries:
                query = record.images[question.queries[0]]
                found[letter] = -distance(looks[image], looks[query])
            else:
                apart = [distance(looks[image], old) for old in seen]
                found[letter] = min(apart, default=0.0)
        replies.append(max(found, key=found.__getitem__))
        seen += [looks[record.images[image]] for image in question.images]
    return replies


def look(image: bytes) -> np.ndarray:
    """f32[1048]: 32 x 32 luminance, and a histogram of each colour, in 0..1."""
    picture = read_image(image)
    small = picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    pixels = np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    colours = [
        np.histogram(pixels[..., c], _BINS, (0, 256))[0] / _SIDE**2 for c in range(3)
    ]
    return np.concatenate([np.asarray(small).ravel() / 255, *colours])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """How unlike two images look: mean over pixels plus mean over colour bins."""
    apart, cut = np.abs(a - b), _SIDE**2
    return float(apart[:cut].mean() + apart[cut:].mean())


def constant(answer: str, record: Record) -> list[str]:
    """The same reply in each round."""
    return [answer] * num_rounds(record)


def ask_no_model(
    task: Task, records: Sequence[Record], trained_on: Sequence[Record]
) -> dict[str, list[list[str]]]:
    """What the controls reply that need no model.

    Args:
        task: the task.
        records: its items.
        trained_on: items of the training split, none if there is none.

    Returns:
        Control (`prior`, `pixels`) -> replies of each record; those that cannot be
        made are left out.
    """
    found = {}
    try:
        if trained_on:
            counts = count_answers(trained_on)
            found[PRIOR] = [likeliest(task, record, counts) for record in records]
        matched = [match_pixels(record) for record in records]
    except UserError:  # a prompt that offers nothing in a form that is known
        return found
    if all(replies is not None for replies in matched):
        found[PIXELS] = matched
    return found


def control_lines(
    item_set: ItemSet,
    records: Sequence[Record],
    chances: Mapping[str, Mapping[str, float]] | None = None,
) -> Lines:
    """Lines of the controls that need no model; `chances` as for `make_line`, by id."""
    task, chances = item_set.task, chances or {}
    replies = ask_no_model(task, records, item_set.trained_on())
    answer = best_constant(task, records)
    replies[CONSTANT] = [constant(answer, r) for r in records]
    return [
        make_line(
            task,
            item_set.source,
            record,
            Answer("", name, said),
            chances.get(record.id),
        )
        for name, of_all in replies.items()
        for record, said in zip(records, of_all, strict=True)
    ]


def best_constant(task: Task, records: Sequence[Record]) -> str:
    """The answer that scores best for whoever never looks: a floor beside chance.

    Five items with the answers A, A, A, B, C give A, which scores 3 / 5.
    """

    def score(answer):
        return sum(
            score_replies(task, record, constant(answer, record))[task.primary]
            for record in records
        )

    counts = count_answers(records)
    answers = sorted(counts)
    if task.answer == CAPTION:  # the most frequent, the first of them by the alphabet
        answers = sorted(answers, key=lambda text: -counts[text])[:_CAPTIONS]
    return max(answers, key=score)


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
