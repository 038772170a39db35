"""Who may import whom: the layers of the project, checked on the source text."""

import pathlib
import subprocess
import sys

import pytest

from tests.import_graph import Import, inside, read_imports, read_tree

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("babyvlm_jax", "configs", "data_prep")
PACKAGE = "babyvlm_jax"
ENTRY_POINTS = (
    *("train", "recipe", "evaluate", "chat", "compile_check", "convert"),
    *("features", "__main__"),
)

SHELVES = ("runtime", "training")  # whose modules have layers of their own

# A module may import its own layer and those further right (below).
LAYERS = (
    ENTRY_POINTS,
    ("recovery", "phases"),
    (
        *("settings", "agreement"),
        "evals",
        "report",
        "step",
        "validation",
        "state",
        "objectives",
        "preflight",
        "checkpoint",
        "interchange",
        "embedding",
        "aot",
    ),
    ("data", "telemetry"),
    (
        *("losses", "optim", "muon"),
        *("models", "flops"),
    ),
    ("sharding", "command", "lock", "ties", "processes", "json_fields"),
    ("errors", "fields", "files", "config"),
)
LAYER_OF = {name: depth for depth, layer in enumerate(LAYERS) for name in layer}
DATA_PREP_MAY_USE = (
    "babyvlm_jax.data.questions",
    "babyvlm_jax.data.schema",
    "babyvlm_jax.data.shards",
    "babyvlm_jax.evals.tasks",
    "babyvlm_jax.data.tokenizer",
    "babyvlm_jax.data.images",
    "babyvlm_jax.convert",
    "babyvlm_jax.runtime.command",
    "babyvlm_jax.runtime.lock",
    "babyvlm_jax.runtime.json_fields",
    "babyvlm_jax.ties",
    "babyvlm_jax.runtime.errors",
    "babyvlm_jax.runtime.fields",
)
# shows what training will see: the same tokens, the same packing
INSPECT_MAY_USE = (
    "babyvlm_jax.data.conversation",
    "babyvlm_jax.data.lengths",
    "babyvlm_jax.data.packing",
)
HEAVY = ("tensorflow", "torch", "transformers")
# Code that exports take along, for machines where this package is not.
REMOTE_CODE = "babyvlm_jax.interchange.remote_code"


@pytest.fixture(scope="module")
def imports():
    return read_tree(ROOT, FOLDERS)


def _room(name: str) -> str | None:
    """First part below the package, or below a `SHELVES`: what has a layer.

    `babyvlm_jax.data.images` -> `data`, `babyvlm_jax.runtime.lock` -> `lock`.
    """
    package, *parts = name.split(".")
    if parts and parts[0] in SHELVES:
        parts = parts[1:]
    return parts[0] if package == PACKAGE and parts else None


def _listed(broken: list[Import]) -> str:
    return "\n".join(str(found) for found in broken)


def test_every_room_of_the_package_has_a_layer():
    folders = [ROOT / PACKAGE, *(ROOT / PACKAGE / name for name in SHELVES)]
    paths = [path for folder in folders for path in folder.glob("[!_]*")]
    rooms = {path.stem for path in paths if path.stem} - set(SHELVES)
    assert rooms <= set(LAYER_OF), f"no layer for {rooms - set(LAYER_OF)}"


def test_imports_point_to_the_same_layer_or_below(imports):
    broken = [
        found
        for found in imports
        if (importer := _room(found.importer)) and (imported := _room(found.imported))
        if LAYER_OF[imported] < LAYER_OF[importer]
    ]
    assert not broken, _listed(broken)


def test_data_and_models_never_meet(imports):
    pair = {"data", "models"}
    broken = [
        found
        for found in imports
        if {_room(found.importer), _room(found.imported)} == pair
    ]
    assert not broken, _listed(broken)


def test_evals_and_report_get_the_model_passed_in(imports):
    broken = [
        found
        for found in imports
        if _room(found.importer) in ("evals", "report")
        if _room(found.imported) in ("models", "step", "state", "checkpoint")
    ]
    assert not broken, _listed(broken)


