"""Every shipped config loads, and what it trains is of the size that it says."""

import dataclasses
import importlib
import json
import pathlib
import re
import runpy

import jax
import ml_collections
import pytest

from babyvlm_jax import sharding
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.models.config import VLMConfig
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime import command
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import add_default, from_dict
from babyvlm_jax.training import settings
from configs import common, models, nursery, resolved
from configs.v1 import nursery as v1_nursery
from configs.v1 import recipe as v1_recipe
from data_prep.stages.config import BuildConfig
from tests import tiny

CONFIGS = sorted(pathlib.Path(common.__file__).parent.rglob("*.py"))
NAMES = [
    ".".join(path.relative_to(CONFIGS[0].parents[1]).with_suffix("").parts)
    for path in CONFIGS
    if path.stem not in ("__init__", "common", "models", "official", "resolved")
]


@pytest.mark.parametrize("name", NAMES)
def test_each_config_loads_and_survives_json(name):
    config = importlib.import_module(name).get_config("")
    assert isinstance(config, ml_collections.ConfigDict)
    assert json.loads(config.to_json())


def settings_of(config) -> type | None:
    """The dataclass that a config is read into."""
    of = {
        "phases": settings.RecipeSettings,
        "model": settings.TrainSettings,
        "checkpoint": EvalConfig,
        "raw": BuildConfig,
    }
    return next((cls for key, cls in of.items() if key in config), None)


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_can_override_each_field_of_each_config(name, monkeypatch):
    """All flags at once, each with the value that the field has."""
    config = importlib.import_module(name).get_config()
    cls = settings_of(config)
    if cls is None:
        return
    places = {EvalConfig: ("checkpoint", "shards"), BuildConfig: ("raw", "out")}
    given = dict.fromkeys(places.get(cls, ()), ".")
    made = from_dict(cls, {**config.to_dict(), **given})
    flat = settings.flatten(dataclasses.asdict(made))
    values = {key: value for key, value in flat.items() if value is not None}
    if "phases" in config:  # the last one stands for all
        last = f"phases.{config.order[-1]}."
        values = {k: v for k, v in values.items() if k.startswith((last, "seed"))}
    assert cls is not settings.TrainSettings or "optim.z_loss" in values
    flags = [f"--config.{key}={value}" for key, value in values.items()]
    path = name.replace(".", "/") + ".py"
    words, got = ["command", f"--config={path}", *flags], []
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        command.run_config_command("", got.append, cls, workdir=False)
    assert ended.value.code == 0
    assert from_dict(cls, got[0].to_dict()) == made


@pytest.mark.parametrize(
    ("module", "cls"),
    [
        ("babyvlm_jax.train", settings.TrainSettings),
        ("babyvlm_jax.features", settings.TrainSettings),
        ("babyvlm_jax.compile_check", settings.TrainSettings),
        ("babyvlm_jax.recipe", settings.RecipeSettings),
        ("babyvlm_jax.evaluate", EvalConfig),
        ("data_prep.build", BuildConfig),
    ],
)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_each_command_completes_its_config(module, cls, monkeypatch):
    """One that did not name its settings would refuse what its file leaves out."""
    called = []

    def record(doc, main, settings=None, **rest):
        called.append(settings)

    monkeypatch.setattr(command, "run_config_command", record)
    monkeypatch.setattr("sys.argv", [module])
    runpy.run_module(module, run_name="__main__")
    assert [one.__name__ for one in called] == [cls.__name__]


def test_each_key_that_the_docs_name_is_one():
    """`--config.a.b`, `config.a.b`, and `section.b` of a section of settings."""
    root = pathlib.Path(common.__file__).parents[1]
    classes = settings.TrainSettings, EvalConfig, BuildConfig, settings.RecipeSettings
    sections = "data|optim|model|dino|contrastive|validation|mesh"
    named = rf"\bconfig\.((?!json|py)[a-z_.]*[a-z_])|`((?:{sections})\.(?!py)[a-z_.]+)`"
    unknown = []
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        for match in re.finditer(named, page.read_text()):
            key = match[1] or match[2]
            key = re.sub(r"^phases\.[a-z]+\.", "", key)
            if not any(is_key(cls, key) for cls in classes):
                unknown.append(f"{page.name}: {key}")
    assert not unknown


