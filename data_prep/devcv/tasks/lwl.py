"""Looking While Listening: Picture Vocabulary with two images, never trained on."""

import functools

from data_prep.devcv.tasks import Task
from data_prep.devcv.tasks.picture_vocabulary import question, touch

TASKS = (
    # Neither its wording nor its size is published; ours are those of Picture
    # Vocabulary and of the Baby Winoground of V1.
    Task(
        name="lwl",
        title="Looking While Listening (held out)",
        make=functools.partial(touch, num_options=2),
        example=functools.partial(question, "ball", 2),
        sizes={"demo": (0, 40, 200), "full": (0, 365, 365)},
        released_names=("looking_while_listening",),
        word_field="word",
    ),
)
