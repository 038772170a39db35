"""Saving, failing to, and restoring: on another mesh, from what is left whole."""

import contextlib
import errno
import json
import os
import random
import shutil

import jax
import pytest

from babyvlm_jax.runtime.errors import Preempted, UserError
from babyvlm_jax.training import checkpoint
from babyvlm_jax.training.checkpoint import Checkpoints, reading, saving, whole
from babyvlm_jax.training.state import TrainState
from tests import tiny
from tests.chosen import some
from tests.training.checkpoint.states import FACTS, MESH, assert_equal, place


@pytest.mark.parametrize("sizes", some([((1, 1, 1),), (MESH,)], [(MESH,)]))
def test_what_was_saved_comes_back_on_any_mesh(saved, host, sizes):
    mesh = tiny.mesh_of(*sizes)
    with jax.set_mesh(mesh), Checkpoints(saved) as checkpoints:
        fresh = place(host, mesh, add=1.0)
        state = checkpoints.restore_latest(fresh, FACTS)
    assert_equal(state.params, host)
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    for ours, wanted in zip(
        jax.tree.leaves(state), jax.tree.leaves(fresh), strict=True
    ):
        assert ours.sharding.is_equivalent_to(wanted.sharding, ours.ndim)


def test_other_data_is_refused_with_the_reason(saved):
    repacked = {**FACTS, "order": "new"}
    with (
        Checkpoints(saved) as checkpoints,
        pytest.raises(
            UserError, match=r"3 cannot .* order \(order was '56ef', is 'new'"
        ),
    ):
        checkpoints.restore_latest("never looked at", repacked)


def test_without_a_checkpoint_the_state_is_as_it_was(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore_latest("as it was", FACTS) == "as it was"
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.newest_step(tmp_path)
    with pytest.raises(UserError, match="no checkpoint in"):
        checkpoint.newest_step(tmp_path / "nowhere")


def test_a_leaf_that_does_not_fit_is_named_before_anything_is_read(saved, host):
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh), Checkpoints(saved) as checkpoints:
        state = place(host, mesh)
        state.opt_state[1][0].mu["connector/down/b"] = jax.numpy.zeros(7)
        with pytest.raises(UserError, match=r"mu/connector/down/b has shape \(32,\)"):
            checkpoints.restore_latest(state, FACTS)


def state_of(number):
    """A state of a few numbers."""
    value = jax.numpy.full(3, number, jax.numpy.float32)
    none = jax.numpy.zeros(2, jax.numpy.int32)
    return TrainState(jax.numpy.int32(number), {"w": value}, {"m": value}, {}, none)


def value_in(folder):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore_latest(state_of(0), FACTS).params["w"].tolist()[0]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder with the checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("two")
    with Checkpoints(folder, keep=2) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state_of(step), FACTS)
    return folder


def test_the_newest_stay_and_every_so_many(tmp_path):
    with Checkpoints(tmp_path, keep=2, keep_every=3) as checkpoints:
        for step in range(1, 6):
            checkpoints.save(step, state_of(step), FACTS, wait=True)
    assert steps_in(tmp_path) == [3, 4, 5]
    assert value_in(tmp_path) == 5.0


def steps_in(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir())


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def cuts_of(size):
    """Lengths at which a file of that size may have been cut, None: it is not there."""
    return [None, *sorted(n for n in {0, size - 1} if 0 <= n < size)]


def test_a_checkpoint_cut_at_any_file_and_byte_is_not_taken_for_whole(two):
    newest = two / "checkpoints" / "2"
    files = files_of(newest)
    assert len(files) > 8
    for file in files:
        content = file.read_bytes()
        for length in cuts_of(len(content)):
            file.unlink() if length is None else file.write_bytes(content[:length])
            assert reading.newest_step(two) == 1, f"{file} cut at {length}"
            file.write_bytes(content)
    assert reading.newest_step(two) == 2


@pytest.mark.integration
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_found_or_changes_nothing(two, tmp_path, count):
    """Only times and the path of the moment of saving are not covered by a hash."""
    folder = tmp_path / "copy"
    shutil.copytree(two, folder)
    newest, rng, harmless = folder / "checkpoints" / "2", random.Random(count), 0
    files = files_of(newest)
    for _ in range(count):
        file = rng.choice(files)
        content = file.read_bytes()
        changed, bit = bytearray(content), rng.randrange(8 * len(content))
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        if reading.newest_step(folder, reading.ITEMS) == 2:
            assert file in (newest / whole.STAMP, newest / whole.COMMITTED)
            assert value_in(folder) == 2.0
            harmless += 1
        file.write_bytes(content)
    assert harmless < count / 4
    assert value_in(folder) == 2.0


