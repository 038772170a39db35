"""Looking While Listening: which of two images is the word's? Never trained on."""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import LANGUAGE, Task

TASKS = (
    Task(
        name="lwl",
        title="Looking While Listening",
        order=10,
        group="Looking While Listening",
        domain=LANGUAGE,
        ages=(6, 24),
        answer=LETTER,
        chance={"accuracy": 1 / 2},
        held_out=True,
    ),
)
