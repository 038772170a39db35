"""Delayed Memory: 15 rounds of "touch the new image", 29 pictures.

Five old things x0..x4 and ten new ones y0..y9. Round 0 shows x0 alone; rounds 1 to 4
show the last x beside the next one; then every x is tested twice, each time beside a
fresh y. The new picture is always right.
"""

import collections
import itertools
from collections.abc import Iterator

import numpy as np

from babyvlm_jax.data.schema import ASSISTANT, HUMAN
from data_prep.devcv import items
from data_prep.devcv.tasks import Task

NUM_OLD = 5
SHORT = (1, 2, 3)  # things to remember in a short dialogue
JITTER = 0.12  # of the box's longer side, where no other view is left


def question(is_first: bool) -> str:
    """A human turn, word for word as released."""
    if is_first:
        return "Touch the new image. (A) <image>"
    return "Let's try more. Touch the new image. (A) <image> (B) <image>"


def memory(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """Dialogues of 15 rounds with 15 differently labelled things.

    A thing that comes back is seen in another frame, or in a shifted crop where it has
    no other frame, so that equal pixels do not give it away (as published,
    `identical_repeats`: they do).

    Source: BabyVLM-V2, Delayed Memory.
    """
    yield from _dialogues(bank, rng, style, [NUM_OLD] * number)


def memory_short(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """The same game with one, two or three things to remember, to train on.

    Ours: a small model learns to tell seen from new here first; of the whole dialogues
    alone it learns it hardly or not at all (docs/training.md).
    """
    yield from _dialogues(bank, rng, style, items.deck(rng, SHORT, number))


def _dialogues(bank, rng, style, nums_old) -> Iterator[items.Item]:
    labelled = by_label(bank)
    names = tuple(labelled)
    if len(names) < 3 * NUM_OLD:
        return
    # Even over the whole set: in an even dialogue the last answer follows from the rest
    rounds = sum(3 * num_old - 1 for num_old in nums_old)
    positions = iter(items.deck(rng, (0, 1), rounds))
    for num_old in nums_old:
        labels = [names[i] for i in rng.permutation(len(names))[: 3 * num_old]]
        decks = {
            label: _looks(rng, items.pick(rng, labelled[label]), style)
            for label in labels
        }
        yield _dialogue(rng, labels, decks, positions)


def by_label(bank: items.Bank) -> dict[str, list[tuple[items.View, ...]]]:
    """Label -> the views of each of its instances.

    Labels are `colour category` (or the category); where that makes too few, each look
    that is seen in several frames is a label of its own.
    """
    labelled, looks = collections.defaultdict(list), collections.defaultdict(list)
    for category, instances in bank.views.items():
        for views in instances.values():
            thing = views[0].thing
            label = f"{thing.colour} {category}" if thing.colour else category
            labelled[label].append(views)
            if len(views) > 1:
                looks[thing.look].append(views)
    found = labelled if len(labelled) >= 3 * NUM_OLD else looks
    return dict(sorted(found.items()))


def schedule(
    rng: np.random.Generator, num_old: int = NUM_OLD
) -> list[tuple[int | None, int]]:
    """(seen thing or None, new thing) of each round; things are numbered x then y.

    With five old things round 0 is (None, 0), round 1 (0, 1), ... round 4 (3, 4);
    rounds 5 to 9 hold each of 0..4 once beside 5..9, rounds 10 to 14 once more beside
    10..14.
    """
    first = [(None, 0), *((i - 1, i) for i in range(1, num_old))]
    again = [int(old) for _ in range(2) for old in rng.permutation(num_old)]
    return [*first, *((old, new) for new, old in enumerate(again, num_old))]


def _dialogue(rng, labels, decks, positions) -> items.Item:
    looks, turns, shown, answers = [], [], [], []
    for old, new in schedule(rng, len(labels) // 3):
        names = [labels[new]]
        if old is not None:
            names.insert(1 - next(positions), labels[old])
        looks += [next(decks[name]) for name in names]
        answers.append(items.LETTERS[names.index(labels[new])])
        shown.append(names)
        turns += [(HUMAN, question(old is None)), (ASSISTANT, answers[-1])]
    return items.Item(
        images=tuple(image for image, _ in looks),
        turns=tuple(turns),
        meta={"answer": " ".join(answers), "labels": shown},
        origins=items.origins_of(view for _, view in looks),
    )


def _looks(rng, views, style) -> Iterator[tuple[bytes, items.View]]:
    """Endless encoded looks at one thing, no two alike unless the style wants it."""
    order = [views[i] for i in rng.permutation(len(views))]
    while "identical_repeats" in style.published:
        yield items.encode(items.object_crop(order[0], style)), order[0]
    crops = ((items.object_crop(view, style), view) for view in order)
    drawn = iter(lambda: items.pick(rng, order), None)  # without an end
    shifted = ((_shifted(rng, view, style), view) for view in drawn)
    seen = set()
    for crop, view in itertools.chain(crops, shifted):
        if (image := items.encode(crop)) not in seen:
            seen.add(image)
            yield image, view


def _shifted(rng, view, style) -> np.ndarray:
    """A crop of the same view, moved and scaled a little within the frame."""
    x, y, width, height = view.thing.bbox
    dx, dy = rng.uniform(-JITTER, JITTER, 2) * max(width, height)
    margin = items.CROP_MARGIN + rng.uniform(0, JITTER)
    image = items.crop(view.frame.pixels(), (x + dx, y + dy, width, height), margin)
    return items.shrink(image, style.image_side)


TASKS = (
    Task(
        name="memory",
        title="Delayed Memory",
        make=memory,
        example=lambda wording: question(is_first=True),
        # BabyVLM-V2, SAYCam
        sizes={"demo": (450, 20, 60), "full": (12000, 250, 250)},
        build_rank=8,
        items_per_dialogue=4,  # ours: 15 rounds weigh as much as several items
        released_names=("delayed_memory",),
        published={"identical_repeats": "memory: same bytes again"},
        known="in Delayed Memory what is not new was shown before",
        is_dialogue=True,
    ),
    Task(
        name="memory_short",
        title="Delayed Memory, short dialogues (training only)",
        make=memory_short,
        example=lambda wording: question(is_first=True),
        sizes={"demo": (3000, 0, 0), "full": (0, 0, 0)},
        easier_form_of="memory",
        build_rank=8,
        is_dialogue=True,
    ),
)
