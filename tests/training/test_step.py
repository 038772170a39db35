"""The training step: accumulation, freezing, seeds, meshes, one compilation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from babyvlm_jax import sharding
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.objectives.tokens import make_token_loss
from babyvlm_jax.training.optim import make_tx
from babyvlm_jax.training.state import make_state
from babyvlm_jax.training.step import make_train_step
from tests import tiny
from tests.programs import gathered

FORM = "nursery"
# eps: a rounding error of a gradient that should be 0 stays one
ADAMW = OptimConfig(lr_peak=1e-3, schedule="constant", warmup_fraction=0.1, eps=1e-4)
FROZEN_VISION = OptimConfig(
    name="muon",
    lr_peak=1e-2,
    schedule="constant",
    trains=("connector/.*", "decoder/blocks/.*"),
)
NUM_STEPS = 3
SOURCES = ("even", "odd", "absent")


@functools.lru_cache
def step_fn(optim: OptimConfig, sizes, accumulate: int = 1, chunk: int = 0):
    """The same jitted step for all tests that ask for the same thing.

    Call it under the mesh of `sizes`: a key belongs to the mesh it was made under.
    """
    form = tiny.FORMS[FORM]
    decoder = dataclasses.replace(form.decoder, logits_chunk=chunk)
    model = make_model(dataclasses.replace(form, decoder=decoder))
    tx = make_tx(optim, 10, model.param_specs())
    key = jax.random.key(7)
    loss = make_token_loss(model, SOURCES)
    step = make_train_step(loss, tx, optim.trains, key, accumulate)
    return jax.jit(step, donate_argnums=0)


def fresh_state(optim: OptimConfig, mesh):
    bench = tiny.bench(FORM)
    specs = bench.model.param_specs()
    shardings = sharding.tree_shardings(mesh, specs)
    # By way of the host: the state's buffers are donated, the bench's must live.
    params = jax.device_put(jax.tree.map(np.array, bench.params), shardings)
    return make_state(params, {}, make_tx(optim, 10), optim.trains, mesh, specs)


@functools.lru_cache
def host_batch(seed: int):
    batch = tiny.random_rows(tiny.FORMS[FORM], seed)
    batch["sources"][1::2] = 1
    return batch


def run(optim, sizes=(1, 1, 1), accumulate=1, num_steps=NUM_STEPS, chunk=0):
    """Final parameters (flat, on the host) and the metrics of each step."""
    mesh = tiny.mesh_of(*sizes)
    told = []
    with jax.set_mesh(mesh):
        state = fresh_state(optim, mesh)
        for step in range(num_steps):
            batch = sharding.put_batch(mesh, host_batch(step))
            state, metrics = step_fn(optim, sizes, accumulate, chunk)(state, batch)
            told.append({key: float(value) for key, value in metrics.items()})
    flat = flatten_dict(state.params, sep="/")
    return {path: np.asarray(leaf) for path, leaf in flat.items()}, told


@pytest.fixture(scope="module")
def plain():
    return run(ADAMW)


@pytest.fixture(scope="module")
def frozen_vision():
    return run(FROZEN_VISION)


def test_metrics_are_means_over_the_supervised_tokens(plain):
    _, told = plain
    batch = host_batch(0)
    bench = tiny.bench(FORM)
    with jax.set_mesh(tiny.mesh_of()):
        logits = jax.nn.log_softmax(bench.forward(bench.params, batch))
    nll = -np.take_along_axis(np.asarray(logits), batch["targets"][..., None], -1)
    mask = batch["loss_mask"]
    assert told[0]["count"] == mask.sum()
    np.testing.assert_allclose(told[0]["loss"], nll[..., 0][mask].mean(), rtol=1e-5)
    assert told[0]["grad_norm"] > 0
    for source, name in enumerate(SOURCES[:2]):
        part = nll[..., 0][mask & (batch["sources"] == source)]
        np.testing.assert_allclose(told[0][f"loss/{name}"], part.mean(), rtol=1e-5)
    assert np.isnan(told[0]["loss/absent"])


def test_the_same_seed_gives_the_same_weights(plain):
    params, told = run(ADAMW)
    np.testing.assert_equal(told, plain[1])  # where nan equals nan
    for path, value in plain[0].items():
        np.testing.assert_array_equal(params[path], value, err_msg=path)


@pytest.mark.integration
def test_accumulated_microbatches_equal_the_whole_batch(plain):
    counts = host_batch(0)["loss_mask"].reshape(4, 2, -1).sum((1, 2))
    assert len(set(counts.tolist())) > 1, "the microbatches should differ in size"
    params, told = run(ADAMW, accumulate=4)
    for ours, whole in zip(told, plain[1], strict=True):
        assert ours["count"] == whole["count"]
        # another order of f32 sums
        np.testing.assert_allclose(ours["loss"], whole["loss"], rtol=1e-5)
        np.testing.assert_allclose(ours["grad_norm"], whole["grad_norm"], rtol=1e-4)
        for name in ("loss/even", "loss/odd"):
            np.testing.assert_allclose(ours[name], whole[name], rtol=1e-5)
    for path, value in plain[0].items():
        np.testing.assert_allclose(params[path], value, atol=1e-5, err_msg=path)


@pytest.mark.integration
def test_frozen_parameters_stay_and_the_others_move(frozen_vision):
    before = flatten_dict(tiny.bench(FORM).params, sep="/")
    for path, after in frozen_vision[0].items():
        same = np.array_equal(after, np.asarray(before[path]))
        trains = path.startswith(("connector/", "decoder/blocks/"))
        # A picture's ordinal beyond what the rows hold gets no gradient, but its
        # first entry does.
        assert same != trains, path


def test_frozen_parameters_have_no_optimizer_state():
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        state = fresh_state(FROZEN_VISION, mesh)
    leaves, _ = jax.tree_util.tree_flatten_with_path(state.opt_state)
    paths = [jax.tree_util.keystr(path) for path, leaf in leaves if leaf.ndim]
    assert not [path for path in paths if "vision/" in path or "embed" in path]
    assert [path for path in paths if "decoder/blocks/attn/q/w" in path]


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((8, 1, 1), marks=pytest.mark.integration),
        pytest.param((1, 8, 1), marks=pytest.mark.integration),
        (2, 2, 2),
    ],
)
def test_a_mesh_of_eight_devices_gives_the_losses_of_one(plain, capfd, sizes):
    params, told = run(ADAMW, sizes)
    assert "Involuntary full rematerialization" not in capfd.readouterr().err
    for ours, alone in zip(told, plain[1], strict=True):
        assert ours["count"] == alone["count"]
        # another order of f32 sums, carried through the updates
        np.testing.assert_allclose(ours["loss"], alone["loss"], rtol=2e-5)
        np.testing.assert_allclose(ours["grad_norm"], alone["grad_norm"], rtol=1e-3)
    assert params.keys() == plain[0].keys()


@pytest.mark.slow
def test_chunks_of_logits_on_eight_devices_give_the_losses_of_one(plain, capfd):
    _, told = run(ADAMW, (2, 2, 2), chunk=8)
    assert "Involuntary full rematerialization" not in capfd.readouterr().err
    for ours, alone in zip(told, plain[1], strict=True):
        assert ours["count"] == alone["count"]
        for name in ("loss", "loss/even", "loss/odd"):
            np.testing.assert_allclose(ours[name], alone[name], rtol=2e-5)
        np.testing.assert_allclose(ours["grad_norm"], alone["grad_norm"], rtol=1e-3)


@pytest.mark.slow
def test_no_device_gathers_more_than_one_layer():
    mesh = tiny.mesh_of(1, 8, 1)
    with jax.set_mesh(mesh):
        state = fresh_state(ADAMW, mesh)
        batch = sharding.put_batch(mesh, host_batch(0))
        step = step_fn(ADAMW, (1, 8, 1))
        program = step.lower(state, batch).compile().as_text()
    layer = sum(
        leaf[0].size
        for leaf in jax.tree.leaves(tiny.bench(FORM).params["decoder"]["blocks"])
    )
    sizes = [int(np.prod(shape)) for shape in gathered(program)]
    assert 0 < max(sizes) <= layer


def squares(params, extra, batch, key):
    """A loss of two numbers, of which one may be frozen."""
    values = batch["x"] * params["w"] + params["frozen"]
    counted = jnp.where(batch["counts"], jnp.square(values), 0)
    return jnp.sum(counted), ({"count": jnp.sum(1.0 * batch["counts"])}, extra)


def test_parts_of_a_batch_weigh_by_what_they_count_and_what_is_frozen_stays():
    cfg = OptimConfig(lr_peak=0.1, schedule="constant", trains=("w",), decays=())
    tx, mesh, specs = make_tx(cfg, 10), tiny.mesh_of(), {"w": (), "frozen": ()}
    x = np.arange(8, dtype=np.float32)
    batch = {"x": x, "counts": x % 4 != 1}
    batch["counts"][7:] = False  # parts of two rows: 1, 2, 1 and 1 count
    found = []
    with jax.set_mesh(mesh):
        for parts in (1, 4):
            params = {"w": jnp.float32(0.5), "frozen": jnp.float32(1.0)}
            state = make_state(params, {}, tx, cfg.trains, mesh, specs)
            key = jax.random.key(0)
            step = jax.jit(make_train_step(squares, tx, cfg.trains, key, parts))
            state, metrics = step(state, batch)
            found.append([*map(float, metrics.values())])
            values = (x * 0.5 + 1.0)[batch["counts"]]
            assert float(metrics["loss"]) == pytest.approx(np.mean(values**2))
            gradient = np.mean(2 * values * x[batch["counts"]])
            assert float(metrics["grad_norm"]) == pytest.approx(gradient)
            state, _ = step(state, batch)  # the first has a rate of 0
            assert float(state.params["frozen"]) == 1.0
            assert float(state.params["w"]) != 0.5
            found[-1].append(float(state.params["w"]))
    assert found[1] == pytest.approx(found[0])


def test_a_loss_without_supervised_tokens_moves_nothing():
    def nothing(params, extra, batch, key):
        return 0.0 * jnp.sum(params["w"]), ({"count": jnp.zeros(())}, extra)

    cfg = OptimConfig(name="adamw", lr_peak=1.0, schedule="constant", decays=())
    tx = make_tx(cfg, 10)
    with jax.set_mesh(tiny.mesh_of()):
        params = {"w": jnp.ones(3)}
        state = make_state(params, {}, tx, cfg.trains, tiny.mesh_of(), {"w": ("norm",)})
        step = jax.jit(make_train_step(nothing, tx, cfg.trains, jax.random.key(0)))
        state, metrics = step(state, {})
    assert state.params["w"].tolist() == [1.0, 1.0, 1.0]
    assert float(metrics["loss"]) == 0.0
    assert int(state.step) == 1


def test_each_step_draws_with_a_key_of_its_own_that_only_the_step_decides():
    def drawing(params, extra, batch, key):
        return jax.random.uniform(key) + 0.0 * params["w"], (
            {"count": jnp.ones(())},
            extra,
        )

    cfg = OptimConfig(lr_peak=0.0, schedule="constant", decays=())
    tx = make_tx(cfg, 10)
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        state = make_state({"w": jnp.ones(())}, {}, tx, cfg.trains, mesh, {"w": ()})
        step = jax.jit(make_train_step(drawing, tx, cfg.trains, jax.random.key(0)))
        losses, states = [], [state]
        for _ in range(3):
            state, metrics = step(states[-1], {})
            losses.append(float(metrics["loss"]))
            states.append(state)
        assert len(set(losses)) == 3
        assert float(step(states[2], {})[1]["loss"]) == losses[2]
