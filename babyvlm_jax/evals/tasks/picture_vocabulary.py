"""Picture Vocabulary: which of four images is the word's?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import LANGUAGE, WORD, Leaderboard, Task

TASKS = (
    Task(
        name="picture_vocabulary",
        title="Picture Vocabulary",
        order=20,
        group="Picture Vocabulary",
        domain=LANGUAGE,
        ages=(25, 42),
        answer=LETTER,
        chance={"accuracy": 1 / 4},
        breakdown=WORD,
        leaderboard=Leaderboard("baby_pv", 0, {"accuracy": "acc"}),
    ),
)
