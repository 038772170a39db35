"""Phases in order, each in its place, finished ones skipped."""

import json
import math
import pathlib

import jax
import ml_collections
import pytest

from babyvlm_jax import recipe
from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import phases, settings
from tests import tiny_run
from tests.chosen import some

pytestmark = pytest.mark.usefixtures("own_signals")

ORDER = ("first", "second", "third")
WORLD = tiny_run.World("{workdir}/shards", "{workdir}/t.model")


def config(**changes):
    c = ml_collections.ConfigDict()
    c.seed = 3
    c.order = ORDER
    phase = tiny_run.config(WORLD).to_dict()
    phase["warm_start"] = {"vision": "{workdir}/vision:teacher/vision"}
    c.phases = dict.fromkeys(ORDER, phase)
    c.update(changes)
    return c


@pytest.fixture(params=[True, False])
def phases_run(monkeypatch, request):
    """Names of the phases that were run; each one claims its folder and finishes.

    Once in one process, which trains as a host without accelerators does, and once as
    others do.
    """
    names = []

    def train(flags):
        config, workdir = (pathlib.Path(flag.split("=", 1)[1]) for flag in flags)
        phase = pathlib.Path(str(config).rpartition(":")[2]).read_text()
        names.append(workdir.name)
        workdir.mkdir(exist_ok=True)
        if workdir.name == "broken":
            return 78
        (workdir / "config.json").write_text(phase)
        (workdir / "metrics.jsonl").touch()
        (workdir / "done.json").write_text("{}")
        return 0

    class Child:
        def run(self, command):
            module, *arguments = command[2:]
            if module == "babyvlm_jax.train":
                return train(arguments)
            assert ("--check" in arguments) != request.param
            try:
                phases.main(arguments)
            except SystemExit as end:
                return end.code
            return 0

    monkeypatch.setattr(recipe.processes, "Child", Child)
    monkeypatch.setattr(recipe, "has_no_accelerator", lambda: request.param)
    monkeypatch.setattr(phases, "check_phases", lambda *args: None)
    monkeypatch.setattr(phases, "run_train", train)
    return names


@pytest.mark.parametrize(
    ("platforms", "plugin", "none"),
    [("cpu", True, True), ("tpu,cpu", False, False), ("", True, False)],
)
def test_one_process_trains_all_phases_only_where_no_accelerator_can_be(
    monkeypatch, platforms, plugin, none
):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(recipe.importlib.util, "find_spec", lambda name: plugin or None)
    assert recipe.has_no_accelerator() == none


def test_a_signal_in_the_last_step_of_a_phase_stops_the_recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(phases, "run_train", lambda flags: 0)
    monkeypatch.setattr(processes.StopSignal, "was_asked", True)
    with pytest.raises(SystemExit) as stop:
        phases.train_all(json.loads(config().to_json()), tmp_path)
    assert stop.value.code == 75


def test_place_puts_in_the_seed_and_the_real_paths():
    folder = 'runs/a "b"'
    phase = settings.place(json.loads(config().to_json()), "first", folder)
    assert (phase["seed"], phase["data"]["seed"]) == (3, 3)
    assert phase["data"]["shards"] == f"{folder}/shards"
    assert phase["warm_start"] == {"vision": f"{folder}/vision:teacher/vision"}


def test_all_phases_run_in_order_and_only_once(tmp_path, phases_run, capsys):
    recipe.main(config(), str(tmp_path / "new"))
    assert phases_run == list(ORDER)
    recipe.main(config(), str(tmp_path / "new"))
    assert phases_run == list(ORDER)
    assert capsys.readouterr().out.count("already finished") == 3


def test_only_the_unfinished_phases_run_again(tmp_path, phases_run):
    recipe.main(config(), str(tmp_path))
    (tmp_path / "second" / "done.json").unlink()
    recipe.main(config(), str(tmp_path))
    assert phases_run == [*ORDER, "second"]


