"""Rooms are light, and those of val and test are not those of train."""

import numpy as np
import pytest

from data_prep.nursery import layout, rooms


def test_six_rooms():
    splits = {room.name: room.split for room in rooms.ROOMS}
    assert splits == {
        "kitchen": "train",
        "bedroom": "train",
        "living room": "train",
        "playroom": "train",
        "bathroom": "val",
        "garden": "test",
    }


@pytest.mark.parametrize("room", rooms.ROOMS, ids=lambda room: room.name)
def test_light_and_low_in_contrast(room):
    image = np.asarray(rooms.paint(room, 20.0, np.random.default_rng(0)), float)
    assert image.shape == (round(layout.HEIGHT * 20), round(layout.WIDTH * 20), 3)
    grey = image.mean(-1)
    assert grey.min() > 150
    for half in (grey[:70], grey[90:]):
        assert half.std() < 12


def test_a_train_room_changes():
    paint = rooms.paint
    a, b = (
        np.asarray(paint(rooms.ROOMS[0], 20.0, np.random.default_rng(seed)), float)
        for seed in (0, 1)
    )
    assert np.abs(a - b).mean() > 5