@pytest.mark.parametrize("name", ["params/_METADATA", "params/manifest.ocdbt"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(two, tmp_path, capsys, name):
    folder = tmp_path / "copy"
    shutil.copytree(two, folder)
    file = folder / "checkpoints" / "2" / name
    file.write_bytes(bytes(file.stat().st_size))
    assert reading.newest_step(folder) == 1
    assert "2 is not whole" in capsys.readouterr().err
    with Checkpoints(folder) as checkpoints:
        state = checkpoints.restore_latest(state_of(0), FACTS)
        assert state.params["w"].tolist()[0] == 1.0
        checkpoints.save(2, state_of(7), FACTS)  # the run gets there again
    assert f"{name} is not as it was written" in capsys.readouterr().err
    assert value_in(folder) == 7.0


def test_a_run_whose_only_checkpoint_is_damaged_keeps_it(two, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(two, folder)
    shutil.rmtree(folder / "checkpoints" / "1")
    file = folder / "checkpoints" / "2" / "train" / "_METADATA"
    file.write_bytes(bytes(file.stat().st_size))
    with Checkpoints(folder) as checkpoints, pytest.raises(UserError, match="no other"):
        checkpoints.restore_latest(state_of(0), FACTS)
    assert steps_in(folder) == [2]
    assert reading.newest_step(folder) == 2  # its parameters are as they were


def test_without_hashes_what_cannot_be_read_is_told_in_one_line(two, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(two, folder)
    newest = folder / "checkpoints" / "2"
    sizes = json.loads((newest / whole.LIST).read_text())["sizes"]
    (newest / whole.LIST).write_text(json.dumps({"sizes": sizes}))
    leaf = jax.eval_shape(lambda: state_of(2).params["w"])
    for file in files_of(newest / "params"):
        content = file.read_bytes()
        file.write_bytes(bytes(len(content)))
        with contextlib.suppress(UserError):
            step = reading.newest_step(folder)
            reading.restore_params(folder, step, "w", leaf)
        file.write_bytes(content)


def test_the_run_goes_on_from_the_one_before(two, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(two, folder)
    cut = folder / "checkpoints" / "2" / "params" / "manifest.ocdbt"
    cut.write_bytes(cut.read_bytes()[:-1])
    assert value_in(folder) == 1.0
    assert "2 is not whole (params/manifest.ocdbt has" in capsys.readouterr().err
    assert steps_in(folder) == [1]


def test_a_run_with_nothing_whole_left_does_not_silently_begin_anew(two, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(two, folder)
    for step in ("1", "2"):
        (folder / "checkpoints" / step / whole.LIST).unlink()
    with pytest.raises(UserError, match=r"2 is not whole .* there is no other; bring"):
        Checkpoints(folder)
    assert steps_in(folder) == [1, 2]


@pytest.fixture
def failing(monkeypatch):
    """Makes the last rename of a checkpoint fail so many times, in a given way."""
    monkeypatch.setattr(saving, "BACKOFF_S", (0, 0))
    rename = os.rename

    def arrange(times, error):
        left = [times]

        def attempt(source, target, **kwargs):
            if "checkpoints" in str(target) and left[0]:
                left[0] -= 1
                raise error
            return rename(source, target, **kwargs)

        monkeypatch.setattr(os, "rename", attempt)

    return arrange


FULL = OSError(errno.ENOSPC, "No space left on device")
LOST = OSError(errno.EIO, "connection reset")


def test_a_failed_save_is_tried_again(tmp_path, failing, capsys):
    with Checkpoints(tmp_path) as checkpoints:
        failing(2, LOST)
        checkpoints.save(1, state_of(1), FACTS, wait=True)
    assert capsys.readouterr().err.count("could not be written: OSError") == 2
    assert value_in(tmp_path) == 1.0


def test_a_save_that_failed_behind_the_run_is_made_up_for_by_the_next(
    tmp_path, failing
):
    with Checkpoints(tmp_path) as checkpoints:
        failing(1, LOST)
        checkpoints.save(1, state_of(1), FACTS)
        checkpoints.save(2, state_of(2), FACTS)
    assert steps_in(tmp_path) == [2]
    assert value_in(tmp_path) == 2.0


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    some(
        [(FULL, UserError, "make room"), (LOST, Preempted, "connection reset")],
        [(FULL, UserError, "make room")],
    ),
)
def test_a_disk_that_stays_full_ends_the_run_and_leaves_the_last_checkpoint(
    tmp_path, failing, error, kind, told
):
    def attempt():
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(1, state_of(1), FACTS, wait=True)
            failing(99, error)
            checkpoints.save(2, state_of(2), FACTS, wait=True)

    with pytest.raises(kind, match=f"step 2 cannot be written.*{told}") as ended:
        attempt()
    assert "that of step 1 is kept" in str(ended.value)
    assert reading.newest_step(tmp_path) == 1
    assert value_in(tmp_path) == 1.0
