"""Names of tasks and datasets: ours, and those of released sets."""

import re

from babyvlm_jax.runtime.errors import UserError
from data_prep import raw
from data_prep.devcv.sizes import TASKS

PREFIX = "devcv_"
SOURCE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# What released files and folders, and the leaderboard, call a task; without case,
# hyphens and a `baby_` in front.
RELEASED = {
    "pv": "picture_vocabulary",
    "picture_vocab": "picture_vocabulary",
    "localization": "localize",
    "left_right": "leftright",
    "spatial": "spatialdetails",
    "spatial_details": "spatialdetails",
    "vdr": "vdr_binary",
    "delayed_memory": "memory",
    "who_has_more": "compare_synthetic",
    "subitizing": "subitize",
    "counting": "count",
    "looking_while_listening": "lwl",
    "object_counting": "count",
    "binary": "vdr_binary",
    "vdr_image": "vdr_binary",
    "open": "vdr_open",
    "visual_delayed_response": "vdr_binary",
    "compare": "compare_real",
    "who_has_more_synthetic": "compare_synthetic",
    "who_has_more_naturalistic": "compare_real",
    "whohasmore": "compare_synthetic",
    "whohasmore_synthetic": "compare_synthetic",
    "whohasmore_naturalistic": "compare_real",
}
# What released names say beside the task, as in `abc_leftright_instructions_test`.
_SAYS_NOTHING = re.compile(
    r"\d+|v\d+|abc|interleaved|instructions?|datasets?|data|tasks?|final|total|larger|"
    r"crop(ped)?|images?|verified|seen|devcv"
)


def task_named(name: str) -> str | None:
    """Our task of a released name, None where there is none.

    task_named("vdr-binary") -> "vdr_binary"; task_named("baby_pv") ->
    "picture_vocabulary"
    """
    whole = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removeprefix("baby_")
    names = (whole, words_and_split(whole)[0])
    return next((RELEASED.get(n, n) for n in names if n in (*TASKS, *RELEASED)), None)


def words_and_split(name: str) -> tuple[str, str]:
    """The words of a released name that tell the task, and its split.

    words_and_split("count_v2_test") -> ("count", "test"); ("data") -> ("", "")
    """
    words = re.findall("[a-z0-9]+", name.lower())
    split = next((word for word in reversed(words) if word in raw.SPLITS), "")
    rest = (w for w in words if w not in raw.SPLITS and not _SAYS_NOTHING.fullmatch(w))
    return "_".join(rest), split


def dataset_name(task: str, source: str = "") -> str:
    """Name of the dataset of a task; `source` is the corpus of an imported set.

    dataset_name("count", "ego4d") -> "devcv_ego4d_count"
    """
    return f"{PREFIX}{source}_{task}" if source else f"{PREFIX}{task}"


def dataset_parts(name: str) -> tuple[str, str] | None:
    """(task, source) of a dataset, None where its name is not that of a DevCV task.

    dataset_parts("devcv_ego4d_vdr_open") -> ("vdr_open", "ego4d")
    """
    rest = name.removeprefix(PREFIX)
    if rest == name:
        return None
    if rest in TASKS:
        return rest, ""
    fits = [task for task in TASKS if rest.endswith(f"_{task}")]
    if not fits:
        return None
    task = max(fits, key=len)
    return task, rest.removesuffix(f"_{task}")


def check_source(source: str) -> str:
    """The corpus's name.

    Raises:
        UserError: it cannot be part of a dataset's name.
    """
    if source and not SOURCE.fullmatch(source):
        raise UserError(
            f"--source={source}: lower-case letters, digits and single underscores, a "
            "letter first"
        )
    return source


def chosen_tasks(listed: str | None) -> tuple[str, ...]:
    """Tasks of a comma-separated list, all of them where there is none.

    Raises:
        UserError: one of them is unknown.
    """
    if listed is None:
        return tuple(TASKS)
    chosen = listed.split(",")
    unknown = [task for task in chosen if task not in TASKS]
    if unknown:
        raise UserError(
            f"--tasks: unknown {', '.join(unknown)}; choose from {', '.join(TASKS)}"
        )
    return tuple(chosen)
