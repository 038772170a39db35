"""Packed rows, pictures in their places, and decoding with a cache."""

import jax
import numpy as np
import pytest

from babyvlm_jax.losses import token_nll
from babyvlm_jax.models.config import PARTS
from babyvlm_jax.models.layers import NEVER, vocabulary_scores
from babyvlm_jax.models.vlm import gather_visual, image_ordinals
from tests import tiny
from tests.chosen import some

PROMPT_LEN, NUM_NEW = 12, 6


@pytest.fixture(params=some(sorted(tiny.FORMS), ("nursery",)))
def bench(request):
    return tiny.bench(request.param)


def record(bench, seed, num_words, num_images):
    return tiny.example(seed, num_words, num_images, bench.model.config)


def five_rows(bench, groups):
    """The groups, and empty rows up to five: one shape, one compilation."""
    groups = [*groups, *[[]] * (5 - len(groups))]
    return tiny.rows(groups, bench.model.config, seq_len=32, max_images=4)


def losses(bench, batch):
    """f32[B, T] loss of every token."""
    logits = np.asarray(bench.forward(bench.params, batch))
    chosen = np.take_along_axis(logits, batch["targets"][..., None], axis=-1)[..., 0]
    return np.logaddexp.reduce(logits, axis=-1) - chosen


def test_a_packed_row_gives_each_record_the_losses_it_has_alone(bench):
    a, b, c = (record(bench, i, words, 1) for i, words in enumerate((3, 5, 2)))
    d, e = record(bench, 3, 4, 2), record(bench, 4, 7, 0)
    packed = losses(bench, five_rows(bench, [[a, b, c], [d, e]]))
    alone = losses(bench, five_rows(bench, [[a], [b], [c], [d], [e]]))
    place = iter(range(5))
    for row, group in enumerate(((a, b, c), (d, e))):
        start = 0
        for one in group:
            size = len(one.encoded.tokens)
            np.testing.assert_allclose(
                packed[row, start : start + size],
                alone[next(place), :size],
                atol=1e-5,  # f32 sums over another number of masked keys
            )
            start += size


def test_a_record_sees_its_own_past_and_nothing_of_its_neighbours(bench):
    first, second = record(bench, 0, 4, 1), record(bench, 1, 4, 1)
    other = record(bench, 2, 4, 1)
    cut = len(first.encoded.tokens)
    before = np.asarray(
        bench.forward(bench.params, five_rows(bench, [[first, second]]))
    )
    after = np.asarray(bench.forward(bench.params, five_rows(bench, [[other, second]])))
    end = cut + len(second.encoded.tokens)
    np.testing.assert_array_equal(before[0, cut:end], after[0, cut:end])
    assert np.abs(before[0, 2:cut] - after[0, 2:cut]).max(axis=-1).min() > 1e-3


