import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.evals.decode import make_greedy

EOS = 3
#         0  1  2  3  4  5  6  7: what follows each token
FOLLOW = [0, 0, 0, 0, 5, 6, 3, 7]


def prefill(params, batch, cache_len):
    last = batch["tokens"][:, -1]
    return jax.nn.one_hot(params[last], 8), jnp.full(last.shape, cache_len)


def decode_step(params, cache, tokens):
    return jax.nn.one_hot(params[tokens], 8), cache - 1


def run(rows, max_new_tokens):
    greedy = make_greedy(prefill, decode_step, max_new_tokens, EOS)
    return np.asarray(greedy(jnp.array(FOLLOW), {"tokens": jnp.array(rows)})).tolist()


def test_rows_end_at_their_own_eos():
    rows = [[0, 4], [0, 5], [0, 6], [0, 7]]
    assert run(rows, 4) == [
        [5, 6, EOS, EOS],
        [6, EOS, EOS, EOS],
        [EOS, EOS, EOS, EOS],
        [7, 7, 7, 7],  # never ends: cut off
    ]


def test_one_new_token():
    assert run([[0, 4]], 1) == [[5]]


def test_compiles_once_per_shape_and_is_shared():
    greedy = make_greedy(prefill, decode_step, 5, EOS)
    assert make_greedy(prefill, decode_step, 5, EOS) is greedy
    for shape in [(2, 3), (2, 3), (2, 6), (2, 3)]:
        greedy(jnp.array(FOLLOW), {"tokens": jnp.full(shape, 7)})
    assert greedy._cache_size() == 2


def test_stops_when_all_rows_have_ended():
    steps = []

    def counting_step(params, cache, tokens):
        jax.debug.callback(lambda: steps.append(1))
        return decode_step(params, cache, tokens)

    greedy = make_greedy(prefill, counting_step, 6, EOS)
    rows = {"tokens": jnp.array([[6], [5]])}
    assert greedy(jnp.array(FOLLOW), rows).tolist() == [[EOS] * 6, [6] + [EOS] * 5]
    jax.effects_barrier()
    assert len(steps) == 1