def test_nothing_imports_an_entry_point(imports):
    broken = [
        found
        for found in imports
        if _room(found.imported) in ENTRY_POINTS
        if not any(inside(found.imported, allowed) for allowed in DATA_PREP_MAY_USE)
    ]
    assert not broken, _listed(broken)


def _allowed(found: Import) -> tuple[str, ...]:
    """What a module of data_prep may use of the package."""
    if inside(found.importer, "data_prep.inspect"):
        return DATA_PREP_MAY_USE + INSPECT_MAY_USE
    return DATA_PREP_MAY_USE


def test_data_prep_uses_only_the_shared_part_of_the_package(imports):
    broken = [
        found
        for found in imports
        if inside(found.importer, "data_prep") and inside(found.imported, PACKAGE)
        if not any(inside(found.imported, allowed) for allowed in _allowed(found))
    ]
    assert not broken, _listed(broken)


def test_the_package_does_not_import_data_prep_or_configs(imports):
    broken = [
        found
        for found in imports
        if inside(found.importer, PACKAGE)
        if inside(found.imported, "data_prep") or inside(found.imported, "configs")
    ]
    assert not broken, _listed(broken)


def test_configs_import_no_jax_and_no_library_code(imports):
    allowed = ("ml_collections", "configs", "babyvlm_jax.runtime.errors")
    foreign = ("jax", "flax", "optax", "orbax", PACKAGE, "data_prep", "numpy")
    broken = [
        found
        for found in imports
        if inside(found.importer, "configs")
        if any(inside(found.imported, name) for name in foreign)
        if not any(inside(found.imported, name) for name in allowed)
    ]
    assert not broken, _listed(broken)


@pytest.mark.parametrize(
    ("library", "rooms"),
    [("flax.linen", ("models", "sharding")), ("orbax", ("checkpoint",))],
)
def test_a_library_is_known_to_its_room_only(imports, library, rooms):
    broken = [
        found
        for found in imports
        if inside(found.imported, library) and _room(found.importer) not in rooms
    ]
    assert not broken, _listed(broken)


def test_heavy_frameworks_are_not_imported_with_a_module(imports):
    broken = [
        found
        for found in imports
        if found.imported.partition(".")[0] in HEAVY
        if found.at_import or found.imported.startswith("tensorflow")
        if not inside(found.importer, REMOTE_CODE)
    ]
    assert not broken, _listed(broken)


def test_code_that_exports_take_along_stands_alone(imports):
    broken = [
        found
        for found in imports
        if inside(found.imported, REMOTE_CODE)
        or (inside(found.importer, REMOTE_CODE) and inside(found.imported, PACKAGE))
    ]
    assert not broken, _listed(broken)


def test_jobs_are_planned_where_nothing_is_installed():
    """-S: without the packages of this environment, as on a login node."""
    code = "import launch.jobs, launch.tpu, launch.running"
    command = [sys.executable, "-S", "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_the_reader_sees_every_form_of_import():
    source = (
        "import jax.numpy as jnp\n"
        "from babyvlm_jax.data import schema, images\n"
        "from . import sources\n"
        "from ..errors import UserError\n"
        "def lazily():\n"
        "    import torch\n"
    )
    found = read_imports(source, "babyvlm_jax.data.pipeline")
    assert [(one.imported, one.at_import) for one in found] == [
        ("jax.numpy", True),
        ("babyvlm_jax.data.schema", True),
        ("babyvlm_jax.data.images", True),
        ("babyvlm_jax.data.sources", True),
        ("babyvlm_jax.errors.UserError", True),
        ("torch", False),
    ]


def test_a_package_resolves_relative_imports_from_itself():
    found = read_imports("from . import images\n", "babyvlm_jax.data", is_package=True)
    assert [one.imported for one in found] == ["babyvlm_jax.data.images"]
