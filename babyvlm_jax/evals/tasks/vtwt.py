"""Visual Two-Word Test (BabyVLM V1): which of two phrases describes the image?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import DIFFERENCE, LANGUAGE, MATCH, V1, Task

TASKS = (
    Task(
        name="vtwt",
        title="Visual Two-Word Test",
        order=140,
        group="Visual Two-Word Test",
        domain=LANGUAGE,
        ages=(18, 24),  # the two-word stage
        answer=LETTER,
        chance={"accuracy": 1 / 2},
        held_out=True,
        breakdown=DIFFERENCE,
        benchmark=V1,
        protocols=(MATCH,),
    ),
)
