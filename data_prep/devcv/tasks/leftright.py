"""Left/Right: which of three pictures is the query, the others being flips of it?"""

from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items
from data_prep.devcv.tasks import Task

OBJECT_FILL = 0.8  # of the canvas's shorter side
# Mean absolute difference (0..255, at 32 pixels) below which a crop counts as equal to
# its flip; ours: below, a person sees no difference either.
MIN_ASYMMETRY = 8.0
TRIES = 40


def question(wording: str) -> str:
    """The human turn, word for word as released."""
    number = " Answer with a number." if wording == "saycam" else ""
    return (
        f"<image> Which of the following is the same as this?{number} "
        "(A) <image> (B) <image> (C) <image>"
    )


def leftright(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """Which of three is the same as the query, the others being flips of it?

    The query and the two wrong options are any three of the four flips, so that neither
    uprightness nor being the odd one out tells: whichever three are shown, each is the
    query equally often. The mirror image is among them in two items of three; were it
    always, the one that alone stands upright, or alone does not, would never be right.
    As published (`original_leftright`): an unflipped query, two identical mirrors.

    Source: BabyVLM-V2, Left/Right.
    """
    categories = items.deck(rng, bank.categories, number)
    answers = items.deck(rng, range(3), number)
    for category, answer in zip(categories, answers, strict=False):
        view = _lopsided_view(bank, rng, category)
        if view is None:
            continue
        names = flip_names(rng, "original_leftright" in style.published)
        yield _question(rng, style, [(view, name) for name in names], answer)


def leftright_things(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """The same question over three things of different categories, to train on.

    Ours: to find the picture that is the query's comes first, to tell it from its flips
    after that (docs/training.md). All three are flipped alike.
    """
    if len(bank.categories) < 3:
        return
    for answer in items.deck(rng, range(3), number):
        chosen = rng.permutation(len(bank.categories))[:3]
        flip = items.pick(rng, tuple(items.FLIPS))
        shown = [(bank.draw(rng, bank.categories[i]), flip) for i in chosen]
        yield _question(rng, style, shown, answer)


def _question(rng, style, shown, answer) -> items.Item:
    """Asks for the first of three (view, name of a flip), which goes to `answer`."""
    encoded = []
    for view, name in shown:
        crop = items.FLIPS[name](items.object_crop(view, style))
        canvas = items.paste(crop, items.canvas_of(view, style), OBJECT_FILL)
        encoded.append(items.encode(canvas))
    options = items.placed(rng, encoded[0], encoded[1:], answer)
    return items.one_round(
        question(items.wording(rng, style.prompts)),
        items.LETTERS[answer],
        [encoded[0], *options],
        [view for view, _ in shown],
        noun=shown[0][0].thing.category,
    )


def flip_names(rng: np.random.Generator, original: bool) -> tuple[str, str, str]:
    """Flips of the picture that are (the query, first wrong, second wrong) option."""
    if original:
        return "identity", "horizontal", "horizontal"
    names = tuple(items.FLIPS)
    query, first, second = (names[i] for i in rng.permutation(len(names))[:3])
    return query, first, second


def _lopsided_view(bank, rng, category) -> items.View | None:
    """A view of the category, or of any other where it has only symmetric ones."""
    for attempt in range(2 * TRIES):
        if attempt >= TRIES:
            category = items.pick(rng, bank.categories)
        view = bank.draw(rng, category)
        if is_lopsided(view):
            return view
    return None


def is_lopsided(view: items.View) -> bool:
    """No flip leaves the object (nearly) as it is."""
    image = items.crop(view.frame.pixels(), view.thing.bbox, 0.0)
    image = items.resize(image, (32, 32)).astype(np.float32)
    return all(
        np.abs(image - flip(image)).mean() >= MIN_ASYMMETRY
        for name, flip in items.FLIPS.items()
        if name != "identity"
    )


TASKS = (
    Task(
        name="leftright",
        title="Left/Right",
        make=leftright,
        example=question,
        # BabyVLM-V2, SAYCam
        sizes={"demo": (2500, 40, 200), "full": (12250, 2229, 2265)},
        build_rank=4,
        released_names=("left_right",),
        published={"original_leftright": "two identical mirrors"},
        known="in Left/Right the right option is the query",
        query_is_answer=True,
    ),
    Task(
        name="leftright_things",
        title="Left/Right, three things (training only)",
        make=leftright_things,
        example=question,
        sizes={"demo": (2000, 0, 0), "full": (0, 0, 0)},
        easier_form_of="leftright",
        build_rank=4,
        query_is_answer=True,
    ),
)
