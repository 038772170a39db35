"""Delayed Memory: a dialogue of 15 rounds, each asking for the new image."""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import EXECUTIVE, ROUND, Leaderboard, Task

TASKS = (
    Task(
        name="memory",
        title="Delayed Memory",
        order=80,
        group="Delayed Memory",
        domain=EXECUTIVE,
        ages=(22, 42),
        answer=LETTER,
        # 15 rounds, the first with one option: (1 + 4 / 2) / 5; both of two: 1 / 4.
        chance={"learning": 3 / 5, "raw": 1 / 2, "adjusted": 1 / 4},
        primary="adjusted",
        breakdown=ROUND,
        leaderboard=Leaderboard(
            "baby_memory",
            10,
            {
                "learning": "acc_learning",
                "raw": "acc_testing_raw",
                "adjusted": "acc_testing_adjusted",
            },
        ),
    ),
)
