"""`--help` answers at once: it imports nothing heavy."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
COMMANDS = (
    "babyvlm_jax.evaluate --help",
    "babyvlm_jax.evaluate compare --help",
    "babyvlm_jax.chat --help",
    "babyvlm_jax.report --help",
)
# One process for all of them: each line of the output is a module that one imported.
RUN = """
import contextlib, io, runpy, sys

for command in sys.argv[1:]:
    module, *sys.argv[1:] = command.split()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        runpy.run_module(module, run_name="__main__")
    heavy = {"jax", "flax", "tensorstore", "torch"} & set(sys.modules)
    print(*(f"{command}: {name}" for name in heavy), sep="\\n", end="")
"""


def test_help_imports_nothing_heavy():
    command = [sys.executable, "-c", RUN, *COMMANDS]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
