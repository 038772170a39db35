"""Subitizing: how many objects, one to four? Never trained on."""

from babyvlm_jax.data.questions import NUMBER
from babyvlm_jax.evals.tasks import MATH, Task

TASKS = (
    Task(
        name="subitize",
        title="Subitizing",
        order=110,
        group="Subitizing",
        domain=MATH,
        ages=(25, 42),
        answer=NUMBER,
        chance={"accuracy": 1 / 4},
        held_out=True,
        largest_number=4,
        breakdown=NUMBER,
    ),
)
