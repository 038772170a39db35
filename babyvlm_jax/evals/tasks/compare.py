"""Who Has More: which of two images shows more of the named objects?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import MATH, Leaderboard, Task

TASKS = (
    Task(
        name="compare_synthetic",
        title="Who Has More",
        order=90,
        group="Who Has More",
        domain=MATH,
        ages=(25, 42),
        answer=LETTER,
        chance={"accuracy": 1 / 2},
        leaderboard=Leaderboard("baby_compare_synthetic", 5, {"accuracy": "acc"}),
    ),
    Task(
        name="compare_real",
        title="Who Has More (naturalistic)",
        order=100,
        group="Who Has More",
        domain=MATH,
        ages=(25, 42),
        answer=LETTER,
        chance={"accuracy": 1 / 2},
        headline=False,
        leaderboard=Leaderboard("baby_compare_real", 4, {"accuracy": "acc"}),
    ),
)
