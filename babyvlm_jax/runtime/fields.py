"""Dataclasses of settings: limits declared beside each field, one check, one reader.

    @dataclasses.dataclass(frozen=True)
    class OptimConfig(Settings):
        name: str = field("adamw", one_of=("adamw", "muon"))
        beta2: float = field(0.999, ge=0, lt=1)

A value of another type, one outside its limits, and a number that is not finite are
refused with the path of the field, such as `config.optim.beta2`; so is a number that
float32 or int32 would make infinite, 0 or another one.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ml_collections.config_dict import placeholder

from babyvlm_jax.runtime.errors import UserError

DTYPES = ("float32", "bfloat16")  # of a computation; float16 needs loss scaling
SEED = {"ge": 0, "le": 2**32 - 1}  # what every generator takes
SHARE = {"ge": 0, "le": 1}
_LIMITS = {
    "ge": (lambda value, limit: value >= limit, ">= {}"),
    "gt": (lambda value, limit: value > limit, "above {}"),
    "le": (lambda value, limit: value <= limit, "at most {}"),
    "lt": (lambda value, limit: value < limit, "below {}"),
    "one_of": (lambda value, limit: value in limit, "one of {}"),
}
_LEAST, _MOST = 1.2e-38, 3.4e38  # of float32, but for 0
_NAMES = {bool: "True or False", int: "an integer", float: "a number", str: "text"}


def field(default=dataclasses.MISSING, *, filled: bool = False, **limits):
    """A dataclass field with limits.

    Args:
        default: its value where the config has none.
        filled: whether a tuple, mapping or text must not be empty.
        limits: `ge`, `gt`, `le`, `lt`, `one_of`; of each value of a tuple or mapping.
    """
    unknown = set(limits) - set(_LIMITS)
    if unknown:
        raise TypeError(f"unknown limits {unknown}; known are {sorted(_LIMITS)}")
    metadata = {"limits": limits, "filled": filled}
    return dataclasses.field(default=default, metadata=metadata)


class FieldError(UserError):
    """What is wrong with a field; `path` grows as the error leaves its section."""

    def __init__(self, path: str, told: str):
        super().__init__(f"{path} {told}")
        self.path, self.told = path, told


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of the dataclasses of settings: each field is checked when one is made."""

    def __post_init__(self):
        for one in dataclasses.fields(self):
            limits, filled = one.metadata.get("limits", {}), one.metadata.get("filled")
            value = _checked(one.name, one.type, getattr(self, one.name), limits)
            if filled and not value:
                raise FieldError(one.name, f"is {value!r}; it must not be empty")
            object.__setattr__(self, one.name, value)
        self.check()

    def check(self) -> None:
        """What fields must agree on; fields by themselves are right here."""

    def need(self, ok: Any, name: str, expected: str) -> None:
        """Raises FieldError unless `ok`."""
        if not ok:
            told = f"is {getattr(self, name)!r}; expected {expected}"
            raise FieldError(name, told)


def _checked(path: str, kind: Any, value: Any, limits: Mapping[str, Any]) -> Any:
    """The value, with tuples for lists; raises FieldError."""
    optional = type(None) in _members(kind)
    members = tuple(one for one in _members(kind) if one is not type(None))
    kind, inner = members[0], typing.get_args(members[0])
    if kind is Any or (optional and value is None):
        return value
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, members):
            raise FieldError(path, f"is {value!r}; expected a section of settings")
        return value
    if typing.get_origin(kind) is tuple:
        return _checked_tuple(path, inner, value, limits)
    if typing.get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise FieldError(path, f"is {value!r}; expected {{name: value, ...}}")
        for name, one in value.items():
            _checked(f"{path}.{name}", inner[1], one, limits)
        return value
    right = type(value) is kind or (kind is float and type(value) is int)
    right = right and _fits(kind, value, limits)
    if not (right and all(_LIMITS[n][0](value, v) for n, v in limits.items())):
        expected = _expected(kind, limits) + ", or None" * optional
        raise FieldError(path, f"is {value!r}; expected {expected}")
    return value


def _fits(kind, value, limits) -> bool:
    """Whether a number stays what it is on a device; other values do."""
    if kind is int:
        return abs(value) <= max(2**31 - 1, limits.get("le", 0))
    return kind is not float or value == 0 or _LEAST <= abs(value) <= _MOST


def _expected(kind, limits) -> str:
    told = [_LIMITS[name][1].format(limit) for name, limit in limits.items()]
    return told[0] if "one_of" in limits else f"{_NAMES[kind]} {' and '.join(told)}"


def _checked_tuple(path, inner, value, limits) -> tuple:
    if not isinstance(value, list | tuple):
        raise FieldError(path, f"is {value!r}; expected (value, ...)")
    if inner[-1] is Ellipsis:
        inner = inner[:1] * len(value)
    if len(inner) != len(value):
        raise FieldError(path, f"is {value!r}; expected {len(inner)} values")
    pairs = zip(inner, value, strict=True)
    return tuple(
        _checked(f"{path}[{place}]", kind, one, limits)
        for place, (kind, one) in enumerate(pairs)
    )


