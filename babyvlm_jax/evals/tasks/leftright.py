"""Left/Right: which of three images is the query, and not a flip of it?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import EXECUTIVE, Leaderboard, Task

TASKS = (
    Task(
        name="leftright",
        title="Left/Right",
        order=40,
        group="Left/Right",
        domain=EXECUTIVE,
        ages=(1, 42),
        answer=LETTER,
        chance={"accuracy": 1 / 3},
        leaderboard=Leaderboard("baby_leftright", 2, {"accuracy": "acc"}),
    ),
)
