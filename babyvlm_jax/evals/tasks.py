"""The task records: facts only, no code that runs a task.

Twelve are of DevCV (BabyVLM-V2), ten of them headline tasks, one for each DevCV task;
`vdr_open` and `compare_real` are the second variants of their group and appear as
extra rows. Four are of BabyVLM V1, its captions an extra row.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from babyvlm_jax.data.questions import DIRECTION, LETTER, NUMBER
from babyvlm_jax.runtime.errors import UserError

# Kinds of answers are LETTER, NUMBER, DIRECTION, and
CAPTION = "caption"

# Ways to ask a model.
GENERATE = "generate"
CHOICE = "choice"
MATCH = "match"
PROTOCOLS = (GENERATE, CHOICE, MATCH)

# Lines of breakdowns, beside NUMBER and DIRECTION.
WORD = "word"
QUADRANT = "quadrant"
ROUND = "round"
DIFFERENCE = "difference"

DEVCV = "devcv"
V1 = "v1"

QUADRANTS = ("top left", "top right", "bottom left", "bottom right")

LANGUAGE = "Language"
EXECUTIVE = "Executive Function/Memory"
MATH = "Math"


@dataclasses.dataclass(frozen=True)
class Task:
    """One benchmark task.

    Attributes:
        name: code name; the dataset is `BENCHMARK_NAME`, or `BENCHMARK_CORPUS_NAME`.
        title: name for people.
        group: the DevCV task it belongs to.
        ages: youngest and oldest, in months, that the adapted measure is for.
        domain: Language, Executive Function/Memory or Math.
        answer: kind of answer: `letter`, `number`, `direction` or `caption`.
        chance: metric -> expected value of guessing; its keys are the task's metrics.
        primary: the metric that is the task's score.
        headline: whether the row stands for its group.
        held_out: whether the task has no training set.
        largest_number: highest number that may be the answer (`number` only).
        breakdown: what its score is broken down by; "" for nothing.
        benchmark: `devcv` or `v1`.
        protocols: the ways in which it can be asked.
        ties_fail: `match` counts options of equal score as wrong, always.
        score_eos: likelihoods count the end of a text, whatever the settings.
        corpus: of an imported set, part of the dataset's name; "" for none.

    Source: BabyVLM-V2 and the DevCV Toolbox; chance from uniform guessing; ages from
    the NIH Baby Toolbox. BabyVLM (V1), whose recordings show a child of 6 to 25 months.
    """

    name: str
    title: str
    group: str
    domain: str
    ages: tuple[int, int]
    answer: str
    chance: Mapping[str, float]
    primary: str = "accuracy"
    headline: bool = True
    held_out: bool = False
    largest_number: int = 0
    breakdown: str = ""
    benchmark: str = DEVCV
    protocols: tuple[str, ...] = PROTOCOLS
    ties_fail: bool = False
    score_eos: bool = False
    corpus: str = ""

    @property
    def dataset(self) -> str:
        """Name of the dataset that holds the items."""
        return "_".join(filter(None, (self.benchmark, self.corpus, self.name)))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the task's metrics."""
        return tuple(self.chance)


def _accuracy(chance: float) -> dict[str, float]:
    return {"accuracy": chance}


