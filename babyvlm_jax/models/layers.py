"""Linear maps, norms and initialisers, each with its axis names beside its shape; and
modules bound to functions, which is how the rest of the system knows a model.

Every matrix is two-dimensional, [in, out] (a leading L under a scan), so Muon,
checkpoints and weight maps need no table of layouts.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.sharding import axis_names, constrain, partitioned

# Variance 1/fan_in: at width 2048 a standard deviation of .022, where Hugging Face's
# Llama draws .02; unlike a constant it also fits narrow models.
fan_in_init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
embed_init = nn.initializers.normal(0.02)

NEVER = -1e9  # logit of a padded vocabulary entry
SAVED_NAME = "attention"  # what attention gives, to the remat policies


def activate(x: jax.Array, name: str) -> jax.Array:
    """One of `config.ACTIVATIONS`; `quick_gelu` is x sigmoid(1.702 x)."""
    if name == "quick_gelu":
        return x * nn.sigmoid(1.702 * x)
    return nn.gelu(x, approximate=name == "gelu_tanh")


class Linear(nn.Module):
    """x W (+ b): weights f32[in, out], computed in the dtype of x."""

    features: int
    names: tuple[str | None, str | None]
    bias: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., features]."""
        shape = (x.shape[-1], self.features)
        w = self.param("w", partitioned(fan_in_init, *self.names), shape)
        y = jnp.dot(x, w.astype(x.dtype))
        if self.bias:
            zeros = partitioned(nn.initializers.zeros, self.names[1])
            y += self.param("b", zeros, (self.features,)).astype(x.dtype)
        return y


class Mlp(nn.Module):
    """Linear, activation, Linear, with biases."""

    hidden_dim: int
    activation: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] -> [..., D]."""
        width = x.shape[-1]
        x = Linear(self.hidden_dim, ("embed", "mlp"), bias=True, name="up")(x)
        x = activate(x, self.activation)
        return Linear(width, ("mlp", "embed"), bias=True, name="down")(x)


class RMSNorm(nn.Module):
    """x / rms(x) * scale over the last axis; statistics in f32."""

    eps: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] -> [..., D] in the dtype of x."""
        ones = partitioned(nn.initializers.ones, "norm")
        scale = self.param("scale", ones, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        inverse = jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.eps)
        return (wide * inverse * scale).astype(x.dtype)


class LayerNorm(nn.Module):
    """(x - mean) / std * scale + bias over the last axis; statistics in f32."""

    eps: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] -> [..., D] in the dtype of x."""
        ones = partitioned(nn.initializers.ones, "norm")
        zeros = partitioned(nn.initializers.zeros, "norm")
        scale = self.param("scale", ones, (x.shape[-1],))
        bias = self.param("bias", zeros, (x.shape[-1],))
        wide = x.astype(jnp.float32)
        wide -= jnp.mean(wide, axis=-1, keepdims=True)
        inverse = jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.eps)
        return (wide * inverse * scale + bias).astype(x.dtype)


def remat(block: type[nn.Module], policy: str) -> type[nn.Module]:
    """Wraps a block for recomputation in the backward pass; see `config.REMAT`."""
    if policy == "none":
        return block
    policies = jax.checkpoint_policies
    attention = policies.save_only_these_names(SAVED_NAME)
    saved = {
        "full": policies.nothing_saveable,
        "dots": policies.save_from_both_policies(
            policies.dots_with_no_batch_dims_saveable, attention
        ),
        "attention": attention,
    }[policy]
    return nn.remat(block, prevent_cse=False, policy=saved)


def embed_tokens(table: jax.Array, tokens: jax.Array) -> jax.Array:
    """Looks up rows of a table that is sharded over devices.

    Many tokens: each device gets the whole table. Few (decoding): the table stays and
    the rows found are summed over the devices.

    Args:
        table: f32[V, D].
        tokens: i32[B, T].

    Returns:
        f32[B, T, D].
    """
    if tokens.size > table.shape[0]:
        table = constrain(table, None, None)
    return table[tokens]


def vocabulary_scores(x: jax.Array, table: jax.Array, vocab_size: int) -> jax.Array:
    """[..., D], [D, V] -> f32[..., V]; entries from `vocab_size` on are `NEVER`."""
    scores = jnp.dot(x, table.astype(x.dtype), preferred_element_type=jnp.float32)
    padding = jnp.arange(table.shape[-1]) >= vocab_size
    return jnp.where(padding, NEVER, scores)


class Parameters(NamedTuple):
    """How a model's parameters are drawn and named; they are plain dicts.

    Attributes:
        init: (key, parts=all) -> params; only the named top-level parts.
        param_specs: (parts=all) -> tree of logical axis names, one tuple a leaf.
        shapes: (parts=all) -> params as ShapeDtypeStructs; nothing is allocated.
    """

    init: Callable[..., Any]
    param_specs: Callable[..., Any]
    shapes: Callable[..., Any]


def bind_parameters(boxed: Callable[..., Any], all_parts) -> Parameters:
    """Binds the functions that every model has.

    Args:
        boxed: (key, parts) -> parameters, boxed by Flax with their axis names.
        all_parts: names of the top-level parts.
    """

    @functools.lru_cache
    def abstract(parts):
        return jax.eval_shape(lambda: boxed(jax.random.key(0), parts))

    return Parameters(
        lambda key, parts=all_parts: nn.meta.unbox(boxed(key, parts)),
        lambda parts=all_parts: axis_names(abstract(parts)),
        lambda parts=all_parts: nn.meta.unbox(abstract(parts)),
    )


def bind_method(module: nn.Module, name: str) -> Callable[..., Any]:
    """A module's method as a function of its parameters and the method's arguments."""

    def call(params, *args):
        return module.apply({"params": params}, *args, method=name)

    call.__name__ = name.strip("_")  # what profiles show
    return call
