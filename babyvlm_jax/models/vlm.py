"""The vision-language model, and the functions the rest of the system calls.

Axes: B rows, T tokens, M image slots a row, P visual tokens an image, S cache slots, D
decoder width, V padded vocabulary.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from babyvlm_jax.losses import chunked_token_losses, token_losses
from babyvlm_jax.models.config import (
    PARTS,
    DecoderConfig,
    GPT2Config,
    VLMConfig,
)
from babyvlm_jax.models.decoder import Context, Decoder
from babyvlm_jax.models.layers import (
    Linear,
    bind_method,
    bind_parameters,
    vocabulary_scores,
)
from babyvlm_jax.models.vision import ENCODERS
from babyvlm_jax.sharding import constrain, partitioned

# Logits of one row above which the loss takes them in chunks: 32 MiB in f32 (ours).
MANY_LOGITS = 2**23


class Connector(nn.Module):
    """Visual tokens -> decoder tokens: Linear, exact GELU, Linear."""

    cfg: VLMConfig

    def setup(self):
        cfg, width = self.cfg.connector, self.cfg.decoder.width
        out = width * max(1, cfg.tokens_per_image)
        self.up = Linear(cfg.hidden_dim, ("embed", "mlp"), bias=True)
        self.down = Linear(out, ("mlp", "embed"), bias=True)
        if cfg.num_ordinals:
            # Of the size of a visual token, or it would be lost beside one.
            init = partitioned(nn.initializers.normal(0.3), "position", None)
            self.ordinals = self.param("ordinals", init, (cfg.num_ordinals, width))

    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, tokens, Dv] -> [B, P, D]."""
        num_images = x.shape[0]
        if self.cfg.connector.tokens_per_image:
            x = x.reshape(num_images, 1, -1)
        x = self.down(nn.gelu(self.up(x), approximate=False))
        return x.reshape(num_images, self.cfg.tokens_per_image, -1)

    def add_ordinals(self, x: jax.Array, ordinals: jax.Array) -> jax.Array:
        """[B, T, D], i32[B, T] -> [B, T, D]; the last entry serves all beyond."""
        if not self.cfg.connector.num_ordinals:
            return x
        ordinals = jnp.minimum(ordinals, self.cfg.connector.num_ordinals - 1)
        return x + self.ordinals[ordinals].astype(x.dtype)


def image_ordinals(
    visual_index, positions, tokens_per_image: int, num_before=0
) -> jax.Array:
    """Ordinal of each visual token's image within its record.

    visual_index = [-1, 0, -1, 1, -1, 2]  (one token an image)
    positions    = [ 0, 1,  2, 3,  0, 1]  (two records)
    ordinals     = [ 0, 0,  1, 1,  0, 0]  (only those of visual tokens are used)

    Args:
        visual_index, positions: i32[B, T]; see the row contract.
        num_before: i32[B] visual tokens that the record has in a cache already.

    Returns:
        i32[B, T]: images that began before this token in the same record.
    """
    visual = (visual_index >= 0).astype(jnp.int32)
    before = jnp.cumsum(visual, axis=1) - visual
    start = jnp.arange(positions.shape[1]) - positions
    at_start = jnp.take_along_axis(before, start, axis=1)
    num_before = jnp.reshape(num_before, (-1, 1))
    return (before - at_start + num_before) // tokens_per_image


def gather_visual(visual, visual_index):
    """Visual tokens in sequence order, at the positions that name them.

    Args:
        visual: [B, M*P, D], or [N*P, D] that all rows share.
        visual_index: i32[B, T], -1 for text.

    Returns:
        [B, T, D]; text positions hold visual token 0 and are to be masked.
    """
    visual_index = jnp.maximum(visual_index, 0)
    if visual.ndim == 2:
        return visual[visual_index]
    return jnp.take_along_axis(visual, visual_index[..., None], axis=1)


def logits_chunk(cfg: DecoderConfig | GPT2Config, length: int) -> int:
    """Tokens of a row whose logits the loss holds at once; T where it holds all.

    Args:
        length: T.
    """
    if cfg.logits_chunk:
        return min(cfg.logits_chunk, length)
    chunk = MANY_LOGITS // cfg.padded_vocab_size
    return length if chunk >= length else 2 ** int(math.log2(chunk))


