"""The published phases: their figures, and that they fit together."""

import importlib
import json

import pytest

from babyvlm_jax import sharding
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.training import settings
from configs import v1, v2
from tests import tiny

PHASES = [
    *(
        ("v2", name)
        for name in ("language", "vision", "connector", "joint", "instruct")
    ),
    *(("v1", name) for name in ("language", "connector", "joint")),
]


def phase(version: str, name: str, arg: str = "") -> settings.TrainSettings:
    module = importlib.import_module(f"configs.{version}.{name}")
    return settings.from_config(json.loads(module.get_config(arg).to_json()))


def recipe(version: str, arg: str):
    return importlib.import_module(f"configs.{version}.recipe").get_config(arg)


# global batch in examples, epochs, peak rate, as published with V2 and V1
@pytest.mark.parametrize(
    ("version", "name", "arg", "steps", "lr_peak"),
    [
        # 283,000 x 11.3 tokens x 10 / (4 x 4 x 8192)
        ("v2", "language", "", 244, 2e-4),
        ("v2", "language", "lr=2e-5,epochs=5", 122, 2e-5),
        ("v2", "vision", "", 190_000, 1e-4),
        ("v2", "connector", "", 30_000, 3e-3),  # 768,000 x 5 / 128
        ("v2", "joint", "", 20_391, 2e-4),  # 1,012,000 x 5 / 248.2
        ("v2", "joint", "row=2048,lr=2e-3", 20_955, 2e-3),
        ("v2", "instruct", "", 4_303, 5e-5),  # 113,211 x 5 / 131.568
        ("v2", "instruct", "epochs=10", 8_605, 5e-5),
        ("v2", "instruct", "task=count", 2_140, 1e-4),  # 13,695 x 20 / 128
        # 37,486 x 11.3 tokens x 10 / (32 x 1024)
        ("v1", "language", "", 130, 5e-4),
        ("v1", "connector", "", 2_094, 3e-3),  # 67,000 x 5 / 160
        ("v1", "connector", "lr=3e-4,examples=640", 524, 3e-4),
        ("v1", "joint", "", 1_309, 2e-3),  # 67,000 x 5 / 256
        ("v1", "joint", "lr=2e-4,examples=128,epochs=10", 5_235, 2e-4),
    ],
)
def test_the_published_figures(version, name, arg, steps, lr_peak):
    run = phase(version, name, arg)
    assert (run.num_steps, run.optim.lr_peak) == (steps, lr_peak)
    assert run.optim.name == "adamw"
    assert (run.optim.beta1, run.optim.eps, run.optim.clip_norm) == (0.9, 1e-8, 1.0)
    language = name == "language"
    assert run.optim.beta2 == (0.95 if language else 0.999)
    assert run.optim.weight_decay == (0.1 if language else 0.0)
    assert run.optim.schedule == ("constant" if name == "vision" else "cosine")
    assert run.optim.warmup_fraction == (0.0 if name == "vision" else 0.03)


WHOLE = ("vision", "connector", "decoder")


@pytest.mark.parametrize(
    ("name", "parts", "trains"),
    [
        ("language", ("decoder",), (".*",)),
        ("vision", ("vision",), ("vision/.*", "head/.*")),
        ("connector", WHOLE, ("connector/.*",)),
        ("joint", WHOLE, ("connector/.*", "decoder/.*")),
        ("instruct", WHOLE, (".*",)),
    ],
)
def test_each_phase_trains_what_it_should(name, parts, trains):
    for version in (version for version, known in PHASES if known == name):
        run = phase(version, name)
        assert (run.parts, run.optim.trains) == (parts, trains)


