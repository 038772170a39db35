"""Spatial Details: which of three images contains exactly the query's object?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import EXECUTIVE, Leaderboard, Task

TASKS = (
    Task(
        name="spatialdetails",
        title="Spatial Details",
        order=50,
        group="Spatial Details",
        domain=EXECUTIVE,
        ages=(1, 42),
        answer=LETTER,
        chance={"accuracy": 1 / 3},
        leaderboard=Leaderboard("baby_spatialdetails", 3, {"accuracy": "acc"}),
    ),
)
