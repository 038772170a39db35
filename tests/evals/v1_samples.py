"""Items of the four tests of V1 as the importer and the builder make them."""

import functools

from data_prep.v1bench import records
from tests.evals import fakes

picture = functools.cache(fakes.picture)
DRAWN = ("ball", "cup", "dog", "car")


def labeled_s(number=0):
    images = [picture((40 * number + 9 * k) % 256) for k in range(4)]
    return records.labeled_s(f"labeled{number}", "ball", images, DRAWN, 0, {})


def two_word(number=0):
    name, image = f"two{number}", picture(7 * number % 256)
    return records.two_word(name, image, "red ball", "blue ball", {"part": "adjective"})


def winoground(number=0):
    images = [picture((11 * number + k) % 256) for k in range(2)]
    return records.winoground(f"wino{number}", images, ["red ball", "red cup"], {})


def caption(number=0, text="look at the red ball"):
    return records.caption(f"caption{number}", picture(5 * number % 256), text, {})
