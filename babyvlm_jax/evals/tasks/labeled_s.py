"""Labeled-S (BabyVLM V1): which of four images is the word's?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import LANGUAGE, MATCH, V1, WORD, Task

TASKS = (
    Task(
        name="labeled_s",
        title="Labeled-S",
        order=130,
        group="Labeled-S",
        domain=LANGUAGE,
        ages=(6, 25),
        answer=LETTER,
        chance={"accuracy": 1 / 4},
        held_out=True,
        breakdown=WORD,
        benchmark=V1,
        protocols=(MATCH,),
    ),
)
