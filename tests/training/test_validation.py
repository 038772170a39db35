"""The account of validations: the rate, the end, the best."""

import jax
import numpy as np

from babyvlm_jax.training import validation
from babyvlm_jax.training.config import ValidationConfig


def follow(cfg, losses):
    """(scales, whether over, account) after each loss; parameters are the steps."""
    watch = validation.begin(cfg, {"w": np.float32(0)})
    step = jax.jit(lambda w, loss, i, p: validation.after(cfg, w, loss, i, p))
    scales, over = [], []
    for number, loss in enumerate(losses, start=1):
        trainable = {"w": np.float32(number)}
        watch = step(watch, np.float32(loss), np.int32(number), trainable)
        scales.append(round(float(validation.rate_scale(watch)), 6))
        over.append(validation.is_over(cfg, watch))
    return scales, over, jax.device_get(watch)


def test_the_rate_falls_when_the_loss_stands_still():
    # as torch's ReduceLROnPlateau(factor=.1, patience=1): the second bad value in a row
    # is one too many, and the count begins anew
    cfg = ValidationConfig(every=1, patience=1, stop_patience=0)
    losses = [3, 2, 2, 2.5, 2, 2, 1, 1, 1]
    scales, over, _ = follow(cfg, losses)
    assert scales == [1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001]
    assert not any(over)


def test_a_loss_that_is_hardly_lower_is_no_improvement_for_the_rate():
    cfg = ValidationConfig(every=1, patience=0, threshold=1e-2, stop_patience=2)
    scales, over, watch = follow(cfg, [2.0, 1.99, 1.985])
    assert scales == [1, 0.1, 0.01]
    assert not any(over)  # but each is the best so far
    assert watch["best"]["w"] == 3


def test_the_run_ends_after_so_many_that_are_not_better():
    cfg = ValidationConfig(every=1, stop_patience=2)
    _, over, watch = follow(cfg, [3, 1, 2, 1])
    assert over == [False, False, False, True]
    assert (float(watch["loss"]), int(watch["step"])) == (1, 2)
    assert watch["best"]["w"] == 2


def test_a_better_loss_begins_the_count_anew():
    cfg = ValidationConfig(every=1, stop_patience=2)
    _, over, watch = follow(cfg, [3, 4, 2, 5, 1])
    assert not any(over)
    assert int(watch["waited"]) == 0


def test_no_number_is_no_improvement():
    cfg = ValidationConfig(every=1, patience=1, stop_patience=3)
    scales, over, watch = follow(cfg, [2, np.nan, np.nan, np.nan])
    assert scales == [1, 1, 0.1, 0.1]
    assert over[-1]
    assert watch["best"]["w"] == 1