def from_dict(cls, values: Mapping[str, Any], where: str = "config"):
    """Builds a (nested) dataclass of settings from a plain dict.

    Args:
        cls: the dataclass, or a union of families, of which the key `family` chooses
            one; without it the first.
        where: the path of `values`, for messages.

    Raises:
        UserError: a key that the dataclass does not have or one that it needs, or a
            value that it refuses.
    """
    if not isinstance(values, Mapping):
        raise FieldError(where, f"is {values!r}; expected a section of settings")
    cls = _choose(cls, values, where)
    fields = {one.name: one for one in dataclasses.fields(cls)}
    for name in values:
        if name not in fields:
            raise FieldError(f"{where}.{name}", _unknown(cls, name, where))
    missing = [
        name
        for name, one in fields.items()
        if one.default is one.default_factory is dataclasses.MISSING
        if name not in values
    ]
    if missing:
        raise FieldError(where, f"needs {', '.join(missing)}; set them in the config")
    made = {
        name: _made(fields[name].type, value, f"{where}.{name}")
        for name, value in values.items()
    }
    try:
        return cls(**made)
    except FieldError as error:
        raise FieldError(f"{where}.{error.path}", error.told) from None


def _made(kind, value, where):
    """The value of a field, with its sections built."""
    if dataclasses.is_dataclass(_members(kind)[0]):
        return from_dict(kind, value, where)
    inner = typing.get_args(kind)
    sections = typing.get_origin(kind) is Mapping and dataclasses.is_dataclass(inner[1])
    if sections and isinstance(value, Mapping):
        return {n: from_dict(inner[1], one, f"{where}.{n}") for n, one in value.items()}
    return value


def known_keys(cls, prefix: str = "") -> Iterator[str]:
    """Paths of all fields of a dataclass of settings, of all families."""
    for kind in _members(cls):
        for one in dataclasses.fields(kind):
            yield f"{prefix}{one.name}"
            if dataclasses.is_dataclass(_members(one.type)[0]):
                yield from known_keys(one.type, f"{prefix}{one.name}.")


def add_default(values, cls, names: Sequence[str], where: str = "config") -> None:
    """Puts the default of a field where a config leaves it out.

    So a flag can override what the config file does not list, with the right type.

    Args:
        values: ConfigDict to complete; sections on the way are made.
        cls: the dataclass of settings of `values`.
        names: the field's path, such as ("optim", "z_loss").

    Raises:
        FieldError: there is no such field.
    """
    name, *rest = names
    kind, default = _field_of(cls, values, name, where)
    is_section = dataclasses.is_dataclass(_members(kind)[0])
    if name not in values:
        values[name] = type(values)() if is_section or rest else default
    if rest and (is_section or typing.get_origin(kind) is Mapping):
        add_default(values[name], kind, rest, f"{where}.{name}")
    elif rest:
        raise FieldError(f"{where}.{name}", f"is no section, but .{rest[0]} is given")


def _field_of(cls, values, name: str, where: str):
    """Type and default of the field `name`; ConfigDict wants None typed."""
    if typing.get_origin(cls) is Mapping:
        kind = typing.get_args(cls)[1]
        if dataclasses.is_dataclass(kind) and name not in values:
            told = f"is not there; expected one of {', '.join(values)}"
            raise FieldError(f"{where}.{name}", told)
        return kind, None if dataclasses.is_dataclass(kind) else kind()
    chosen = _choose(cls, values, where)
    for family in (chosen, *_members(cls)):
        for one in dataclasses.fields(family):
            if one.name == name and one.default is None:
                return one.type, placeholder(_members(one.type)[0])
            if one.name == name:
                return one.type, one.default
    raise FieldError(f"{where}.{name}", _unknown(chosen, name, where))


def _unknown(cls, name: str, where: str) -> str:
    known = list(dict.fromkeys(known_keys(cls)))
    near = [key for key in known if key.endswith(f".{name}")]
    near = near or difflib.get_close_matches(name, known, 1, 0.5)
    own = ", ".join(key for key in known if "." not in key)
    hint = f"did you mean {where}.{near[0]}?" if near else f"known here: {own}"
    return f"is no key of the config; {hint}"


def _members(kind) -> tuple:
    """The types of a union; of another type, itself."""
    is_union = isinstance(kind, types.UnionType)
    return typing.get_args(kind) if is_union else (kind,)


def _choose(kind, values, where):
    """The member of a union of families that `values` names."""
    known = {one.family: one for one in _members(kind) if len(_members(kind)) > 1}
    if not known:
        return kind
    name = values.get("family", next(iter(known)))
    if not isinstance(name, str) or name not in known:
        told = f"is {name!r}; expected one of {tuple(sorted(known))}"
        raise FieldError(f"{where}.family", told)
    return known[name]