class VLM(nn.Module):
    """Rows in, hidden states or logits out."""

    cfg: VLMConfig

    def setup(self):
        self.vision = ENCODERS[type(self.cfg.vision)](self.cfg.vision)
        self.connector = Connector(self.cfg)
        self.decoder = Decoder(self.cfg.decoder)

    def encode_images(self, images) -> jax.Array:
        """u8[N, H, W, 3] -> visual tokens [N, P, D]."""
        return self.connector(self.vision(constrain(images, "batch")))

    def visual(self, batch) -> jax.Array | None:
        """Visual tokens that `visual_index` points into, or None without images."""
        if "visual" in batch:
            return batch["visual"].reshape(-1, self.cfg.decoder.width)
        images = batch["features" if "features" in batch else "images"]
        if not images.shape[1]:
            return None
        rows, slots = images.shape[:2]
        flat = constrain(images.reshape(-1, *images.shape[2:]), "batch")
        visual = self.connector(flat if "features" in batch else self.vision(flat))
        visual = visual.reshape(rows, slots * visual.shape[1], -1)
        # Or the connector's width-sharded output makes XLA replicate the gather.
        return constrain(visual, "batch", "length", "act_embed")

    def inputs(self, batch, num_before=0) -> jax.Array:
        """Row contract -> [B, T, D] decoder inputs.

        Args:
            batch: it has pixels (`images`), their `features`, or visual tokens that
                all rows share (`visual` [N, P, D]).
            num_before: i32[B] visual tokens in a cache before this batch.
        """
        text = self.decoder.embed(batch["tokens"])
        visual = self.visual(batch)
        if visual is None:
            return text
        index = batch["visual_index"]
        x = gather_visual(visual.astype(text.dtype), index)
        ordinals = image_ordinals(
            index, batch["positions"], self.cfg.tokens_per_image, num_before
        )
        x = self.connector.add_ordinals(x, ordinals)
        return jnp.where((index >= 0)[..., None], x, text)

    def hidden(self, batch) -> jax.Array:
        """Row contract -> [B, T, D] after the decoder's final norm."""
        context = Context(batch["positions"], batch["segment_ids"])
        return self.decoder.layers(self.inputs(batch), context)[0]

    def __call__(self, batch) -> jax.Array:
        """Row contract -> logits f32[B, T, V]."""
        return self.decoder.logits(self.hidden(batch))

    def token_losses(self, batch):
        """Row contract -> nll f32[B, T], log normaliser f32[B, T]; see losses.py."""
        cfg, x, targets = self.cfg.decoder, self.hidden(batch), batch["targets"]
        chunk = logits_chunk(cfg, x.shape[1])
        if chunk == x.shape[1]:
            return token_losses(self.decoder.logits(x), targets)
        # Once, instead of in every chunk.
        table = constrain(self.decoder.output_table(), None, "act_vocab")

        def scores(x):
            x = constrain(x, "batch", "length", "act_embed")
            return vocabulary_scores(x, table, cfg.vocab_size)

        return chunked_token_losses(scores, x, targets, batch["loss_mask"], chunk)

    def prefill(self, batch, cache_len: int):
        """Prompts, one a row -> logits f32[B, V] of what follows, and the cache."""
        context = Context(batch["positions"], batch["segment_ids"])
        x, cache = self.decoder.layers(self.inputs(batch), context, keep_cache=True)
        lengths = jnp.sum(batch["segment_ids"] > 0, axis=1)
        room = cache_len - x.shape[1]
        grow = ((0, 0), (0, 0), (0, room), (0, 0), (0, 0))
        k, v = (jnp.pad(y, grow) for y in cache)
        last = jnp.take_along_axis(x, (lengths - 1)[:, None, None], axis=1)[:, 0]
        num_visual = jnp.sum(batch["visual_index"] >= 0, axis=1)
        cache = {"k": k, "v": v, "lengths": lengths, "visual": num_visual}
        return self.decoder.logits(last), cache

    def decode_step(self, cache, tokens):
        """One more token i32[B] a row -> logits f32[B, V], and the cache."""
        lengths = cache["lengths"]
        context = Context(lengths[:, None], lengths=lengths)
        x, (k, v) = self.decoder.layers(
            self.decoder.embed(tokens[:, None]),
            context,
            (cache["k"], cache["v"]),
            keep_cache=True,
        )
        cache = {**cache, "k": k, "v": v, "lengths": lengths + 1}
        return self.decoder.logits(x[:, 0]), cache

    def behind(self, cache, batch):
        """Tokens behind the cached ones -> [B, T, D], and keys and values with them."""
        lengths = cache["lengths"]
        positions = lengths[:, None] + batch["positions"]
        context = Context(positions, batch["segment_ids"], lengths)
        x = self.inputs(batch, cache["visual"])
        kept = (cache["k"], cache["v"])
        return self.decoder.layers(x, context, kept, keep_cache=True)

    def extend(self, cache, batch):
        """The next turns, one a row -> logits f32[B, V] of what follows, and the cache.

        A row without tokens stays as it is; its logits mean nothing.
        """
        x, (k, v) = self.behind(cache, batch)
        added = jnp.sum(batch["segment_ids"] > 0, axis=1)
        num_visual = jnp.sum(batch["visual_index"] >= 0, axis=1)
        place = jnp.maximum(added - 1, 0)[:, None, None]
        last = jnp.take_along_axis(x, place, axis=1)[:, 0]
        cache = {
            "k": k,
            "v": v,
            "lengths": cache["lengths"] + added,
            "visual": cache["visual"] + num_visual,
        }
        return self.decoder.logits(last), cache

    def branch(self, cache, batch):
        """Several continuations, one per segment -> logits f32[B, T, V]."""
        x, _ = self.behind(cache, batch)
        return self.decoder.logits(x)