@pytest.mark.parametrize(("version", "name"), PHASES)
@pytest.mark.parametrize("smoke", [False, True])
def test_pictures_rows_and_model_fit_together(version, name, smoke):
    sizes = {"v1": v1, "v2": v2}[version].SIZES
    for size in sizes:
        run = phase(version, name, f"size={size}" + ",smoke" * smoke)
        assert run.name == name
        assert run.data.image_size == run.model.vision.image_size
        assert run.data.tokens_per_image == run.model.tokens_per_image
        pictures = run.data.max_images * run.data.tokens_per_image
        assert run.loss == "dino" or pictures < run.data.seq_len
        assert (run.num_steps < 10) == smoke
        # a slice of 16 chips, or the 8 devices of these tests
        devices = 8 if smoke or run.loss == "dino" else 16
        assert run.data.batch_size % devices == 0
        sharding.check_batch(run.data.batch_size, tiny.mesh_of(data=8))


@pytest.mark.parametrize(
    ("version", "name", "arg", "examples"),
    [
        ("v2", "connector", "", 128),  # 32 on each of 4 GPUs
        ("v1", "connector", "", 160),
        ("v1", "connector", "size=v1-llama,examples=256", 256),
        ("v1", "joint", "", 256),
        ("v1", "joint", "examples=512", 512),
    ],
)
def test_rows_of_pairs_hold_the_original_s_batch(version, name, arg, examples):
    data = phase(version, name, arg).data
    assert data.batch_size * data.max_images == examples
    # an utterance of mean length fits beside each picture
    room = data.seq_len - data.max_images * data.tokens_per_image
    assert room >= 12 * data.max_images
    assert data.seq_len % 128 == 0  # blocks of the kernels


@pytest.mark.parametrize(
    ("task", "rows", "seq_len", "max_images"),
    [
        ("count", 16, 2176, 8),  # 8 x (197 + 60) = 2056
        ("vdr_open", 16, 12_416, 60),  # 8 x (7.5 x 197 + 60) = 12,300
        ("memory", 128, 6144, 29),  # 29 x 197 + 400 = 6113
    ],
)
def test_a_task_by_itself_has_rows_of_its_own(task, rows, seq_len, max_images):
    data = phase("v2", "instruct", f"task={task}").data
    assert (data.batch_size, data.seq_len, data.max_images) == (
        rows,
        seq_len,
        max_images,
    )


def test_instruct_has_the_tuned_tasks_and_no_held_out_one():
    data = phase("v2", "instruct").data
    tuned = {f"devcv_{name}" for name, task in TASKS.items() if not task.held_out}
    assert set(data.mixture) == tuned
    assert sum(data.mixture.values()) == 113_211
    assert set(phase("v2", "instruct", "task=count").data.mixture) == {"devcv_count"}


@pytest.mark.parametrize(
    ("version", "order"),
    [
        ("v2", ["language", "vision", "connector", "joint", "instruct"]),
        ("v1", ["language", "connector", "joint"]),
    ],
)
def test_recipes_start_phases_from_those_before(version, order):
    config = recipe(version, "data=runs/demo")
    assert list(config.order) == order
    outside = set()
    for place, name in enumerate(order):
        assert config.phases[name].data.shards == "runs/demo/shards"
        for source in config.phases[name].warm_start.values():
            folder, _, before = source.partition(":")[0].rpartition("/")
            assert folder == "{workdir}"
            if before in order:
                assert order.index(before) < place
            else:
                outside.add(before)
    assert outside == ({"vision"} if version == "v1" else set())


def test_a_smoke_recipe_draws_what_it_would_take_from_outside():
    phases = recipe("v1", "smoke").phases
    assert dict(phases.connector.warm_start) == {"decoder": "{workdir}/language"}
    assert set(phases.joint.warm_start) == {"vision", "connector", "decoder"}


def test_an_encoder_from_elsewhere():
    sources = phase("v2", "connector", "vision=runs/eyes,root=a").warm_start
    assert sources == {"decoder": "a/language", "vision": "runs/eyes"}
    assert phase("v2", "connector").warm_start["vision"].endswith(":teacher/vision")


def test_a_value_that_the_original_did_not_try():
    with pytest.raises(ValueError, match="lr='1e-3' is not one of"):
        phase("v2", "joint", "lr=1e-3")
    with pytest.raises(ValueError, match="task='subitize' is not one of"):
        phase("v2", "instruct", "task=subitize")
