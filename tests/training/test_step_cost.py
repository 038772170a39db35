"""What a training step does not do, read off its program before XLA sees it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

from babyvlm_jax.models.config import DecoderConfig
from babyvlm_jax.models.vision import ViT
from babyvlm_jax.models.vlm import logits_chunk, make_model
from babyvlm_jax.training.config import OptimConfig
from babyvlm_jax.training.objectives.tokens import make_token_loss
from babyvlm_jax.training.optim import make_tx
from babyvlm_jax.training.state import make_state
from babyvlm_jax.training.step import make_train_step
from tests import tiny
from tests.programs import largest_rows, product_flops

FORM = tiny.FORMS["official"]
ROWS = 8


@functools.lru_cache
def step_jaxpr(trains, form=FORM):
    """The step's program, untouched by XLA."""
    model = make_model(form)
    batch = tiny.random_rows(form, 0, ROWS)
    optim = OptimConfig(trains=trains)
    tx = make_tx(optim, 10)
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        params = jax.eval_shape(model.init, jax.random.key(0))
        state = jax.eval_shape(
            lambda params: make_state(
                params, {}, tx, trains, mesh, model.param_specs()
            ),
            params,
        )
        step = make_train_step(make_token_loss(model), tx, trains, jax.random.key(0))
        return jax.make_jaxpr(step)(state, batch).jaxpr


@pytest.mark.integration
def test_frozen_vision_has_a_forward_pass_and_no_backward_pass():
    others = ("connector/.*", "decoder/.*")
    everything = product_flops(step_jaxpr((".*",)))
    frozen = product_flops(step_jaxpr(others))
    images = jax.ShapeDtypeStruct((ROWS * 2, 8, 8, 3), jnp.uint8)
    with jax.set_mesh(tiny.mesh_of()):
        vit = ViT(FORM.vision)
        params = jax.eval_shape(vit.init, jax.random.key(0), images)
        forward = product_flops(jax.make_jaxpr(vit.apply)(params, images).jaxpr)
    # A backward pass has two products for each one, but the pixels need none; and the
    # connector's first map need not find the gradient of what it reads.
    width, tokens = FORM.vision.width, FORM.vision.num_tokens
    stem = 2 * (ROWS * 2 * 4) * (4 * 4 * 3) * width
    reading = 2 * (ROWS * 2 * tokens) * width * FORM.connector.hidden_dim
    assert everything - frozen == 2 * forward - stem + reading


@pytest.mark.integration
def test_a_frozen_decoder_has_half_a_backward_pass():
    everything = product_flops(step_jaxpr((".*",)))
    connector = product_flops(step_jaxpr(("connector/.*",)))
    assert connector < 0.75 * everything


@pytest.mark.integration
def test_logits_never_exist_as_a_whole():
    decoder = dataclasses.replace(FORM.decoder, logits_chunk=6)
    chunked = dataclasses.replace(FORM, decoder=decoder)
    width = FORM.decoder.padded_vocab_size
    assert largest_rows(step_jaxpr((".*",)), width) == ROWS * 24 * width
    # the table has 32 rows, a chunk 8 x 6
    assert largest_rows(step_jaxpr((".*",), chunked), width) == ROWS * 6 * width


def test_long_rows_take_their_logits_in_chunks():
    published = DecoderConfig()
    assert logits_chunk(published, 8192) == 1024
    assert logits_chunk(published, 1024) == 1024
    assert logits_chunk(DecoderConfig(vocab_size=32000), 2048) == 256
    assert logits_chunk(dataclasses.replace(published, logits_chunk=300), 8192) == 300
    nursery = DecoderConfig(vocab_size=1024, width=128, num_heads=4)
    assert logits_chunk(nursery, 288) == 288