def test_a_finished_phase_whose_data_moved_is_compared_by_train(tmp_path, phases_run):
    recipe.main(config(), str(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    recipe.main(config(), str(tmp_path / "new"))
    assert phases_run == [*ORDER, *ORDER]


def test_a_phase_that_fails_ends_the_recipe_with_its_code(tmp_path, phases_run):
    order = ("first", "broken", "third")
    phases = {name: config().phases.first.to_dict() for name in order}
    with pytest.raises(SystemExit) as stop:
        recipe.main(config(order=order, phases=phases), str(tmp_path))
    assert stop.value.code == 78
    assert phases_run == ["first", "broken"]


def test_a_finished_phase_of_another_config_is_refused(tmp_path, phases_run):
    recipe.main(config(), str(tmp_path))
    with pytest.raises(UserError, match=r"another config: data\.seed is 3 there and 4"):
        recipe.main(config(seed=4), str(tmp_path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A work directory with data, and a recipe of three phases that can be trained."""
    folder = tmp_path_factory.mktemp("whole")
    world = tiny_run.make_world(folder)
    phases = {
        "vision": tiny_run.vision_config(world),
        "joint": tiny_run.config(world),
        "instruct": tiny_run.config(world),
    }
    phases["joint"].warm_start = {"vision": "{workdir}/vision:teacher/vision"}
    phases["instruct"].warm_start = {"decoder": "{workdir}/joint"}
    c = ml_collections.ConfigDict({"seed": 1, "order": tuple(phases)})
    c.phases = {name: phase.to_dict() for name, phase in phases.items()}
    return folder, c.to_json()


# phase and key -> a wrong value, and what is told of it
FAULTS = (
    {
        "vision.data.mixture": ({"nowhere": 1.0}, "vision: no dataset 'nowhere' in "),
        "joint.data.tokenizer": ("no.model", "joint: no"),
        "joint.data.features": ("no", "joint: config.data.features no has no"),
        "joint.optim.trains": (("ears/.*",), "'ears/.*' matches no parameter"),
        "joint.warm_start.vision": ("{workdir}/vision:eyes", "has shape None"),
        "instruct.data.mixture": ({"no": 1.0}, "instruct: no dataset 'no' in "),
    },
    {
        "joint.optim.lr_peak": (math.nan, "joint: config.optim.lr_peak is nan"),
        "instruct.data.split": ("exam", "instruct: dataset 'image_utterance' has no "),
        "instruct.warm_start.vision": ("{workdir}/other", "other has no checkpoint"),
    },
    {
        "joint.model.vision.mlp_dim": (64, "joint: config.warm_start.vision: "),
        "joint.model.decoder.vocab_size": (9, "vocab_size is 9, but the tokenizer"),
        "joint.warm_start.decoder": ("{workdir}/instruct", "no phase before makes it"),
        "instruct.data.tokens_per_image": (4, "instruct: config.data.tokens_per_image"),
    },
)


@pytest.mark.parametrize("faults", some(FAULTS, FAULTS[:1]))
def test_the_faults_of_all_phases_are_found_before_the_first(whole, faults):
    folder, resolved = whole
    values = json.loads(resolved)
    for path, (value, _) in faults.items():
        phase, *sections, name = path.split(".")
        place = values["phases"][phase]
        for section in sections:
            place = place[section]
        place[name] = value
    with pytest.raises(UserError) as error:
        phases.check_phases(values, folder)
    for _, told in faults.values():
        assert told in str(error.value)
    assert not list(folder.glob("*/config.json"))


def test_no_device_is_asked_by_the_check(whole, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a device was asked for")

    monkeypatch.setattr(jax, "devices", refuse)
    monkeypatch.setattr(jax, "local_devices", refuse)
    monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)
    phases.check_phases(json.loads(whole[1]), whole[0])


@pytest.mark.slow
def test_a_recipe_end_to_end(tmp_path):
    world = tiny_run.make_world(tmp_path)
    vision = tiny_run.vision_config(world, num_steps=3)
    joint = tiny_run.config(world, num_steps=3)
    joint.warm_start = {"vision": "{workdir}/vision:teacher/vision"}
    c = ml_collections.ConfigDict({"seed": 1, "order": ("vision", "joint")})
    c.phases = {"vision": vision.to_dict(), "joint": joint.to_dict()}
    recipe.main(c, str(tmp_path))
    for name in c.order:
        done = json.loads((tmp_path / name / "done.json").read_text())
        assert done["step"] == 3
        assert json.loads((tmp_path / name / "config.json").read_text())["seed"] == 1
