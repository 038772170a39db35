"""Visual Delayed Response: where does the object leave the frame?"""

from babyvlm_jax.data.questions import DIRECTION
from babyvlm_jax.evals.tasks import EXECUTIVE, Leaderboard, Task

TASKS = (
    Task(
        name="vdr_binary",
        title="Visual Delayed Response",
        order=60,
        group="Visual Delayed Response",
        domain=EXECUTIVE,
        ages=(22, 42),
        answer=DIRECTION,
        # Two opposite sides are offered; their neighbours are never offered.
        chance={"exact": 1 / 2, "adjacent": 1 / 2},
        primary="exact",
        breakdown=DIRECTION,
        leaderboard=Leaderboard(
            "baby_vdr_binary", 8, {"exact": "acc_exact", "adjacent": "acc_adjacent"}
        ),
    ),
    Task(
        name="vdr_open",
        title="Visual Delayed Response (open)",
        order=70,
        group="Visual Delayed Response",
        domain=EXECUTIVE,
        ages=(22, 42),
        answer=DIRECTION,
        chance={"exact": 1 / 8, "adjacent": 3 / 8},
        primary="exact",
        breakdown=DIRECTION,
        headline=False,
        leaderboard=Leaderboard(
            "baby_vdr_open", 9, {"exact": "acc_exact", "adjacent": "acc_adjacent"}
        ),
    ),
)
