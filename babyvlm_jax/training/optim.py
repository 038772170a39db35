"""Schedules, what trains, what decays, and the optimizer.

Parameters are addressed by path, such as `vision/blocks/attn/q/w`. What trains and
what decays are lists of regular expressions that must match a whole path.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.muon import make_muon


def make_schedule(cfg: OptimConfig, num_steps: int) -> optax.Schedule:
    """Step -> learning rate; warm-up is linear from 0."""
    warmup = max(1, round(cfg.warmup_fraction * num_steps))
    rest = max(1, num_steps - warmup)
    if cfg.schedule == "cosine":
        after = optax.cosine_decay_schedule(cfg.lr_peak, rest)
    elif cfg.schedule == "wsd":
        decay = max(1, round(cfg.decay_fraction * num_steps))
        stable = optax.constant_schedule(cfg.lr_peak)
        down = optax.linear_schedule(cfg.lr_peak, 0.0, decay)
        after = optax.join_schedules([stable, down], [max(0, rest - decay)])
    else:
        after = optax.constant_schedule(cfg.lr_peak)
    ramp = optax.linear_schedule(0.0, cfg.lr_peak, warmup)
    return optax.join_schedules([ramp, after], [warmup])


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns matches the whole path."""
    return any(re.fullmatch(pattern, path) for pattern in patterns)


def check_patterns(where: str, patterns: Sequence[str], paths: Iterable[str]) -> None:
    """Every pattern must match a parameter, and no parameter two patterns.

    Args:
        where: the patterns stand in the config, for the message.

    Raises:
        UserError: it names the pattern and a path.
    """
    paths = sorted(paths)
    for pattern in patterns:
        if not any(re.fullmatch(pattern, path) for path in paths):
            tops = sorted({path.partition("/")[0] for path in paths})
            raise UserError(
                f"{where}: {pattern!r} matches no parameter; paths look like "
                f"{paths[0]!r} and begin with {tops}"
            )
    for path in paths:
        both = [pattern for pattern in patterns if re.fullmatch(pattern, path)]
        if len(both) > 1:
            raise UserError(
                f"{where}: {both[0]!r} and {both[1]!r} both match {path!r}; change one "
                "of them, so that each parameter is named once"
            )


def split_params(params: Mapping[str, Any], patterns: Sequence[str]):
    """Divides a parameter tree into what trains and what does not.

    Returns:
        trainable, frozen: flat dicts, path -> leaf.

    Raises:
        UserError: a pattern that matches nothing, or two that match one parameter.
    """
    flat = flatten_dict(params, sep="/")
    check_patterns("optim.trains", patterns, flat)
    trainable = {path: leaf for path, leaf in flat.items() if matches(path, patterns)}
    frozen = {path: leaf for path, leaf in flat.items() if path not in trainable}
    return trainable, frozen


def join_params(trainable: Mapping[str, Any], frozen: Mapping[str, Any]):
    """The inverse of `split_params`."""
    return unflatten_dict({**trainable, **frozen}, sep="/")


def make_tx(
    cfg: OptimConfig, num_steps: int, param_specs: Mapping[str, Any] | None = None
) -> optax.GradientTransformation:
    """Optimizer over the flat dict of trainable parameters.

    Args:
        param_specs: tree of the parameters' logical axis names. Muon needs them where
            devices share a matrix, or every device gathers all layers of it.
    """
    schedule = make_schedule(cfg, num_steps)

    def decay_mask(params):
        return {path: matches(path, cfg.decays) for path in params}

    if cfg.name == "adamw":
        tx = optax.adamw(
            schedule,
            cfg.beta1,
            cfg.beta2,
            cfg.eps,
            weight_decay=cfg.weight_decay,
            mask=decay_mask,
        )
    else:
        adam = optax.adamw(
            schedule, cfg.beta1, cfg.beta2, weight_decay=0.0, nesterov=True
        )
        names = param_specs and flatten_dict(param_specs, sep="/")
        tx = make_muon(
            schedule,
            cfg.muon_steps,
            cfg.muon_momentum,
            cfg.weight_decay,
            decay_mask,
            adam,
            names,
        )
    clip = optax.clip_by_global_norm(cfg.clip_norm)
    return optax.chain(clip, tx) if cfg.clip_norm else tx


def learning_rate(cfg: OptimConfig, num_steps: int, step: int) -> float:
    """The schedule on the host, for the log."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return float(np.asarray(make_schedule(cfg, num_steps)(step)))
