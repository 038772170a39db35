"""Every command under one name.

    babyvlm train --config=nursery:phase=joint,root=runs/demo --workdir=runs/demo/joint
    babyvlm prep nursery --out=runs/demo/raw
    babyvlm launch local 2 -- babyvlm train ...
    babyvlm COMMAND --help

`babyvlm train` runs `python -m babyvlm_jax.train`, and so on. --config takes a path, or
the name of a config that is installed, such as `nursery` or `v2/joint`.
"""

import ast
import importlib.util
import os
import pathlib
import runpy
import sys
from collections.abc import Sequence

import babyvlm_jax
from babyvlm_jax.runtime.errors import UserError, run_main

COMMANDS = {
    "prep nursery": "data_prep.nursery",
    "prep build": "data_prep.build",
    "prep text-corpus": "data_prep.text_corpus",
    "prep llava-json": "data_prep.llava_json",
    "prep parquet": "data_prep.parquet",
    "prep filter": "data_prep.filter",
    "prep transfer": "data_prep.transfer",
    "prep devcv": "data_prep.devcv",
    "prep v1bench": "data_prep.v1bench",
    "prep inspect": "data_prep.inspect",
    "tokenizer": "babyvlm_jax.data.tokenizer",
    "features": "babyvlm_jax.features",
    "train": "babyvlm_jax.train",
    "recipe": "babyvlm_jax.recipe",
    "evaluate": "babyvlm_jax.evaluate",
    "report": "babyvlm_jax.report",
    "chat": "babyvlm_jax.chat",
    "convert": "babyvlm_jax.convert",
    "compile-check": "babyvlm_jax.compile_check",
    "aot": "babyvlm_jax.aot",
}
# The other scripts of `launch` copy a clone to machines, and are run from it.
SCRIPTS = ("local", "babysit", "stage", "eval_jobs")


def summary(module: str) -> str:
    """First line of a command's docstring; the command is not imported."""
    spec = importlib.util.find_spec(module)
    path = pathlib.Path(spec.origin)
    if spec.submodule_search_locations:
        path = path.with_name("__main__.py")
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))).partition("\n")[0]


def usage() -> str:
    """The text of `babyvlm --help`."""
    rows = [(name, summary(module)) for name, module in COMMANDS.items()]
    rows.append(("launch NAME", f"Runs a launch script: {', '.join(SCRIPTS)}."))
    lines = [f"  {name:<17} {text}" for name, text in rows]
    return "\n".join([__doc__.strip(), "", "Commands:", *lines])


def launch(words: Sequence[str]) -> None:
    """Becomes a script of the folder `launch`.

    Raises:
        UserError: there is no such script.
    """
    name = words[0].replace("-", "_") if words else ""
    if name not in SCRIPTS:
        raise UserError(f"launch {name!r}: expected one of {', '.join(SCRIPTS)}")
    script = pathlib.Path(__file__).parents[1] / "launch" / f"{name}.sh"
    command = ["bash", str(script)]
    if not script.exists():
        command = [sys.executable, "-m", f"launch.{name}"]
    environment = {**os.environ, "PYTHON": sys.executable}
    os.execvpe(command[0], [*command, *words[1:]], environment)


def run(words: Sequence[str]) -> None:
    """Runs a command, as `python -m` would.

    Raises:
        UserError: there is no such command.
    """
    size = 2 if words[0] == "prep" else 1
    name = " ".join(words[:size]).replace("_", "-")
    if name not in COMMANDS:
        raise UserError(f"no command {name!r}; expected one of {', '.join(COMMANDS)}")
    sys.argv = [f"babyvlm {name}", *words[size:]]
    runpy.run_module(COMMANDS[name], run_name="__main__", alter_sys=True)


def main() -> None:
    """Command line."""
    words = sys.argv[1:]
    if not words or words[0] in ("--help", "-h", "help"):
        print(usage())
    elif words[0] == "--version":
        print(babyvlm_jax.__version__)
    elif words[0] == "launch":
        run_main(lambda: launch(words[1:]))
    else:
        run_main(lambda: run(words))


if __name__ == "__main__":
    main()
