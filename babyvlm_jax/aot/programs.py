"""The jitted programs of a run, and arguments for them that are only shapes.

They are made by the functions that training and evaluation use; what is compiled here
is what runs there.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from babyvlm_jax import sharding
from babyvlm_jax.data.tokenizer import EOS_ID
from babyvlm_jax.evals.engine import ANSWERS_STEP, make_greedy, make_scores
from babyvlm_jax.evals.reader import RowTokens
from babyvlm_jax.evals.reader import collate as collate_rows
from babyvlm_jax.models.vlm import make_model
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training.checkpoint import abstract_params
from babyvlm_jax.training.objectives import make_objective
from babyvlm_jax.training.objectives.base import BaseObjective
from babyvlm_jax.training.preflight import check_run
from babyvlm_jax.training.settings import TrainSettings
from babyvlm_jax.training.state import abstract_state

READING = ("eval", "decode")  # programs without an update
NEW_TOKENS = 32  # ours: the longest answer of a benchmark is a few words


def make_program(run: TrainSettings, mesh: Mesh, what: str) -> tuple[Any, tuple]:
    """A jitted function and the arguments to lower it with; the mesh must be set.

    Args:
        run: the settings; its batch is the global one.
        mesh: devices to compile for.
        what: `train` (the step of the phase), `dino` (the same, of a vision phase),
            `eval` (likelihood of answers) or `decode` (greedy answers).

    Raises:
        UserError: the settings have no such program.
    """
    objective = make_objective(run)
    if what not in objective.PROGRAMS:
        raise UserError(
            f"--what={what} does not go with config.loss {run.loss!r}, which has "
            f"{', '.join(objective.PROGRAMS)}"
        )
    check_run(objective, mesh)
    batch = abstract_batch(objective, mesh)
    if has_update(what):
        state = state_shapes(objective, mesh)
        places = jax.tree.map(lambda leaf: leaf.sharding, state)

        def step(state, batch):
            # The key is made under the trace: outside there is no device for it.
            return objective.step(jax.random.key(run.seed))(state, batch)

        jitted = jax.jit(step, donate_argnums=0, out_shardings=(places, None))
        return jitted, (state, batch)
    model = make_model(run.model)
    params = abstract_params(model, mesh, run.parts)
    length = batch["tokens"].shape[1]
    if what == "eval":

        def likelihoods(params, batch, answers, firsts):
            logits, cache = model.prefill(params, batch, length + ANSWERS_STEP)
            return make_scores(model.branch)(params, logits, cache, answers, firsts)

        answers, firsts = abstract_answers(run, mesh)
        answers["visual"] = jax.eval_shape(model.encode_images, params, picture(run))
        return jax.jit(likelihoods), (params, batch, answers, firsts)
    greedy = make_greedy(model.decode_step, NEW_TOKENS, EOS_ID)

    def decode(params, batch):
        return greedy(params, *model.prefill(params, batch, length + NEW_TOKENS))

    return jax.jit(decode), (params, batch)


def has_update(what: str) -> bool:
    """Whether a program is a training step, by whichever name."""
    return what not in READING


def state_shapes(objective: BaseObjective, mesh: Mesh):
    """The phase's state as shapes with shardings."""
    params, extra = objective.shapes()
    trains = objective.run.optim.trains
    return abstract_state(params, extra, objective.tx, trains, mesh, objective.specs)


def abstract_batch(
    objective: BaseObjective, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """A global batch as shapes with shardings."""
    return _abstract_rows(objective.synthetic(1), objective.run, mesh)


def abstract_answers(run: TrainSettings, mesh: Mesh) -> tuple[dict, dict]:
    """What `engine.make_scores` scores behind a prompt, as shapes with shardings."""
    row = collate_rows([RowTokens(np.zeros(0, np.int32))], ANSWERS_STEP)
    firsts = {
        "ids": np.zeros((1, ANSWERS_STEP), np.int32),
        "counted": np.zeros((1, ANSWERS_STEP), bool),
    }
    return _abstract_rows(row, run, mesh), _abstract_rows(firsts, run, mesh)


def picture(run: TrainSettings) -> jax.ShapeDtypeStruct:
    """One picture, uint8."""
    side = run.data.image_size
    return jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)


def _abstract_rows(row, run, mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """One row's arrays as those of a global batch."""
    place = sharding.batch_sharding(mesh)
    return {
        key: jax.ShapeDtypeStruct(
            (run.data.batch_size, *value.shape[1:]), value.dtype, sharding=place
        )
        for key, value in row.items()
    }
