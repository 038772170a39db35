"""Where things stand, how the camera moves, and that boxes lie around the things."""

import itertools

import numpy as np
import pytest
from PIL import Image

from data_prep.nursery import layout, rooms
from data_prep.nursery.camera import DIRECTIONS, Camera
from data_prep.nursery.catalogue import DrawnWorld, Thing
from data_prep.nursery.layout import Placed, Scene, make_scene
from data_prep.nursery.render import Stage

WORLD = DrawnWorld(seed=0, num_categories=12)


def _scene(seed=0):
    return make_scene(WORLD, "train", np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_things_stand_apart(seed):
    scene = _scene(seed)
    assert 12 <= len(scene.placed) <= 16
    for a, b in itertools.combinations(scene.placed, 2):
        gap = max(abs(a.x - b.x), abs(a.y - b.y)) - (a.length + b.length) / 2
        assert gap > 0
    assert 2 <= max(scene.count(p.thing.category) for p in scene.placed) <= 4


def test_scene_lookup():
    scene = _scene()
    first = scene.placed[0]
    assert scene.at(first.column, first.row) is first
    assert scene.at(99, 0) is None
    with pytest.raises(ValueError, match="dev"):
        make_scene(WORLD, "dev", np.random.default_rng(0))


class _Squares:
    """A world of solid black squares."""

    def picture(self, thing):
        del thing
        return Image.new("RGBA", (50, 50), (0, 0, 0, 255))


@pytest.fixture(scope="module")
def stage():
    placed = Placed(Thing("square", "medium"), 1, 1, x=3.0, y=4.0, length=0.5)
    rng = np.random.default_rng(0)
    return Stage(_Squares(), Scene((placed,)), rooms.ROOMS[0], (64, 48), rng)


def test_boxes(stage):
    # Shorter side 48 px = 2 cells, so a cell is 24 px and the square 12 px.
    poses = np.array(
        [
            [3.0, 4.0, 2.0, 0.0],  # centred: 64/2 - 6 = 26, 48/2 - 6 = 18
            [3.0 + 64 / 48, 4.0, 2.0, 0.0],  # centre on the left border: half is seen
            [3.0, 6.0, 2.0, 0.0],  # far above the frame
        ]
    )
    boxes, visible = stage.boxes(poses)
    assert boxes.shape == (3, 1, 4) and visible.shape == (3, 1)
    # Half a pixel of the plane (52.8 px a cell) is a quarter pixel of the frame.
    np.testing.assert_allclose(boxes[0, 0], [26, 18, 38, 30], atol=0.5)
    np.testing.assert_allclose(boxes[1, 0], [0, 18, 6, 30], atol=0.5)
    np.testing.assert_allclose(visible[:, 0], [1, 0.5, 0], atol=0.05)


@pytest.mark.parametrize("roll", [0.0, 0.3])
@pytest.mark.parametrize("view", [1.0, 2.0, 4.0])
def test_frame_agrees_with_boxes(stage, roll, view):
    pose = np.array([3.1, 4.1, view, roll])
    frame = stage.frame(pose, 1.0)
    assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
    y, x = np.nonzero(frame.mean(-1) < 110)
    box = stage.boxes(pose[None])[0][0, 0]
    seen = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    np.testing.assert_allclose(seen, box, atol=1.2)  # one pixel of blur


def test_brightness(stage):
    pose = np.array([3.0, 4.0, 2.0, 0.0])
    assert stage.frame(pose, 0.9).mean() < stage.frame(pose, 1.0).mean()


def test_all_shots_and_directions():
    shots = []
    for index in range(24):
        rng = np.random.default_rng(index)
        shots += Camera(_scene(index), 30.0, 1.0, index, rng).shots
    kinds = {shot.kind for shot in shots}
    assert kinds == {"approach", "scan", "group", "pan", "wide", "away"}
    directions = [shot.direction for shot in shots if shot.kind == "pan"]
    counts = [directions.count(name) for name in DIRECTIONS]
    assert min(counts) >= 2 and max(counts) - min(counts) <= 3


@pytest.mark.integration
@pytest.mark.parametrize("resolution", [(96, 96), (160, 90)])
def test_what_shots_show(resolution):
    """Pans lose their target on the named side; the others hold theirs in view."""
    width, height = resolution
    seen = set()
    for index in range(8):
        rng = np.random.default_rng(index)
        scene = _scene(index)
        camera = Camera(scene, 30.0, width / height, index, rng)
        stage = Stage(WORLD, scene, rooms.ROOMS[0], resolution, rng)
        for shot in camera.shots:
            times = np.linspace(shot.start_s, shot.end_s, 50)
            boxes, visible = stage.boxes(camera.poses(times))
            for target in shot.targets:
                place = scene.placed.index(target)
                if shot.kind != "pan":
                    assert visible[25, place] > 0.75
                    continue
                # 6 degrees of roll and the shake may keep a corner in the frame.
                assert visible[0, place] == 1 and visible[-1, place] < 0.1
                last = np.nonzero(visible[:, place] > 0.2)[0][-1]
                left, top, right, bottom = boxes[last, place]
                dx, dy = DIRECTIONS[shot.direction]
                assert (left == 0) == (dx < 0) and (right == width) == (dx > 0)
                assert (top == 0) == (dy < 0) and (bottom == height) == (dy > 0)
                seen.add(shot.direction)
    assert seen == set(DIRECTIONS)


@pytest.mark.parametrize("aspect", [1.0, 16 / 9, 9 / 16])
def test_camera_stays_in_the_room(aspect):
    wide, high = max(aspect, 1.0), max(1 / aspect, 1.0)
    for index in range(8):
        rng = np.random.default_rng(index)
        camera = Camera(_scene(index), 60.0, aspect, index, rng)
        x, y, view, _ = camera.poses(np.arange(0, 60, 0.2)).T
        assert (x - view * wide / 2).min() > -0.1
        assert (x + view * wide / 2).max() < layout.WIDTH + 0.1
        assert (y - view * high / 2).min() > -0.1
        assert (y + view * high / 2).max() < layout.HEIGHT + 0.1
