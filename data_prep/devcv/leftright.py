"""Left/Right: which of three pictures is the query, the others being flips of it?"""

from collections.abc import Iterator

import numpy as np

from data_prep.devcv import items, pictures, prompts
from data_prep.devcv.bank import Bank, View, pick
from data_prep.devcv.items import Item, Style

OBJECT_FILL = 0.8  # of the canvas's shorter side
# Mean absolute difference (0..255, at 32 pixels) below which a crop counts as equal to
# its flip; ours: below, a person sees no difference either.
MIN_ASYMMETRY = 8.0
TRIES = 40


def leftright(
    bank: Bank, rng: np.random.Generator, number: int, style: Style
) -> Iterator[Item]:
    """Which of three is the same as the query, the others being flips of it?

    The query itself is flipped at random, and the two wrong options are different
    flips (one always the mirror image), so that neither uprightness nor being the odd
    one out tells. `original_leftright`: an unflipped query, two identical mirrors.

    Source: BabyVLM-V2, Left/Right.
    """
    categories = items.deck(rng, bank.categories, number)
    answers = items.deck(rng, range(3), number)
    for category, answer in zip(categories, answers, strict=False):
        view = _lopsided_view(bank, rng, category)
        if view is None:
            continue
        names = flip_names(rng, style.original_leftright)
        crop = items.object_crop(view, style)
        size = items.canvas_of(view, style)
        encoded = [
            pictures.encode(
                pictures.paste(pictures.FLIPS[name](crop), size, OBJECT_FILL)
            )
            for name in names
        ]
        options = items.placed(rng, encoded[0], encoded[1:], answer)
        yield items.one_round(
            prompts.leftright(prompts.wording(rng, style.prompts)),
            prompts.LETTERS[answer],
            [encoded[0], *options],
            [view],
            noun=view.thing.category,
        )


def flip_names(rng: np.random.Generator, original: bool) -> tuple[str, str, str]:
    """Flips of the picture that are (the query, first wrong, second wrong) option."""
    if original:
        return "identity", "horizontal", "horizontal"
    query = pick(rng, tuple(pictures.FLIPS))
    mirror = {
        "identity": "horizontal",
        "horizontal": "identity",
        "vertical": "both",
        "both": "vertical",
    }[query]
    other = pick(rng, [name for name in pictures.FLIPS if name not in (query, mirror)])
    return query, mirror, other


def _lopsided_view(bank, rng, category) -> View | None:
    """A view of the category, or of any other where it has only symmetric ones."""
    for attempt in range(2 * TRIES):
        if attempt >= TRIES:
            category = pick(rng, bank.categories)
        view = bank.draw(rng, category)
        if is_lopsided(view):
            return view
    return None


def is_lopsided(view: View) -> bool:
    """No flip leaves the object (nearly) as it is."""
    image = pictures.crop(view.frame.pixels(), view.thing.bbox, 0.0)
    image = pictures.resize(image, (32, 32)).astype(np.float32)
    return all(
        np.abs(image - flip(image)).mean() >= MIN_ASYMMETRY
        for name, flip in pictures.FLIPS.items()
        if name != "identity"
    )
