"""A mistake in a config is found here, in the words of the run itself."""

import pytest

from babyvlm_jax.aot.chips import parse_slice
from babyvlm_jax.runtime.errors import UserError
from launch.checking import check
from launch.jobs import Job, Run

JOINT = "configs/v2/joint.py:smoke"
V5E_16, V5E_256 = parse_slice("v5litepod-16"), parse_slice("v5e:16x16")


def checked(module, config, *overrides, where=V5E_16, workdir="gs://b/w", **changes):
    command = Run(module, config, workdir, overrides).command
    return check(Job("demo", command, where=where, **changes))


@pytest.mark.integration
def test_a_phase_is_laid_out_over_the_slice_that_is_not_there():
    rows = "--config.data.batch_size=32"
    mesh = ("--config.mesh.data=4", "--config.mesh.fsdp=-1")
    assert checked("train", JOINT, rows, *mesh) == [
        "checked: joint on v5litepod-16, mesh data 4, fsdp 4, tensor 1"
    ]
    two = parse_slice("v5litepod-16", 2)
    assert checked("train", JOINT, rows, where=two) == [
        "checked: joint on 2 x v5litepod-16, mesh data 32, fsdp 1, tensor 1"
    ]
    assert checked("train", JOINT, where=None, gpus=(2, 4)) == [
        "checked: joint on 2 x 4 GPUs, mesh data 8, fsdp 1, tensor 1"
    ]


def test_where_the_devices_are_not_known_the_rest_is_checked():
    (line,) = checked("train", JOINT, where=None)
    assert line.startswith("checked: joint, not its mesh")
    with pytest.raises(UserError, match=r"did you mean config\.optim\.lr_peak"):
        checked("train", JOINT, "--config.optim.lr_peek=1", where=None)


@pytest.mark.integration
def test_every_phase_of_a_recipe_is_checked():
    order = ("language", "joint")
    rows = [f"--config.phases.{name}.data.batch_size=16" for name in order]
    few = f"--config.order={order!r}"
    found = checked("recipe", "configs/v2/recipe.py:smoke", few, *rows)
    assert [line.split()[1] for line in found] == list(order)
    with pytest.raises(UserError, match="batch of 8 rows"):
        checked("recipe", "configs/v2/recipe.py:smoke", few, rows[0])
    with pytest.raises(UserError, match=r"names \['jiont'\]; config.phases has"):
        checked(
            "recipe", "configs/v2/recipe.py:smoke", "--config.order=('joint','jiont')"
        )


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("--config.data.batch_size=12",), "is not divisible by data x fsdp = 16"),
        (("--config.mesh.tensor=3",), "does not fit 16 devices"),
        (("--config.optim.trains=('decodr/.*',)",), "decodr"),
        (("--config.num_steps=0",), "config.num_steps is 0"),
        (("--config.seed=one",), "seed"),
        (("--configs.seed=1",), "configs.seed"),
        (("--config.model.decoder.attention=cudnn",), "on tpu"),
    ],
)
def test_a_mistake_is_told_before_anything_is_created(overrides, said):
    rows = () if "batch_size" in overrides[0] else ("--config.data.batch_size=16",)
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        checked("train", JOINT, *rows, *overrides)


def test_heads_must_divide_as_on_the_slice():
    changes = ("--config.mesh.tensor=16", "--config.mesh.data=1")
    with pytest.raises(UserError, match=r"config.mesh.tensor 16 does not divide"):
        checked("train", JOINT, *changes, where=V5E_16)


def test_a_config_or_workdir_that_is_missing_is_missed():
    with pytest.raises(UserError, match=r"nowhere\.py"):
        checked("train", "configs/nowhere.py")
    with pytest.raises(UserError, match="--workdir is missing"):
        checked("train", JOINT, workdir="")
    with pytest.raises(UserError, match=r"config argument 'daat=x': known are"):
        checked("train", f"{JOINT},daat=x")


def test_an_evaluation_is_checked_without_asking_the_bucket():
    who = "--config.checkpoint=gs://b/v2/instruct/checkpoints/*"
    shards = "--config.shards=gs://b/shards"
    config = "configs/eval/devcv.py"
    assert checked("evaluate", config, who, shards) == [f"checked: {config}"]
    with pytest.raises(UserError, match="cuont"):
        checked("evaluate", config, who, shards, "--config.tasks=('cuont',)")
    with pytest.raises(UserError, match="does not exist"):
        checked("evaluate", config, who, "--config.shards=no/such/folder")


def test_other_commands_are_not_checked():
    assert check(Job("demo", ("true",))) == []
    assert check(Job("demo", ("python", "-m", "babyvlm_jax.chat", "--x"))) == []
