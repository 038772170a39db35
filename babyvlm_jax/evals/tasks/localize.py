"""Localization: in which quadrant of the image is the object?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import LANGUAGE, QUADRANT, Leaderboard, Task

TASKS = (
    Task(
        name="localize",
        title="Localization",
        order=30,
        group="Localization",
        domain=LANGUAGE,
        ages=(1, 42),
        answer=LETTER,
        chance={"accuracy": 1 / 4},
        breakdown=QUADRANT,
        leaderboard=Leaderboard("baby_localize", 1, {"accuracy": "acc"}),
    ),
)
