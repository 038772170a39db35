"""Names of tasks and datasets."""

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv import names
from data_prep.devcv.sizes import TASKS


@pytest.mark.parametrize(
    ("released", "task"),
    [
        ("vdr-binary", "vdr_binary"),
        ("baby_pv", "picture_vocabulary"),
        ("Who Has More", "compare_synthetic"),
        ("spatial", "spatialdetails"),
        ("memory", "memory"),
        # names of files and folders of the releases
        ("count_v2_test", "count"),
        ("memory_task_test_final_250", "memory"),
        ("total_binary_dataset_train", "vdr_binary"),
        ("open_test", "vdr_open"),
        ("vdr_image_task", "vdr_binary"),
        ("localize_4_crop_instructions_abc_test", "localize"),
        ("interleaved_leftright_instructions_abc_train", "leftright"),
        ("abc_interleaved_spatialdetails_instructions_val", "spatialdetails"),
        ("picture_vocabulary_v6_train_verified", "picture_vocabulary"),
        ("pv_test", "picture_vocabulary"),
        ("compare_synthetic_instructions_train_abc", "compare_synthetic"),
        ("compare_larger_train_abc", "compare_real"),
        ("whohasmore_naturalistic", "compare_real"),
        ("whohasmore_synthetic", "compare_synthetic"),
        ("picture_vocab_selected", None),  # a part of another
        ("data", None),
        ("chess", None),
    ],
)
def test_released_names(released, task):
    assert names.task_named(released) == task


def test_datasets_of_every_task_and_source():
    for task in TASKS:
        for source in ("", "ego4d", "memory", "baby_view"):
            name = names.dataset_name(task, source)
            assert names.dataset_parts(name) == (task, source)
    assert names.dataset_parts("devcv_chess") is None
    assert names.dataset_parts("frames") is None


def test_sources_and_tasks_are_checked():
    assert names.check_source("ego4d") == "ego4d" and names.check_source("") == ""
    for bad in ("Ego4D", "_x", "a__b", "4d"):
        with pytest.raises(UserError, match="lower-case letters"):
            names.check_source(bad)
    assert names.chosen_tasks("count,lwl") == ("count", "lwl")
    with pytest.raises(UserError, match="unknown chess"):
        names.chosen_tasks("count,chess")