class Model(NamedTuple):
    """The functions that the rest of the system knows; parameters are plain dicts.

    Attributes:
        config: the architecture.
        init, param_specs, shapes: see `layers.Parameters`.
        forward: (params, batch) -> logits f32[B, T, V].
        token_losses: (params, batch) -> (nll f32[B, T], log normaliser f32[B, T]) of
            each target; batch as in training.
        prefill: (params, batch, cache_len) -> (logits f32[B, V], cache).
        decode_step: (params, cache, tokens i32[B]) -> (logits f32[B, V], cache).
        encode_images: (params, u8[N, H, W, 3]) -> visual tokens [N, P, D], which
            may stand in a batch as `visual`, shared by its rows, for `images`.
        extend: (params, cache, batch) -> (logits f32[B, V], cache); the rows of the
            batch follow what is cached.
        branch: (params, cache, batch) -> logits f32[B, T, V]; each segment of a row
            follows what is cached and does not see the others.
    """

    config: VLMConfig
    init: Callable[..., Any]
    forward: Callable[..., jax.Array]
    token_losses: Callable[..., tuple[jax.Array, jax.Array]]
    prefill: Callable[..., Any]
    decode_step: Callable[..., Any]
    encode_images: Callable[..., jax.Array]
    extend: Callable[..., Any]
    branch: Callable[..., jax.Array]
    param_specs: Callable[..., Any]
    shapes: Callable[..., Any]


def dummy_batch(cfg: VLMConfig, num_images: int) -> dict[str, jax.Array]:
    """A smallest row batch: shapes for initialisation."""
    length = max(1, cfg.tokens_per_image * num_images)
    side = cfg.vision.image_size
    zeros = jnp.zeros((1, length), jnp.int32)
    return {
        "tokens": zeros,
        "positions": zeros,
        "segment_ids": zeros,
        "visual_index": zeros - 1,
        "images": jnp.zeros((1, num_images, side, side, 3), jnp.uint8),
    }


@functools.lru_cache(maxsize=16)
def make_model(cfg: VLMConfig) -> Model:
    """Binds the functions to an architecture (cached: jit caches stay warm)."""
    module = VLM(cfg)
    # The dummy batch is too short for a kernel that the config may ask for.
    decoder = dataclasses.replace(cfg.decoder, attention="xla")
    drawing = VLM(dataclasses.replace(cfg, decoder=decoder))

    def boxed(key, parts):
        num_images = 1 if set(parts) - {"decoder"} else 0
        params = drawing.init(key, dummy_batch(cfg, num_images))["params"]
        return {name: params[name] for name in parts}

    call = functools.partial(bind_method, module)
    return Model(
        cfg,
        forward=call("__call__"),
        token_losses=call("token_losses"),
        prefill=call("prefill"),
        decode_step=call("decode_step"),
        encode_images=call("encode_images"),
        extend=call("extend"),
        branch=call("branch"),
        **bind_parameters(boxed, PARTS)._asdict(),
    )
