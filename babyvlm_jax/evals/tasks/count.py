"""Object Counting: how many objects, one to twelve?"""

from babyvlm_jax.data.questions import NUMBER
from babyvlm_jax.evals.tasks import MATH, Leaderboard, Task

TASKS = (
    Task(
        name="count",
        title="Object Counting",
        order=120,
        group="Object Counting",
        domain=MATH,
        ages=(25, 42),
        answer=NUMBER,
        chance={"accuracy": 1 / 12},
        largest_number=12,
        breakdown=NUMBER,
        leaderboard=Leaderboard("baby_count", 6, {"accuracy": "acc"}),
    ),
)
