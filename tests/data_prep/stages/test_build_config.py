import dataclasses

import pytest

from babyvlm_jax.errors import UserError
from configs.prep import nursery, saycam
from data_prep.stages.config import BuildConfig

PLACES = {"raw": "in", "out": "there"}


def _values(**changes):
    return {**nursery.get_config().to_dict(), **PLACES, **changes}


@pytest.mark.parametrize(("module", "frames"), [(nursery, 4), (saycam, 8)])
def test_shipped_configs_hold_the_official_rules(module, frames):
    config = BuildConfig.from_mapping({**module.get_config().to_dict(), **PLACES})
    assert (config.min_duration_s, config.min_confidence, config.pad_s) == (0.5, 0.3, 1)
    assert (config.image_fps, config.window_min, config.window_max) == (1, 4, 8)
    assert (config.image_threshold, config.video_threshold) == (0.2, 0.1)
    assert config.frames_per_clip == frames
    with pytest.raises(UserError, match="takes no argument, got 'x'"):
        module.get_config("x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"raw": ""}, "add --config.raw=DIR"),
        ({"out": ""}, "add --config.out=DIR"),
        ({"frames_per_clip": 0}, "--config.frames_per_clip=0: expected at least 1"),
        ({"image_fps": 0.0}, "--config.image_fps=0.0: expected above 0"),
        ({"pad_s": -1.0}, "--config.pad_s=-1.0: expected at least 0"),
        ({"window_max": 3}, "--config.window_max=3: expected >= window_min"),
        ({"jpeg_quality": 100}, "expected 1 to 95"),
        ({"scorer": "clap"}, "--config.scorer='clap': expected one of"),
        ({"colour": 1}, "unknown: ['colour'], missing: []"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(UserError) as caught:
        BuildConfig.from_mapping(_values(**changes))
    assert message in str(caught.value)


def test_content_is_settings_not_places():
    config = BuildConfig.from_mapping(_values())
    same = dataclasses.replace(config, raw="x", out="y", num_processes=7)
    assert same.content() == config.content()
    assert dataclasses.replace(config, seed=1).content() != config.content()