def test_a_picture_changes_what_follows_it_and_nothing_before(bench):
    one = record(bench, 0, 4, 1)
    batch = five_rows(bench, [[one]])
    darker = {**batch, "images": batch["images"] // 2}
    difference = np.abs(
        np.asarray(bench.forward(bench.params, batch))
        - np.asarray(bench.forward(bench.params, darker))
    ).max(axis=-1)[0]
    assert difference[0] == 0.0
    assert difference[1 : len(one.encoded.tokens)].min() > 1e-4


def prompts(bench, lengths):
    """One record a row, cut to `lengths`, in PROMPT_LEN tokens."""
    config = bench.model.config
    groups = [[record(bench, i, PROMPT_LEN, 1)] for i in range(len(lengths))]
    batch = tiny.rows(groups, config, seq_len=24, max_images=1)
    batch = {
        key: value[:, :PROMPT_LEN] if value.ndim == 2 and key != "image_mask" else value
        for key, value in batch.items()
    }
    keep = np.arange(PROMPT_LEN) < np.array(lengths)[:, None]
    batch["segment_ids"] = np.where(keep, 1, 0).astype(np.int32)
    batch["visual_index"] = np.where(keep, batch["visual_index"], -1)
    batch["tokens"] = np.where(keep, batch["tokens"], 0)
    return batch


def greedy_uncached(bench, batch, lengths):
    """Logits of each new token, from a forward pass over the whole growing prefix."""
    grow = ((0, 0), (0, NUM_NEW))
    whole = {
        **batch,
        "tokens": np.pad(batch["tokens"], grow),
        "segment_ids": np.pad(batch["segment_ids"], grow),
        "visual_index": np.pad(batch["visual_index"], grow, constant_values=-1),
        "positions": np.tile(np.arange(PROMPT_LEN + NUM_NEW), (len(lengths), 1)),
    }
    ends, rows, out = np.array(lengths), np.arange(len(lengths)), []
    for _ in range(NUM_NEW):
        logits = np.asarray(bench.forward(bench.params, whole))[rows, ends - 1]
        out.append(logits)
        whole["tokens"][rows, ends] = logits.argmax(-1)
        whole["segment_ids"][rows, ends] = 1
        ends = ends + 1
    return np.stack(out)


def greedy_cached(bench, batch):
    logits, cache = bench.prefill(bench.params, batch, PROMPT_LEN + NUM_NEW)
    out = [np.asarray(logits)]
    for _ in range(NUM_NEW - 1):
        tokens = out[-1].argmax(axis=-1).astype(np.int32)
        logits, cache = bench.decode_step(bench.params, cache, tokens)
        out.append(np.asarray(logits))
    return np.stack(out)


def test_decoding_with_a_cache_equals_a_pass_over_the_whole_prefix(bench):
    lengths = (12, 9, 7)
    batch = prompts(bench, lengths)
    cached = greedy_cached(bench, batch)
    uncached = greedy_uncached(bench, batch, lengths)
    real = slice(0, tiny.VOCAB)
    # f32 matmuls of other shapes round otherwise; logits are of the order of 10
    np.testing.assert_allclose(cached[..., real], uncached[..., real], atol=2e-4)
    np.testing.assert_array_equal(cached.argmax(-1), uncached.argmax(-1))


def with_loud_padding(bench):
    """The parameters, with rows of the vocabulary that no token has a million-fold."""
    loud = np.where(np.arange(128) < tiny.VOCAB, 1, 1e6).astype(np.float32)
    decoder = dict(bench.params["decoder"])
    for name, factor in (("embed", loud[:, None]), ("head", loud)):
        if name in decoder:  # placed as it was, so that no program is made anew
            louder = np.asarray(decoder[name]) * factor
            decoder[name] = jax.device_put(louder, decoder[name].sharding)
    return {**bench.params, "decoder": decoder}


def test_padded_vocabulary_is_never_chosen(bench):
    params = with_loud_padding(bench)
    batch = prompts(bench, (12, 9, 7))
    logits, cache = bench.prefill(params, batch, PROMPT_LEN + NUM_NEW)
    for _ in range(2):
        assert logits.shape == (3, 128)
        values = np.asarray(logits)
        assert (values[:, tiny.VOCAB :] == NEVER).all()
        token = values.argmax(axis=-1).astype(np.int32)
        assert token.max() < tiny.VOCAB
        logits, cache = bench.decode_step(params, cache, token)


def test_padded_vocabulary_is_never_counted(bench):
    batch = five_rows(bench, [[record(bench, 0, 4, 1)]])
    targets, mask = batch["targets"], batch["loss_mask"]
    plain, loud = (
        jax.jit(token_nll)(np.asarray(bench.forward(params, batch)), targets, mask)
        for params in (bench.params, with_loud_padding(bench))
    )
    assert plain[0] == loud[0] and plain[1] == loud[1] == 4


def test_padded_rows_of_the_output_map_get_no_gradient():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 8)).astype(np.float32)
    table = 10 * rng.normal(size=(8, 128)).astype(np.float32)
    targets, mask = np.ones((2, 3), np.int32), np.ones((2, 3), bool)

    def nll(table):
        return token_nll(vocabulary_scores(x, table, tiny.VOCAB), targets, mask)[0]

    gradient = np.asarray(jax.jit(jax.grad(nll))(table))
    assert (gradient[:, tiny.VOCAB :] == 0).all()
    assert (np.abs(gradient[:, : tiny.VOCAB]).max(axis=0) > 0).all()


def test_init_makes_only_the_parts_asked_for(bench):
    shapes = bench.model.shapes(("decoder",))
    assert set(shapes) == {"decoder"}
    assert set(bench.params) == set(PARTS)
    assert jax.tree.map(np.shape, shapes["decoder"]) == jax.tree.map(
        np.shape, bench.params["decoder"]
    )


def test_image_ordinals_with_one_token_an_image():
    visual = np.array([[-1, 0, -1, 1, -1, 2], [-1, 3, 3, -1, -1, -1]])
    positions = np.array([[0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 0, 0]])
    assert image_ordinals(visual, positions, 1).tolist() == [
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 2, 0, 0],
    ]


def test_image_ordinals_with_two_tokens_an_image():
    visual = np.array([[-1, 0, 1, 2, 3, -1, -1, 4, 5, -1]])
    positions = np.array([[0, 1, 2, 3, 4, 5, 0, 1, 2, 3]])
    assert image_ordinals(visual, positions, 2).tolist() == [
        [0, 0, 0, 1, 1, 2, 0, 0, 0, 1]
    ]


def test_gather_visual_puts_tokens_where_they_are_named():
    visual = np.array([[[10.0], [11.0], [12.0]], [[20.0], [21.0], [22.0]]])
    index = np.array([[-1, 2, 0, 2], [1, -1, -1, 0]])
    assert gather_visual(visual, index)[..., 0].tolist() == [
        [10.0, 12.0, 10.0, 12.0],
        [21.0, 20.0, 20.0, 20.0],
    ]
