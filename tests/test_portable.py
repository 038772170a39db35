"""The run of the numeric tests as on an older processor is what it says."""

import os

from numpy._core._multiarray_umath import __cpu_features__ as features


def test_features_that_are_switched_off_are_off():
    """numpy ignores names that it does not know."""
    for name in os.environ.get("NPY_DISABLE_CPU_FEATURES", "").split():
        assert not features[name]
