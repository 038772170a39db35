"""Subitizing: Object Counting with one to four copies, never trained on."""

import functools

from data_prep.devcv.tasks import Task
from data_prep.devcv.tasks.count import counting, question

TASKS = (
    Task(
        name="subitize",
        title="Subitizing (held out)",
        make=functools.partial(counting, counts=range(1, 5)),
        example=lambda wording: question("ball"),
        # its size is not published; ours is that of Object Counting
        sizes={"demo": (0, 40, 200), "full": (0, 2966, 3019)},
        build_rank=1,
        released_names=("subitizing",),
        on_canvas=True,
        images_ask=True,
    ),
)
