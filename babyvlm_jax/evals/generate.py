"""Mechanism `generate`: the greedy answer to each record's last question."""

from collections.abc import Callable, Sequence

import numpy as np

from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.decode import make_greedy
from babyvlm_jax.evals.predictors import Predictor, fetch


def generate(
    predictor: Predictor,
    records: Sequence[Record],
    max_new_tokens: int,
    progress: Callable[[int], object],
) -> list[str]:
    """Answers the last human turn of every record.

    The record's own last assistant turn is not shown to the model.

    Args:
        predictor: the checkpoint.
        records: questions; earlier assistant turns are part of the prompt.
        max_new_tokens: where an answer is cut off.
        progress: is told the number of new answers.

    Returns:
        The answers, stripped of surrounding space, in the order of the records.
    """
    model, tokenizer = predictor.model, predictor.tokenizer
    greedy = make_greedy(
        model.prefill, model.decode_step, max_new_tokens, tokenizer.eos_id
    )
    encoded = [predictor.encode(record, answer=False) for record in records]
    answers = [""] * len(records)
    for indices, batch in predictor.batches(encoded):
        rows = fetch(greedy(predictor.params, batch))
        for index, row in zip(indices, rows, strict=False):
            answers[index] = detokenize(tokenizer, row)
        progress(len(indices))
    return answers


def detokenize(tokenizer: Tokenizer, row: np.ndarray) -> str:
    """Text of the tokens before the first `<eos>`, stripped of surrounding space.

    The official strip comes before scoring: the strict direction scorer would count
    the space that begins a generated answer as an error. Ids that the tokenizer lacks
    leave no trace: the model's table may be wider.
    """
    tokens = row.tolist()
    if tokenizer.eos_id in tokens:
        tokens = tokens[: tokens.index(tokenizer.eos_id)]
    known = [token for token in tokens if token < tokenizer.vocab_size]
    return tokenizer.decode(known).strip()
