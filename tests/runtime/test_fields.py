"""Every settings dataclass of the project refuses what its fields do not declare."""

import contextlib
import dataclasses
import itertools
import json
import math
import typing
from collections.abc import Mapping

import pytest

from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.models.config import VLMConfig
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import Settings, from_dict
from babyvlm_jax.training.settings import TrainSettings
from configs import common
from configs.eval import devcv
from configs.models import MODELS
from configs.prep import saycam
from data_prep.stages.config import BuildConfig
from tests.data_prep.hostile import mutations

DATA = {
    "shards": "s",
    "tokenizer": "t.model",
    "mixture": {"text": 1.0},
    "max_images": 0,
}
RUN = {**common.phase("p", "runs/x", MODELS["nursery"]).to_dict(), "data": DATA}
RUN["parts"] = ("decoder",)
RUN["num_steps"] = 1
NEEDED = {
    "TrainSettings": RUN,
    "DataConfig": DATA,
    "Lesson": {"steps": 1, "mixture": {"text": 1.0}},
    "RecipeSettings": {"order": ("p",), "phases": {"p": RUN}},
    "EvalConfig": {**devcv.get_config().to_dict(), "checkpoint": ".", "shards": "."},
    "BuildConfig": {**saycam.get_config().to_dict(), "raw": "r", "out": "o"},
}
# What may be any number: an offset of scores, thresholds of a user's own scores
FREE = {"bias", "image_threshold", "video_threshold"}
NOT_ONE = {
    int: (1.5, math.nan, math.inf, "1", True, 2**32, -(2**31)),
    float: (math.nan, math.inf, -math.inf, "1", True, 1e39, 1e-39),
    bool: (1, "yes"),
    str: (3, True),
}


def all_settings(base=Settings):
    for cls in base.__subclasses__():
        yield cls
        yield from all_settings(cls)


CLASSES = sorted(all_settings(), key=lambda cls: cls.__name__)


def wrong_values(kind, limits):
    """Values that a field of this type and these limits must refuse."""
    members = typing.get_args(kind) if isinstance(kind, type(int | None)) else (kind,)
    inner = typing.get_args(members[0])
    if type(None) not in members:
        yield None
    if dataclasses.is_dataclass(members[0]):
        yield from (3, {"no_such_field": 1})
    elif typing.get_origin(members[0]) is tuple:
        yield from (3, "abc")
        length = 1 if inner[-1] is Ellipsis else len(inner)
        for wrong in wrong_values(inner[0], limits):
            yield (wrong,) * length
        if inner[-1] is not Ellipsis:
            yield (0.5,) * (length + 1)
    elif typing.get_origin(members[0]) is Mapping:
        yield from (3, (1,))
        for wrong in wrong_values(inner[1], limits):
            yield {"text": wrong}
    elif members[0] is not typing.Any:
        yield from NOT_ONE[members[0]]
        least = 1 if members[0] is int else 1e-6
        outside = {
            "ge": lambda limit: limit - least,
            "gt": lambda limit: limit,
            "le": lambda limit: limit + least,
            "lt": lambda limit: limit,
            "one_of": lambda limit: "no such",
        }
        yield from (outside[name](limit) for name, limit in limits.items())


def test_the_classes_are_those_of_the_project():
    assert {TrainSettings, EvalConfig, BuildConfig} <= set(CLASSES)
    assert len(CLASSES) >= 14


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_field_refuses_what_it_does_not_declare(cls):
    given = NEEDED.get(cls.__name__, {})
    from_dict(cls, given)
    for one in dataclasses.fields(cls):
        limits = one.metadata.get("limits", {})
        wrong = list(wrong_values(one.type, limits))
        if one.metadata.get("filled"):
            wrong += [type(given.get(one.name, one.default))()]
        for value in wrong:
            with pytest.raises(UserError) as told:
                from_dict(cls, {**given, one.name: value}, "config.here")
                pytest.fail(f"{one.name}={value!r} is accepted")
            assert f"config.here.{one.name}" in str(told.value)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_number_has_limits(cls):
    for one in dataclasses.fields(cls):
        kinds = {one.type, *typing.get_args(one.type)}
        limits = one.metadata.get("limits", {})
        if kinds & {int, float} and one.name not in FREE:
            assert limits, one.name
        if float in kinds and one.name not in FREE:  # not only nan and inf are odd
            assert {"ge", "gt"} & {*limits} and {"le", "lt"} & {*limits}, one.name


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("optim.lr_peak", math.nan),
        ("optim.lr_peak", -1.0),
        ("optim.lr_peak", math.inf),
        ("optim.clip_norm", -1.0),
        ("optim.clip_norm", math.nan),
        ("optim.warmup_fraction", 100.0),  # steps where a share is meant
        ("optim.beta2", 1.0),
        ("optim.eps", 0.0),
        ("optim.eps", 1e-60),  # 0 in float32
        ("optim.lr_peak", 1e30),
        ("optim.eps", 1e30),
        ("optim.z_loss", 1e30),
        ("num_steps", 10**30),
        ("optim.trains", ("(",)),
        ("accumulate", 0),
        ("accumulate", -1),
        ("model.decoder.dtype", "fp16"),
        ("model.vision.dtype", "float16"),
        ("model.decoder.width", 0),
        ("model.decoder.num_heads", 0),
        ("model.decoder.width", 250),  # heads of 62.5
        ("model.decoder.head_dim", -1),
        ("model.vision.num_heads", 0),
        ("model.vision.patch_size", 0),
        ("data.mixture", {}),
        ("data.mixture", {"text": 0.0}),
        ("data.lessons", ({"steps": 5},)),
        ("data.lessons", ({"steps": 5, "mixture": {"text": math.nan}},)),
        ("dino.teacher_temperature", 0.0),
        ("contrastive.chunk", 0),
        ("validation.factor", 1.0),
        ("mesh.data", "all"),
    ],
)
def test_a_run_refuses_it_by_name(path, value):
    values = common.phase("p", "runs/x", MODELS["nursery"])
    values.update({"data": DATA, "num_steps": 1, "parts": ("decoder",)})
    values = values.to_dict()
    *sections, name = path.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    with pytest.raises(UserError) as told:
        from_dict(TrainSettings, values)
    assert f"config.{path}" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"optm": {}},
            "config.optm is no key of the config; did you mean config.optim?",
        ),
        (
            {"lr_peak": 1.0},
            "config.lr_peak is no key of the config; did you mean config.optim.lr",
        ),
        ({"optim": {"lr_pek": 1.0}}, "did you mean config.optim.lr_peak?"),
        ({"model": {"decoder": {"family": "rnn"}}}, "config.model.decoder.family is"),
        (
            {"model": {"vision": {"family": "vit", "groups": 2}}},
            "config.model.vision.groups is no key",
        ),
        ({"data": {"shards": "s"}}, "config.data needs tokenizer, mixture; "),
        ({"data": 3}, "config.data is 3; expected a section"),
    ],
)
def test_a_wrong_key_is_told_with_the_nearest(values, told):
    with pytest.raises(UserError) as error:
        from_dict(TrainSettings, {**RUN, **values})
    assert told in str(error.value)


def test_any_json_is_built_or_refused_by_name():
    for content in itertools.islice(
        mutations(dataclasses.asdict(VLMConfig())), 0, None, 2
    ):
        with contextlib.suppress(ValueError, RecursionError):  # no JSON, or a UserError
            from_dict(VLMConfig, json.loads(content))
