"""SAYCam Caption (BabyVLM V1): describe the image."""

from babyvlm_jax.evals.tasks import CAPTION, GENERATE, LANGUAGE, V1, Task

TASKS = (
    Task(
        name="caption",
        title="SAYCam Caption",
        order=160,
        group="SAYCam Caption",
        domain=LANGUAGE,
        ages=(6, 25),
        answer=CAPTION,
        # replaced by what the references of other items score
        chance=dict.fromkeys(("meteor_exact", "meteor", "meteor_wordnet", "bleu"), 0.0),
        primary="meteor_exact",
        headline=False,  # not a share of right answers
        held_out=True,
        benchmark=V1,
        protocols=(GENERATE,),
    ),
)