TASKS = {
    task.name: task
    for task in (
        Task(
            name="lwl",
            title="Looking While Listening",
            group="Looking While Listening",
            domain=LANGUAGE,
            ages=(6, 24),
            answer=LETTER,
            chance=_accuracy(1 / 2),
            held_out=True,
        ),
        Task(
            name="picture_vocabulary",
            title="Picture Vocabulary",
            group="Picture Vocabulary",
            domain=LANGUAGE,
            ages=(25, 42),
            answer=LETTER,
            chance=_accuracy(1 / 4),
            breakdown=WORD,
        ),
        Task(
            name="localize",
            title="Localization",
            group="Localization",
            domain=LANGUAGE,
            ages=(1, 42),
            answer=LETTER,
            chance=_accuracy(1 / 4),
            breakdown=QUADRANT,
        ),
        Task(
            name="leftright",
            title="Left/Right",
            group="Left/Right",
            domain=EXECUTIVE,
            ages=(1, 42),
            answer=LETTER,
            chance=_accuracy(1 / 3),
        ),
        Task(
            name="spatialdetails",
            title="Spatial Details",
            group="Spatial Details",
            domain=EXECUTIVE,
            ages=(1, 42),
            answer=LETTER,
            chance=_accuracy(1 / 3),
        ),
        Task(
            name="vdr_binary",
            title="Visual Delayed Response",
            group="Visual Delayed Response",
            domain=EXECUTIVE,
            ages=(22, 42),
            answer=DIRECTION,
            # Two opposite sides are offered; their neighbours are never offered.
            chance={"exact": 1 / 2, "adjacent": 1 / 2},
            primary="exact",
            breakdown=DIRECTION,
        ),
        Task(
            name="vdr_open",
            title="Visual Delayed Response (open)",
            group="Visual Delayed Response",
            domain=EXECUTIVE,
            ages=(22, 42),
            answer=DIRECTION,
            chance={"exact": 1 / 8, "adjacent": 3 / 8},
            primary="exact",
            breakdown=DIRECTION,
            headline=False,
        ),
        Task(
            name="memory",
            title="Delayed Memory",
            group="Delayed Memory",
            domain=EXECUTIVE,
            ages=(22, 42),
            answer=LETTER,
            # 15 rounds, the first with one option: (1 + 4 / 2) / 5; both of two: 1 / 4.
            chance={"learning": 3 / 5, "raw": 1 / 2, "adjusted": 1 / 4},
            primary="adjusted",
            breakdown=ROUND,
        ),
        Task(
            name="compare_synthetic",
            title="Who Has More",
            group="Who Has More",
            domain=MATH,
            ages=(25, 42),
            answer=LETTER,
            chance=_accuracy(1 / 2),
        ),
        Task(
            name="compare_real",
            title="Who Has More (naturalistic)",
            group="Who Has More",
            domain=MATH,
            ages=(25, 42),
            answer=LETTER,
            chance=_accuracy(1 / 2),
            headline=False,
        ),
        Task(
            name="subitize",
            title="Subitizing",
            group="Subitizing",
            domain=MATH,
            ages=(25, 42),
            answer=NUMBER,
            chance=_accuracy(1 / 4),
            held_out=True,
            largest_number=4,
            breakdown=NUMBER,
        ),
        Task(
            name="count",
            title="Object Counting",
            group="Object Counting",
            domain=MATH,
            ages=(25, 42),
            answer=NUMBER,
            chance=_accuracy(1 / 12),
            largest_number=12,
            breakdown=NUMBER,
        ),
        Task(
            name="labeled_s",
            title="Labeled-S",
            group="Labeled-S",
            domain=LANGUAGE,
            ages=(6, 25),
            answer=LETTER,
            chance=_accuracy(1 / 4),
            held_out=True,
            breakdown=WORD,
            benchmark=V1,
            protocols=(MATCH,),
        ),
        Task(
            name="vtwt",
            title="Visual Two-Word Test",
            group="Visual Two-Word Test",
            domain=LANGUAGE,
            ages=(18, 24),  # the two-word stage
            answer=LETTER,
            chance=_accuracy(1 / 2),
            held_out=True,
            breakdown=DIFFERENCE,
            benchmark=V1,
            protocols=(MATCH,),
        ),
        Task(
            name="winoground",
            title="Baby Winoground",
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
        ),
        Task(
            name="caption",
            title="SAYCam Caption",
            group="SAYCam Caption",
            domain=LANGUAGE,
            ages=(6, 25),
            answer=CAPTION,
            # replaced by what the references of other items score
            chance=dict.fromkeys(
                ("meteor_exact", "meteor", "meteor_wordnet", "bleu"), 0.0
            ),
            primary="meteor_exact",
            headline=False,  # not a share of right answers
            held_out=True,
            benchmark=V1,
            protocols=(GENERATE,),
        ),
    )
}


def select_tasks(names: Sequence[str]) -> tuple[Task, ...]:
    """Looks tasks up by name, in the order of the table.

    `devcv` and `v1` mean every task of that benchmark, `all` those of both.

    Raises:
        UserError: a name is unknown, or there is none.
    """
    unknown = sorted(set(names) - set(TASKS) - {"all", DEVCV, V1})
    if unknown or not names:
        raise UserError(
            f"tasks {unknown or list(names)}: give 'devcv', 'v1', 'all' or some of "
            f"{', '.join(TASKS)}"
        )
    wanted = set(names)
    return tuple(
        task for task in TASKS.values() if wanted & {"all", task.benchmark, task.name}
    )
