"""Which parameters of a test are for `make test`."""

from collections.abc import Collection, Iterable

import pytest


def some(values: Iterable, kept: Collection) -> list:
    """Parameters of a test; `make test-integration` runs those that are not kept."""

    def marked(value):
        arguments = value if type(value) is tuple else (value,)
        mark = () if value in kept else pytest.mark.integration
        return pytest.param(*arguments, marks=mark)

    return [marked(value) for value in values]
