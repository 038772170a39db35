import dataclasses

import pytest

from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import from_dict
from configs.prep import nursery, saycam
from data_prep.stages.config import BuildConfig

PLACES = {"raw": "in", "out": "there"}


def _values(**changes):
    return {**nursery.get_config().to_dict(), **PLACES, **changes}


@pytest.mark.parametrize(("module", "frames"), [(nursery, 4), (saycam, 8)])
def test_shipped_configs_hold_the_official_rules(module, frames):
    config = from_dict(BuildConfig, {**module.get_config().to_dict(), **PLACES})
    assert (config.min_duration_s, config.min_confidence, config.pad_s) == (0.5, 0.3, 1)
    assert (config.image_fps, config.window_min, config.window_max) == (1, 4, 8)
    assert (config.image_threshold, config.video_threshold) == (0.2, 0.1)
    assert config.frames_per_clip == frames
    with pytest.raises(UserError, match="takes no argument, got 'x'"):
        module.get_config("x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_max": 3}, "config.window_max is 3; expected window_min 4"),
        ({"scorer": "clap"}, "config.scorer is 'clap'; expected one of"),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(UserError) as caught:
        from_dict(BuildConfig, _values(**changes))
    assert message in str(caught.value)


def test_content_is_settings_not_places():
    config = from_dict(BuildConfig, _values())
    same = dataclasses.replace(config, raw="x", out="y", num_processes=7)
    assert same.content() == config.content()
    assert dataclasses.replace(config, seed=1).content() != config.content()
