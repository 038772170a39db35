"""Baby Winoground (BabyVLM V1): two images and two phrases, which belong together?"""

from babyvlm_jax.data.questions import LETTER
from babyvlm_jax.evals.tasks import DIFFERENCE, LANGUAGE, MATCH, V1, Leaderboard, Task

TASKS = (
    Task(
        name="winoground",
        title="Baby Winoground",
        order=150,
        group="Baby Winoground",
        domain=LANGUAGE,
        ages=(18, 24),
        answer=LETTER,
        # of four independent scores; see `scoring.winoground_metrics`
        chance={
            "image": 1 / 4,
            "text": 1 / 4,
            "group": 1 / 6,
            "positive_context_group": 1 / 3,
            "negative_context_group": 1 / 3,
            "positive_context_text": 1 / 2,
            "negative_context_text": 1 / 2,
        },
        primary="group",
        held_out=True,
        breakdown=DIFFERENCE,
        benchmark=V1,
        protocols=(MATCH,),
        ties_fail=True,
        score_eos=True,  # BabyVLM-V2's evaluator: the mean goes over <eos> too
        leaderboard=Leaderboard(
            "baby_winoground",
            7,
            {"group": "group_score", "image": "image_score", "text": "text_score"},
        ),
    ),
)