def is_key(cls, key: str) -> bool:
    try:
        add_default(ml_collections.ConfigDict(), cls, key.split("."))
    except UserError:
        return False
    return True


@pytest.mark.parametrize("arg", ["", "smoke", "blank"])
@pytest.mark.parametrize("phase", nursery.PHASES)
def test_each_phase_of_the_nursery_is_whole(phase, arg):
    config = nursery.get_config(f"phase={phase},root=runs/demo,{arg}")
    run = settings.from_config(json.loads(config.to_json()))
    assert run.name == phase
    assert run.data.image_size == run.model.vision.image_size
    assert run.data.tokens_per_image == run.model.tokens_per_image
    assert run.data.seq_len <= run.model.decoder.max_len
    assert run.data.blank_images == (arg == "blank" and phase in ("joint", "instruct"))
    assert (run.num_steps < 10) == (arg == "smoke")
    batch = run.data.batch_size // run.accumulate
    sharding.check_batch(batch, tiny.mesh_of())


@pytest.mark.parametrize("phase", v1_nursery.PHASES)
def test_each_phase_of_v1_s_nursery_is_whole(phase):
    for arg in ("nursery", "nursery,smoke", "nursery,pairs=filtered-aug"):
        config = v1_recipe.get_config(f"{arg},data=runs/demo").phases[phase]
        run = settings.from_config(json.loads(config.to_json()))
        assert run.data.image_size == run.model.vision.image_size
        assert run.data.tokens_per_image == run.model.tokens_per_image
        assert run.data.seq_len <= run.model.decoder.max_len
        assert run.data.tokenizer == "runs/demo/words.txt"
        assert (run.num_steps < 10) == ("smoke" in arg)
        if phase in ("connector", "joint", "contrastive"):
            transferred = {"filtered": 1.0, "transferred": 1.0}
            built = {"image_utterance": 1.0}
            assert run.data.mixture == (transferred if "aug" in arg else built)


@pytest.mark.parametrize(
    ("config", "phases"),
    [
        (nursery.get_config("root=runs/demo"), nursery.PHASES),
        (v1_recipe.get_config("nursery"), v1_nursery.PHASES),
    ],
)
def test_phases_start_from_phases_before_them(config, phases):
    order = list(config.order)
    assert order == list(phases)
    for place, name in enumerate(order):
        for source in config.phases[name].warm_start.values():
            _, _, phase = source.partition(":")[0].rpartition("/")
            assert order.index(phase) < place


def test_the_nursery_s_model_has_the_size_it_should():
    cfg = from_dict(VLMConfig, models.MODELS["nursery"])
    with jax.set_mesh(tiny.mesh_of()):
        params = jax.eval_shape(make_model(cfg).init, jax.random.key(0))
    vit, link, text = cfg.vision, cfg.connector, cfg.decoder
    d, f, channels = vit.width, vit.mlp_dim, vit.stem_channels
    convs = (vit.patch_size**2 * 3 + 1) * channels + (9 * channels + 1) * d
    layer = 4 * (d + 1) * d + (d + 1) * f + (f + 1) * d + 4 * d
    vision = convs + d + vit.num_tokens * d + vit.num_layers * layer + 2 * d
    width, out = link.hidden_dim, link.tokens_per_image * text.width
    connector = (vit.num_tokens * d + 1) * width + (width + 1) * out
    connector += link.num_ordinals * text.width
    d, f, h = text.width, text.mlp_dim, text.head_dim
    assert text.qk_norm
    assert text.tied
    layer = 2 * d * h * (text.num_heads + text.num_kv_heads) + 3 * d * f + 2 * d + 2 * h
    decoder = text.num_layers * layer + d + text.padded_vocab_size * d
    assert {part: tiny.count(tree) for part, tree in params.items()} == {
        "vision": vision,
        "connector": connector,
        "decoder": decoder,
    }


