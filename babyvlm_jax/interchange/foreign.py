"""The JSON files that come with foreign weights: fields by name, type and range."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from babyvlm_jax.runtime import json_fields
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.json_fields import BadField, shown

LARGEST = 2**24  # ours: of a size, a length or a number of anything in a model
_REQUIRED: Any = object()


class Section:
    """An object in a file; what is wrong with a field is said with its name.

    A field that is absent or null has its default, or is refused if it has none.
    """

    def __init__(self, file: Any, values: Any, name: str = ""):
        """
        Args:
            file: for messages.
            values: what the file holds at this place.
            name: the place, such as `text_config`.

        Raises:
            UserError: `values` is no object.
        """
        if not isinstance(values, Mapping):
            what = f"{name} is {shown(values)}" if name else f"holds {shown(values)}"
            raise UserError(f"{file}: {what}; expected an object")
        self.file, self.values, self.name = file, values, name

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it is, of whatever type; to be compared."""
        return self.values.get(key, default)

    def section(self, key: str) -> "Section":
        """An object below; empty if there is none."""
        found = self.values.get(key)
        return Section(self.file, {} if found is None else found, self._named(key))

    def whole(
        self,
        key: str,
        default: Any = _REQUIRED,
        least: int = 1,
        most: int = LARGEST,
    ) -> int:
        """A whole number in a range."""
        return self._read(json_fields.whole, key, default, least, most)

    def number(
        self,
        key: str,
        default: Any = _REQUIRED,
        least: float = 0,
        most: float = json_fields.LARGEST,
    ) -> float:
        """A finite number in a range."""
        return self._read(json_fields.number, key, default, least, most)

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        """A text."""
        return self._read(json_fields.text, key, default)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        return self._read(json_fields.flag, key, default)

    def _read(self, read: Callable, key: str, default: Any, *limits) -> Any:
        given = () if default is _REQUIRED else (default,)
        names = dict(zip(("least", "most"), limits, strict=False))
        try:
            return read(self.values, key, *given, **names)
        except BadField as error:
            prefix = f"{self.name}." if self.name else ""
            raise UserError(f"{self.file}: {prefix}{error}") from None

    def _named(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key


def read_section(file: pathlib.Path) -> Section:
    """The object that a JSON file holds.

    Raises:
        UserError: it cannot be read, is not JSON, too deep, or no object.
    """
    return Section(file, json_fields.read_json(file))
