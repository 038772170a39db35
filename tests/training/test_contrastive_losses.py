"""Contrastive losses: the plain formulas, any chunk, any mesh, linear memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from babyvlm_jax import sharding
from babyvlm_jax.training.objectives.contrastive import count_chunks, infonce, siglip
from tests import tiny
from tests.chosen import some

SCALE, BIAS = 5.0, -1.5


def points(num_pairs, width=8, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, num_pairs, width)).astype(np.float32)
    return tuple(v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, y))


def plain_infonce(x, y):
    """Cross-entropy of rows and of columns, all in f64."""
    z = SCALE * x.astype(np.float64) @ y.T.astype(np.float64)
    rows = np.log(np.exp(z).sum(1)) - np.diag(z)
    columns = np.log(np.exp(z).sum(0)) - np.diag(z)
    return (rows + columns).sum() / 2


def plain_siglip(x, y):
    z = SCALE * x.astype(np.float64) @ y.T.astype(np.float64) + BIAS
    signs = 2 * np.eye(len(x)) - 1
    return np.log1p(np.exp(-signs * z)).sum()


LOSSES = {
    "infonce": (lambda x, y, v, c: infonce(x, y, v, SCALE, c), plain_infonce),
    "siglip": (lambda x, y, v, c: siglip(x, y, v, SCALE, BIAS, c), plain_siglip),
}


def test_infonce_by_hand():
    # two pairs, orthogonal: each picture has similarity 5 with its own text, 0 else
    x = np.eye(2, dtype=np.float32)
    with jax.set_mesh(tiny.mesh_of()):
        loss = jax.jit(lambda x: infonce(x, x, np.ones(2, bool), SCALE, 8))
        total, count = loss(x)
    assert float(total) == pytest.approx(2 * np.log(1 + np.exp(-5)), rel=1e-5)
    assert float(count) == 2


@pytest.mark.parametrize("chunk", [1, 12])
@pytest.mark.parametrize("name", LOSSES)
def test_any_chunk_gives_the_plain_formula(name, chunk):
    loss, plain = LOSSES[name]
    x, y = points(12)
    with jax.set_mesh(tiny.mesh_of()):
        total, count = jax.jit(lambda x, y: loss(x, y, np.ones(12, bool), chunk))(x, y)
    assert float(total) == pytest.approx(plain(x, y), rel=1e-6)
    assert float(count) == 12


@pytest.mark.parametrize("name", LOSSES)
def test_rows_that_fill_a_batch_do_not_count(name):
    loss, plain = LOSSES[name]
    x, y = points(12)
    valid = np.arange(12) < 7
    with jax.set_mesh(tiny.mesh_of()):
        step = jax.value_and_grad(lambda x: loss(x, y, valid, 3), has_aux=True)
        (total, count), grads = jax.jit(step)(x)
    assert float(total) == pytest.approx(plain(x[:7], y[:7]), rel=1e-6)
    assert float(count) == 7
    assert np.all(np.asarray(grads)[7:] == 0)
    assert np.all(np.any(np.asarray(grads)[:7] != 0, axis=1))


@pytest.mark.parametrize(
    ("name", "sizes"),
    some(
        [("infonce", {"data": 8}), ("siglip", {"data": 8})], [("siglip", {"data": 8})]
    ),
)
def test_many_devices_give_what_one_gives(name, sizes, capfd):
    loss, _ = LOSSES[name]
    x, y = points(64, width=32)
    valid = np.arange(64) < 60

    def mean(x, y, valid):
        total, count = loss(x, y, valid, 16)
        return total / count

    found = {}
    for number, mesh in enumerate((tiny.mesh_of(), tiny.mesh_of(**sizes))):
        with jax.set_mesh(mesh):
            placed = sharding.put_batch(mesh, {"x": x, "y": y, "valid": valid})
            step = jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))
            found[number] = jax.device_get(step(*placed.values()))
    # 1e-6: sums in another order, in f32
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-6)
    for one, many in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(many, one, atol=1e-6)
    assert "Involuntary full rematerialization" not in capfd.readouterr().err


def temporaries(name, num_pairs, chunk, mesh):
    """Bytes that a device needs beside arguments and results, forwards and back."""
    loss, _ = LOSSES[name]

    def mean(x, y, valid):
        return loss(x, y, valid, chunk)[0] / num_pairs

    place = sharding.batch_sharding(mesh)
    shaped = functools.partial(jax.ShapeDtypeStruct, sharding=place)
    given = [shaped((num_pairs, 16), jnp.float32)] * 2 + [shaped((num_pairs,), bool)]
    with jax.set_mesh(mesh):
        step = jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))
        made = step.lower(*given).compile().memory_analysis()
    return made.temp_size_in_bytes


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "ways"),
    [pytest.param("infonce", 1, marks=pytest.mark.slow), ("infonce", 8)],
)
def test_memory_grows_linearly_with_the_batch(name, ways):
    mesh = tiny.mesh_of(data=ways)
    sizes = [2048, 4096, 8192]
    small, middle, large = (temporaries(name, n, 64, mesh) for n in sizes)
    # straight: the second step adds twice what the first does, and hardly more
    assert large - middle < 2.2 * (middle - small)
    # 64 rows of f32 similarities, several copies of them, and the embeddings: far from
    # the square, which takes 4 * 8192^2 bytes
    assert large < 4 * 8192**2 / 8


@pytest.mark.integration
def test_without_chunks_memory_grows_with_the_square():
    one, twice = (temporaries("infonce", n, n, tiny.mesh_of()) for n in (1024, 2048))
    assert twice > 3.5 * one


@pytest.mark.parametrize(
    ("rows", "chunk", "ways", "expected"),
    [
        *((12, 5, 1, 3), (12, 12, 1, 1), (12, 99, 1, 1), (7, 2, 1, 7)),
        # on 4 devices: 3 rows each; a chunk has as many of every device
        *((12, 5, 4, 3), (12, 8, 4, 3), (12, 12, 4, 1), (12, 1, 4, 3)),
    ],
)
def test_chunks_are_equal_and_all_devices_have_a_share(rows, chunk, ways, expected):
    assert count_chunks(rows, chunk, ways) == expected
