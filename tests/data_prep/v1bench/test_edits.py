import numpy as np
import pytest

from data_prep.nursery.shapes import COLOURS
from data_prep.v1bench import edits
from tests.data_prep.v1bench.world import SIDE, WALL, draw, thing

BOX = (30, 20, 40, 36)


def near(pixel, colour):
    return np.abs(pixel.astype(int) - colour).max() <= 12


def middle(image, box):
    return image[box[1] + box[3] // 2, box[0] + box[2] // 2]


def test_a_scene_shows_the_thing_and_what_is_around_it():
    pixels = draw([thing("ball", "red", BOX)])
    scene, box = edits.scene(pixels, BOX)
    assert scene.shape == (76, 80, 3)
    assert box == (20, 20, 40, 36)
    assert near(middle(scene, box), COLOURS["red"])
    corner, box = edits.scene(pixels, (0.0, 80.0, 16.0, 16.0))
    assert box == (0, 8, 16, 16)
    assert corner.shape == (24, 24, 3)


@pytest.mark.parametrize("new", ["blue", "green", "brown", "yellow"])
def test_recoloured_things_keep_their_surroundings_and_shading(new):
    pixels = draw([thing("ball", "red", BOX)])
    changed = edits.recolour(pixels, BOX, "red", new)
    assert near(middle(changed, BOX), COLOURS[new])
    assert near(changed[0, 0], WALL)
    x, y = BOX[0] + 20, BOX[1] + 1  # in the dark rim
    assert changed[y, x].sum() < changed[y + 15, x].sum()
    assert np.array_equal(pixels, draw([thing("ball", "red", BOX)]))  # not in place


def test_what_cannot_be_recoloured():
    pixels = draw([thing("ball", "red", BOX)])
    assert edits.recolour(pixels, BOX, "blue", "red") is None  # nothing is blue
    assert edits.recolour(pixels, BOX, "spotted", "red") is None
    assert edits.recolour(pixels, BOX, "white", "red") is None
    assert edits.rgb_of("crimson") == (220, 20, 60)


def test_another_thing_takes_the_place():
    pixels = draw([thing("ball", "red", BOX)])
    other = draw([thing("cup", "blue", (0, 0, SIDE, SIDE // 2))])[: SIDE // 2]
    changed = edits.replace(pixels, BOX, other)
    assert near(middle(changed, BOX), COLOURS["blue"])
    left, top, width, _ = BOX
    assert near(changed[top + 1, left + width // 2], WALL)  # the ball's upper rim
    assert np.array_equal(changed[:15], pixels[:15])


def test_a_thing_that_is_larger_than_the_picture_is_cut():
    pixels = draw([])
    tall = np.zeros((90, 8, 3), np.uint8)
    changed = edits.replace(pixels[:20], (0, 0, 90, 20), tall)
    assert changed.shape == (20, SIDE, 3)
