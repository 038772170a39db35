import jax
import jax.numpy as jnp
import numpy as np

from babyvlm_jax.evals.engine import detokenize, make_greedy
from tests.evals.fakes import WordTokenizer

EOS = 3
#         0  1  2  3  4  5  6  7: what follows each token
FOLLOW = [0, 0, 0, 0, 5, 6, 3, 7]


def decode_step(params, cache, tokens):
    return jax.nn.one_hot(params[tokens], 8), cache - 1


def begin(last):
    """Logits that follow the last tokens, and a cache."""
    last = jnp.array(last)
    return jax.nn.one_hot(jnp.array(FOLLOW)[last], 8), jnp.zeros(last.shape)


def run(last, max_new_tokens):
    greedy = make_greedy(decode_step, max_new_tokens, EOS)
    return np.asarray(greedy(jnp.array(FOLLOW), *begin(last))).tolist()


def test_rows_end_at_their_own_eos():
    assert run([4, 5, 6, 7], 4) == [
        [5, 6, EOS, EOS],
        [6, EOS, EOS, EOS],
        [EOS, EOS, EOS, EOS],
        [7, 7, 7, 7],  # never ends: cut off
    ]


def test_one_new_token():
    assert run([4], 1) == [[5]]


def test_compiles_once_per_shape_and_is_shared():
    greedy = make_greedy(decode_step, 5, EOS)
    assert make_greedy(decode_step, 5, EOS) is greedy
    for rows in (2, 2, 3, 2):
        greedy(jnp.array(FOLLOW), *begin([7] * rows))
    assert greedy._cache_size() == 2


def test_stops_when_all_rows_have_ended():
    steps = []

    def counting_step(params, cache, tokens):
        jax.debug.callback(lambda: steps.append(1))
        return decode_step(params, cache, tokens)

    greedy = make_greedy(counting_step, 6, EOS)
    found = greedy(jnp.array(FOLLOW), *begin([6, 5])).tolist()
    assert found == [[EOS] * 6, [6] + [EOS] * 5]
    jax.effects_barrier()
    assert len(steps) == 1


def test_detokenize_cuts_at_eos_and_strips():
    tokenizer = WordTokenizer()
    top, left = tokenizer.encode("top left")
    assert detokenize(tokenizer, np.array([top, left, 3, top])) == "top left"
    assert detokenize(tokenizer, np.array([top, left])) == "top left"
    assert detokenize(tokenizer, np.array([3, 3])) == ""
    assert detokenize(tokenizer, np.array([top, 128, 3])) == "top"
