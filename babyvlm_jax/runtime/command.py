"""Commands that a config drives: flags, help, and errors of one line.

    if __name__ == "__main__":
        run_config_command(__doc__, main)

Each call makes its own set of flags, so modules of commands can be imported together.
"""

import contextlib
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections
from absl import flags, logging
from ml_collections import config_flags
from ml_collections.config_flags.config_flags import ConfigFileFlagParser

from babyvlm_jax.runtime.errors import MASKS, UserError, check_file, run_main
from babyvlm_jax.runtime.fields import FieldError, add_default

# beside this package, in the source tree as where it is installed
CONFIGS = pathlib.Path(__file__).parents[2] / "configs"


def run_config_command(
    doc: str,
    main: Callable[..., None],
    settings: type | None = None,
    workdir: bool = True,
    argv: Sequence[str] | None = None,
    extra: Mapping[str, tuple[Any, str]] | None = None,
) -> None:
    """Parses `--config` and its overrides, then runs `main` to an exit code.

    Args:
        doc: the module's docstring; `--help` shows it.
        main: called with the config, and with the work directory if there is one.
        settings: the dataclass of the config; see `make_flags`.
        workdir: whether the command takes `--workdir`.
        argv: the command line; defaults to this process's.
        extra: more flags, name -> (default, help); `main` gets them by name.

    Raises:
        SystemExit: always.
    """
    argv = list(sys.argv if argv is None else argv)
    values = make_flags(workdir, extra, settings)
    if {"--help", "-h", "-help"} & set(argv[1:]):
        print(f"{doc.strip()}\n\nFlags:\n{values.main_module_help() or values}")
        raise SystemExit(0)
    logging.set_verbosity(logging.ERROR)  # Orbax tells each of its steps

    def command():
        config = parse(argv, values, ["config", "workdir"] if workdir else ["config"])
        more = {name: values[name].value for name in extra or {}}
        main(*([config, values.workdir] if workdir else [config]), **more)

    run_main(command, debug="--debug" in argv)


def make_flags(
    workdir: bool = True,
    extra: Mapping[str, tuple[Any, str]] | None = None,
    settings: type | None = None,
) -> flags.FlagValues:
    """The flags of a command; see `run_config_command`.

    Args:
        settings: a flag can override every field of this dataclass, whether or not the
            config file lists it; None: only what the file lists.
    """
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config",
        None,
        "FILE.py or FILE.py:ARGUMENTS, or the NAME of an installed config in place of "
        "the file; --config.a.b=VALUE sets a single value.",
        flag_values=values,
    )
    values["config"].parser = _Completing("config", settings)
    flags.DEFINE_bool("debug", False, "Tracebacks of user errors.", flag_values=values)
    flags.DEFINE_enum(
        "share",
        None,
        list(MASKS),
        "Who may read what is written (default: its owner alone).",
        flag_values=values,
    )
    if workdir:
        flags.DEFINE_string(
            "workdir", None, "Folder that keeps what comes out.", flag_values=values
        )
    for name, (default, text) in (extra or {}).items():
        define = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer}.get(
            type(default), flags.DEFINE_string
        )
        define(name, default, text, flag_values=values)
    return values


def parse(
    argv: Sequence[str], values: flags.FlagValues, required: Sequence[str]
) -> ml_collections.ConfigDict:
    """Parses a command line and loads the config.

    Raises:
        UserError: an unknown flag or config key, a value of the wrong type, a config
            file that is missing or does not load.
    """
    try:
        with _as_command_line(argv):
            rest = values(list(argv))
            for name in required:
                if values[name].value is None:
                    raise UserError(f"--{name} is missing; see --help")
            values.config.to_dict()  # a config file that fails to load says so here
    except (AttributeError, KeyError) as error:
        raise UserError(f"the config has no key {_why(error)}; see its file") from error
    except UserError:
        raise
    except (flags.Error, OSError, TypeError, ValueError) as error:
        if isinstance(error.__context__, FieldError):  # absl wraps
            raise error.__context__ from None
        raise UserError(f"{_last_line(error)}; see --help") from error
    if len(rest) > 1:
        raise UserError(f"unexpected argument {rest[1]!r}; flags begin with --")
    return values.config


class _Completing(ConfigFileFlagParser):
    """Adds to a loaded config the fields that flags name and its file leaves out."""

    def __init__(self, name: str, settings: type | None):
        super().__init__(name)
        self._settings = settings

    def parse(self, path):
        file, *arguments = path.split(":", 1)
        file = find_config(file)
        check_file(file)
        config = super().parse(":".join([file, *arguments]))
        did_load = isinstance(config, ml_collections.ConfigDict)
        if did_load and self._settings:
            with config.unlocked():
                for word in sys.argv:
                    named = re.match(r"--?(?:no)?config\.([\w.]+)(=|$)", word)
                    if named:
                        add_default(config, self._settings, named[1].split("."))
        return config


def find_config(name: str) -> str:
    """The file of a config: `name` itself, or the installed one that it names.

    find_config("v2/joint"), find_config("configs/v2/joint.py") -> CONFIGS/v2/joint.py

    Raises:
        UserError: there is neither.
    """
    if pathlib.Path(name).exists() or not name:
        return name
    found = CONFIGS / f"{name.removeprefix('configs/').removesuffix('.py')}.py"
    if not found.is_file():
        files = [f for f in CONFIGS.rglob("*.py") if "def get_config" in f.read_text()]
        known = (f.relative_to(CONFIGS).with_suffix("").as_posix() for f in files)
        raise UserError(
            f"neither a file nor an installed config; those are "
            f"{', '.join(sorted(known))}"
        )
    return str(found)


@contextlib.contextmanager
def _as_command_line(argv: Sequence[str]) -> Iterator[None]:
    """ml_collections looks for overrides in `sys.argv`, not in what it is given."""
    kept, sys.argv = sys.argv, list(argv)
    try:
        yield
    finally:
        sys.argv = kept


def _why(error: Exception) -> Any:
    while error.args and isinstance(error.args[0], Exception):  # ml_collections wraps
        error = error.args[0]
    return " ".join(str(error.args[0] if error.args else error).split())


def _last_line(error: Exception) -> str:
    text = str(error).replace("\\n", "\n")
    lines = [line.strip(" ;") for line in text.splitlines()]
    last = [line for line in lines if line][-1]
    return re.sub(r"^[\w.]*Error: ", "", last)  # of an error that absl wraps