@pytest.mark.parametrize("size", ["small", "v2"])
def test_phases_fit_a_larger_model(size):
    for phase in nursery.PHASES:
        config = nursery.get_config(f"phase={phase},root=runs/demo,size={size}")
        run = settings.from_config(json.loads(config.to_json()))
        assert run.data.image_size == run.model.vision.image_size
        assert run.data.tokens_per_image == run.model.tokens_per_image
        assert run.data.seq_len <= run.model.decoder.max_len
    # A memory dialogue fits: 29 pictures and its words.
    assert run.data.seq_len > 29 * run.model.tokens_per_image + 500


def test_small_is_small_and_v2_is_the_published_model():
    small = from_dict(VLMConfig, models.MODELS["small"])
    with jax.set_mesh(tiny.mesh_of()):
        params = jax.eval_shape(make_model(small).init, jax.random.key(0))
    assert {part: tiny.count(tree) for part, tree in params.items()} == {
        "vision": 14_567_808,
        "connector": 590_976,
        # 8 (8 x 2 x 384 x 64 + 3 x 384 x 1024 + 2 x 384 + 2 x 64) + 384 + 6016 x 384
        "decoder": 14_900_608,
    }
    assert from_dict(VLMConfig, models.MODELS["v2"]) == VLMConfig()


@pytest.mark.parametrize("size", sorted(models.MODELS))
def test_flags_can_say_how_a_decoder_computes(size):
    config = nursery.get_config(f"phase=joint,root=runs/demo,size={size}")
    assert {"attention", "remat", "logits_chunk"} <= set(config.model.decoder)
    assert config.model.decoder.attention == "auto"
    assert config.model.decoder.remat == ("none" if "nursery" in size else "full")


def test_a_size_or_phase_that_is_not_there():
    with pytest.raises(ValueError, match="size='huge' is not one of"):
        nursery.get_config("size=huge")
    with pytest.raises(ValueError, match="phase='grade' is not one of"):
        nursery.get_config("phase=grade")


def test_a_resolved_config_is_what_the_file_says(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": {"b": 1}}')
    assert resolved.get_config(str(path)).a.b == 1


def test_parse_arg():
    assert common.parse_arg("size=big,fast", size="small", fast=False) == {
        "size": "big",
        "fast": True,
    }
    assert common.parse_arg("", size="small") == {"size": "small"}
    with pytest.raises(ValueError, match=r"'speed=9': known are \['size'\]"):
        common.parse_arg("speed=9", size="small")


def test_a_folder_that_is_there_may_have_commas_in_its_name(tmp_path):
    folder = tmp_path / "a,b, c=d"
    folder.mkdir()
    known = {"root": "", "smoke": False, "size": ("v1", "v2")}
    for arg in (f"root={folder},smoke,size=v2", f"smoke,size=v2,root={folder}"):
        found = common.parse_arg(arg, **known)
        assert found == {"root": str(folder), "smoke": True, "size": "v2"}
    for arg in (f"data={folder}", f"data={folder},smoke", f"smoke,data={folder}"):
        c = v1_recipe.get_config(f"{arg},nursery")
        assert c.phases.joint.data.shards == f"{folder}/shards"
        c = v1_recipe.get_config(f"size=v1,{arg}")
        assert c.phases.joint.data.shards == f"{folder}/shards"
    with pytest.raises(ValueError, match="config argument 'b': known are"):
        common.parse_arg("root=/nowhere/a,b", **known)


def test_parse_arg_reads_numbers_and_knows_what_may_be_chosen():
    known = {"lr": (2e-4, 2e-5), "records": 100}
    assert common.parse_arg("", **known) == {"lr": 2e-4, "records": 100}
    found = common.parse_arg("lr=2e-5,records=7", **known)
    assert found == {"lr": 2e-5, "records": 7}
    with pytest.raises(ValueError, match=r"lr='1e-3' is not one of \[2e-05, 0.0002\]"):
        common.parse_arg("lr=1e-3", **known)
    with pytest.raises(ValueError, match="records='many' is not a number"):
        common.parse_arg("records=many", **known)


def test_steps_show_each_record_as_often_as_said():
    assert common.steps(5, 100, 32) == 16
