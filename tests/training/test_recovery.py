"""Runs whose batches turn the loss into nan, a few at a time or for good."""

import json
import types

import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax import train
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint
from babyvlm_jax.training.objectives import tokens
from babyvlm_jax.training.recovery import after_nonfinite
from babyvlm_jax.training.state import TrainState
from tests import tiny_run

pytestmark = pytest.mark.usefixtures("own_signals")

NUM_STEPS = 14


class Kept:
    """Checkpoints of which the newest is that of a step."""

    def __init__(self, step):
        self.step, self.saved = step, []

    def newest(self):
        return self.step

    def restore_latest(self, state, facts):
        none = jnp.zeros(2, jnp.int32)
        params = {"w": jnp.float32(self.step)}
        return TrainState(jnp.int32(self.step), params, {}, {}, none)

    def save(self, step, state, facts, wait):
        self.saved.append((step, int(state.step)))


def recover(tmp_path, newest, on_nonfinite):
    """After ten steps, of which the last five were bad and the fourth too."""
    state = TrainState(jnp.int32(10), {"w": jnp.zeros(())}, {}, {}, jnp.array([6, 5]))
    run = types.SimpleNamespace(on_nonfinite=on_nonfinite)
    source = types.SimpleNamespace(facts={}, ids_at=lambda step: [f"r{step}"])
    kept = Kept(newest)
    return kept, after_nonfinite(run, tmp_path, state, kept, source)


def test_what_was_saved_before_the_bad_steps_is_gone_on_from(tmp_path):
    kept, state = recover(tmp_path, 3, "rollback")
    assert int(state.step) == 10  # the bad steps are not made again
    assert float(state.params["w"]) == 3.0
    # those of before, and what lies between the checkpoint and the bad ones
    assert state.skips.tolist() == [6 + 5 - 3, 0]
    assert kept.saved == [(10, 10)]
    records = json.loads((tmp_path / "nonfinite.json").read_text())
    assert records == {str(step + 1): [f"r{step}"] for step in range(5, 10)}


@pytest.mark.parametrize(
    ("newest", "on_nonfinite"),
    [(3, "stop"), (None, "rollback"), (5, "rollback"), (7, "rollback")],
)
def test_a_run_gives_up_that_may_not_go_back_or_cannot(tmp_path, newest, on_nonfinite):
    with pytest.raises(UserError, match="in steps 6 to 10"):
        recover(tmp_path, newest, on_nonfinite)
    assert (tmp_path / "nonfinite.json").exists()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tiny_run.make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def bad():
    """Steps whose loss is nan, of a loss that all tests share."""
    bad = set()
    make_loss, batches_from = tokens.make_token_loss, train.batches_from

    def with_poison(run, source, start):
        for step, batch in batches_from(run, source, start):
            poison = np.full(8, np.nan if step in bad else 0.0, np.float32)
            yield step, {**batch, "poison": poison}

    def poisoned(*args):
        loss = make_loss(*args)

        def sick(params, extra, batch, key):
            total, rest = loss(params, extra, batch, key)
            return total + jnp.sum(batch["poison"]), rest

        return sick

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "batches_from", with_poison)
        patch.setattr(tokens, "make_token_loss", poisoned)
        made = tiny_run.made_once(train.make_state_and_step)
        patch.setattr(train, "make_state_and_step", made)
        yield bad


@pytest.fixture
def run(world, tmp_path, bad):
    """Trains with a loss that is nan at the given steps; returns the work directory."""
    bad.clear()

    def run(steps, **changes):
        bad.update(steps)
        config = tiny_run.config(world, num_steps=NUM_STEPS, **changes)
        train.main(config, str(tmp_path))
        return tmp_path

    return run


def lines(workdir):
    text = (workdir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.integration
def test_a_bad_batch_is_skipped_and_counted(run):
    told = lines(run([4, 6]))
    assert [line["step"] for line in told if np.isnan(line["train/loss"])] == [5, 7]
    assert [line["train/skipped"] for line in told] == [0] * 4 + [1, 1] + [2] * 8
    assert max(line["train/skipped_in_a_row"] for line in told) == 1


@pytest.mark.integration
def test_five_in_a_row_stop_the_run_and_name_the_records(run, tmp_path):
    with pytest.raises(
        UserError, match="no finite loss, gradient or update in steps 6 to 10"
    ):
        run(range(5, NUM_STEPS))
    records = json.loads((tmp_path / "nonfinite.json").read_text())
    assert list(records) == ["6", "7", "8", "9", "10"]
    assert all(name.startswith("p") for names in records.values() for name in names)
    assert min(map(len, records.values())) > 0
    assert checkpoint.newest_step(tmp_path) == 3  # none amid the bad ones
    assert not (tmp_path / "done.json").exists()
    with pytest.raises(UserError, match="6 to 10"):  # the same when tried again
        run(())


@pytest.mark.integration
def test_rolling_back_leaves_out_the_steps_since_the_last_checkpoint(run):
    workdir = run(range(5, 10), on_nonfinite="rollback", keep=9)
    told = lines(workdir)
    assert told[-1]["step"] == NUM_STEPS
    assert told[-1]["train/skipped"] == 10 - 3
    assert all(np.isfinite(line["train/loss"]) for line in told[-4:])
    kept = {int(path.name) for path in (workdir / "checkpoints").iterdir()}
    assert kept == {3, 10, 12, 14}


@pytest.mark.integration
def test_rolling_back_to_where_the_trouble_begins_is_refused(run):
    with pytest.raises(UserError, match="in steps 4 to 8"):
        run(range(3, 8), on_nonfinite="rollback")
