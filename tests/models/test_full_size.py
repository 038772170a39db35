"""The published V2 model whole, in bfloat16, on this machine."""

import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax.models.config import VLMConfig
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.fields import from_dict
from configs.models import MODELS
from tests import tiny

NUM_NEW, LENGTH = 8, 208  # a picture of 197 tokens and eleven words


@pytest.mark.slow
def test_v2_initialises_and_decodes_within_24_gib():
    cfg = from_dict(VLMConfig, MODELS["v2"])
    model = make_model(cfg)
    # A part at a time: fewer leaves are being made at once.
    make = jax.jit(model.init, static_argnums=1)
    params = {}
    for part in ("decoder", "vision", "connector"):
        params |= jax.block_until_ready(make(jax.random.key(0), (part,)))
    assert tiny.count(params) == 303_301_632 + 6_295_552 + 993_617_920
    visual = np.arange(LENGTH)[None] - 1
    batch = {
        "tokens": np.arange(LENGTH)[None] % 6000,
        "positions": np.arange(LENGTH)[None],
        "segment_ids": np.ones((1, LENGTH), np.int32),
        "visual_index": np.where(visual < cfg.tokens_per_image, visual, -1),
        "images": np.random.default_rng(0)
        .integers(0, 256, (1, 1, 224, 224, 3))
        .astype(np.uint8),
    }
    prefill = jax.jit(model.prefill, static_argnums=2)
    logits, cache = prefill(params, batch, LENGTH + NUM_NEW)
    whole = jax.jit(model.forward)(params, batch)[:, -1]
    assert cache["k"].dtype == jnp.bfloat16
    # Logits are of the order of 1, bfloat16 steps of 2^-8, and two programs add up in
    # other orders.
    np.testing.assert_allclose(logits[:, :6000], whole[:, :6000], atol=0.1)
    decode_step = jax.jit(model.decode_step, donate_argnums=1)
    chosen = []
    for _ in range(NUM_NEW):
        chosen.append(int(jnp.argmax(logits[0])))
        logits, cache = decode_step(params, cache, jnp.array(chosen[-1:]))
        assert np.isfinite(logits[0, :6000]).all()
    assert decode_step._cache_size() == 1
    assert max(chosen) < 6000
    assert cache["lengths"].tolist() == [LENGTH + NUM_NEW]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB")
    assert peak < 24
