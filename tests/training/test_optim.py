"""Schedules at hand-computed steps, what trains, what decays, what Muon takes."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import muon
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.optim import (
    join_params,
    learning_rate,
    make_schedule,
    make_tx,
    matches,
    split_params,
)

PARAMS = {
    "vision": {"attn": {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}},
    "decoder": {"embed": jnp.ones((4, 2)), "blocks": {"w": jnp.ones((2, 3, 4))}},
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 100 steps, 10 of warm-up: halfway up, the peak, a third, two thirds, the end
        ("cosine", {0: 0, 5: 0.5, 10: 1, 40: 0.75, 55: 0.5, 70: 0.25, 100: 0}),
        # the last 40 steps go down in a line
        ("wsd", {0: 0, 5: 0.5, 10: 1, 59: 1, 60: 1, 70: 0.75, 80: 0.5, 100: 0}),
        ("constant", {0: 0, 5: 0.5, 10: 1, 99: 1}),
    ],
)
def test_schedules(name, expected):
    cfg = OptimConfig(lr_peak=1.0, schedule=name, warmup_fraction=0.1)
    schedule = make_schedule(cfg, 100)
    found = {step: float(schedule(step)) for step in expected}
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_log_s_learning_rate_is_the_schedule_s():
    cfg = OptimConfig(lr_peak=2.0, schedule="constant", warmup_fraction=0.5)
    assert learning_rate(cfg, 10, 2) == pytest.approx(0.8)


def test_a_run_shorter_than_its_warm_up_still_has_a_schedule():
    for name in ("cosine", "wsd", "constant"):
        schedule = make_schedule(OptimConfig(schedule=name, warmup_fraction=1.0), 1)
        assert np.isfinite(float(schedule(0)))


def test_patterns_match_whole_paths():
    assert matches("vision/attn/w", ("vision/.*",))
    assert matches("a/head", (".*/w", ".*/head"))
    assert not matches("teacher/vision/w", ("vision/.*",))
    assert not matches("vision/attn/w2", (".*/w",))


def test_split_and_join():
    trainable, frozen = split_params(PARAMS, ("decoder/.*", ".*/b"))
    assert set(trainable) == {"decoder/embed", "decoder/blocks/w", "vision/attn/b"}
    assert set(frozen) == {"vision/attn/w"}
    joined = join_params(trainable, frozen)
    assert joined["vision"]["attn"]["w"] is PARAMS["vision"]["attn"]["w"]
    assert set(joined["vision"]["attn"]) == {"w", "b"}


def test_a_pattern_without_a_parameter_is_a_mistake():
    with pytest.raises(UserError, match=r"'decoder/head' matches no parameter"):
        split_params(PARAMS, ("vision/.*", "decoder/head"))


def test_a_parameter_that_two_patterns_name_is_a_mistake():
    with pytest.raises(UserError, match=r"'vision/\.\*' and '\.\*/b' both match"):
        split_params(PARAMS, ("vision/.*", ".*/b"))


def test_muon_takes_matrices_alone():
    flat, _ = split_params(PARAMS, (".*",))
    taken = {path for path, leaf in flat.items() if muon.takes(path, leaf)}
    assert taken == {"vision/attn/w", "decoder/blocks/w"}
    axes = muon.matrix_axes({path: flat[path] for path in taken})
    found = {path: tuple(one) for path, one in axes.items()}
    assert found == {"vision/attn/w": (0, 1), "decoder/blocks/w": (1, 2)}


@pytest.mark.integration
def test_muon_is_optax_s():
    cfg = OptimConfig(name="muon", lr_peak=0.1, weight_decay=0.5, clip_norm=0.0)
    theirs = optax.contrib.muon(
        make_schedule(cfg, 10),
        ns_steps=cfg.muon_steps,
        beta=cfg.muon_momentum,
        weight_decay=cfg.weight_decay,
        weight_decay_mask=lambda params: {p: p.endswith("/w") for p in params},
        muon_weight_dimension_numbers=lambda params: {
            path: optax.contrib.MuonDimensionNumbers(leaf.ndim - 2, leaf.ndim - 1)
            if muon.takes(path, leaf)
            else None
            for path, leaf in params.items()
        },
        consistent_rms=0.2,
    )
    params, _ = split_params(PARAMS, (".*",))
    grads = {
        path: jnp.asarray(np.random.default_rng(0).normal(size=leaf.shape))
        for path, leaf in params.items()
    }
    updates = []
    for tx in (make_tx(cfg, 10), theirs):
        state = tx.init(params)
        for _ in range(2):  # the first step's rate is 0
            last, state = tx.update(grads, state, params)
        updates.append(last)
    for path in params:
        np.testing.assert_array_equal(updates[0][path], updates[1][path])
        assert np.abs(updates[0][path]).max() > 0


def test_muon_s_update_of_a_matrix_is_nearly_orthogonal():
    cfg = OptimConfig(
        name="muon", lr_peak=1.0, schedule="constant", warmup_fraction=0.1, decays=()
    )
    params = {"a/w": jnp.zeros((4, 4))}
    tx = make_tx(cfg, 10)
    state = tx.init(params)
    grads = {"a/w": jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)))}
    for _ in range(2):  # the first step's rate is 0
        updates, state = tx.update(grads, state, params)
    values = np.linalg.svd(np.asarray(updates["a/w"]), compute_uv=False)
    # scaled to AdamW's RMS of .2: an orthogonal 4x4 has RMS .5, so times .4;
    # five Newton-Schulz steps leave singular values between about .7 and 1.2
    assert (values > 0.4 * 0.5).all()
    assert (values < 0.4 * 1.3).all()


@pytest.mark.integration
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_decay_pulls_only_what_the_patterns_name(name):
    cfg = OptimConfig(
        name=name,
        lr_peak=0.1,
        schedule="constant",
        warmup_fraction=0.1,
        weight_decay=0.5,
        decays=("a/w",),
    )
    params = {"a/w": jnp.ones((2, 2)), "b/w": jnp.ones((2, 2)), "b/scale": jnp.ones(2)}
    tx = make_tx(cfg, 10)
    state = tx.init(params)
    zeros = {path: jnp.zeros_like(leaf) for path, leaf in params.items()}
    for _ in range(2):  # the first step's rate is 0
        updates, state = tx.update(zeros, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params["a/w"], 0.95)
    assert params["b/w"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert params["b/scale"].tolist() == [1.0, 1.0]


def test_gradients_are_clipped_to_their_global_norm():
    # b1 = 0 and a huge eps turn Adam's update into lr * gradient / eps
    cfg = OptimConfig(
        lr_peak=1.0,
        schedule="constant",
        warmup_fraction=0.1,
        beta1=0.0,
        eps=1e6,
        clip_norm=1.0,
    )
    params = {"b": jnp.zeros(2)}
    tx = make_tx(cfg, 10)
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update({"b": jnp.array([3.0, 4.0])}, state, params)
    assert (updates["b"] * -1e6).tolist() == pytest.approx([0.6, 0.8], rel=1e-4)
