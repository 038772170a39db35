"""Flags, fingerprints and the plan of recordings."""

import collections
import dataclasses

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.nursery import settings as lib

ROOMS = {"train": ["kitchen", "bedroom"], "val": ["bathroom"], "test": ["garden"]}
DEMO = lib.Settings(0, 146, 30.0, (96, 96), 12)


def test_sizes():
    assert lib.parse_size("demo", None, False) == (160, 30.0, 12)
    assert lib.parse_size("small", None, False) == (240, 60.0, None)
    assert lib.parse_size("full", 20, False) == (1440, 60.0, 20)
    assert lib.parse_size("0.5h", None, False) == (60, 30.0, None)
    assert lib.parse_size("3h", None, True) == (180, 60.0, 12)
    for wrong in ("huge", "-1h", "0", "nan"):
        with pytest.raises(UserError, match="--size="):
            lib.parse_size(wrong, None, False)


def test_resolution():
    assert lib.parse_resolution("160x96") == (160, 96)
    for wrong in ("96", "axb", "8x8", "96x96x3", "400x100"):
        with pytest.raises(UserError, match="--resolution="):
            lib.parse_resolution(wrong)


def test_fingerprint():
    assert DEMO.fingerprint == dataclasses.replace(DEMO).fingerprint
    for change in ({"seed": 1}, {"seconds": 60.0}, {"sprites_digest": "x"}):
        assert dataclasses.replace(DEMO, **change).fingerprint != DEMO.fingerprint
    moved = dataclasses.replace(DEMO, sprites="elsewhere")
    assert moved.fingerprint == DEMO.fingerprint


def test_sprite_files(tmp_path):
    for name in ("a.png", "a.ogg", "a.txt"):
        (tmp_path / name).write_bytes(b"1")
    assert set(lib.sprite_files(str(tmp_path))) == {"a.png", "a.txt"}
    with pytest.raises(UserError, match="no such folder"):
        lib.sprite_files(str(tmp_path / "b"))


def test_plan():
    recordings = lib.plan(DEMO, ROOMS)
    names = [recording.recording for recording in recordings]
    assert len(set(names)) == 146
    assert collections.Counter(r.split for r in recordings) == {
        "train": 99,
        "val": 16,
        "test": 31,
    }
    assert {r.child for r in recordings} == set("SAY")
    for recording in recordings:
        assert recording.room in ROOMS[recording.split]
        assert recording.recording.startswith(recording.child + "_20")
    ages = [r.age_days for r in recordings]
    assert ages == sorted(ages) and ages[0] == 183 and ages[-1] == 974
    assert lib.plan(DEMO, ROOMS) == recordings
