"""The only user of Orbax: save, restore, warm start, load for evaluation.

A work directory holds `checkpoints/STEP/` with three items: `params`; `train`
(optimizer state and what else only a resumed run needs); and `data`, facts by which a
resumed run recognises its data. A checkpoint appears under its name when all of it is
there, and `whole` tells whether all of it still is.
"""

from babyvlm_jax.training.checkpoint.opening import (
    check_tokenizer,
    is_contrastive,
    load_model,
    load_pair_model,
    load_tokenizer,
    model_in,
)
from babyvlm_jax.training.checkpoint.reading import (
    ITEMS,
    abstract_params,
    begin,
    check_source,
    newest_step,
    read_facts,
    restore_params,
    warm_start,
)
from babyvlm_jax.training.checkpoint.saving import Checkpoints, save_params

__all__ = [
    "ITEMS",
    "Checkpoints",
    "abstract_params",
    "begin",
    "check_source",
    "check_tokenizer",
    "is_contrastive",
    "load_model",
    "load_pair_model",
    "load_tokenizer",
    "model_in",
    "newest_step",
    "read_facts",
    "restore_params",
    "save_params",
    "warm_start",
]
