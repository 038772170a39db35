"""Size of the source files: small enough to be read one at a time."""

import pathlib
import statistics

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("babyvlm_jax", "configs", "data_prep", "launch", "tests")
LONGEST = 600  # lines; a file is as long as its subject, up to here
MEDIAN = 150


def _lengths():
    paths = [ROOT / "setup.py"]
    for folder in FOLDERS:
        paths += (ROOT / folder).rglob("*.py")
    return {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in paths
    }


def test_no_file_is_too_long():
    too_long = {name: n for name, n in _lengths().items() if n >= LONGEST}
    assert not too_long, f"split these files: {too_long}"


def test_the_median_file_is_short():
    assert statistics.median(_lengths().values()) < MEDIAN


def test_every_folder_of_code_is_a_package():
    folders = {
        path.parent
        for package in ("babyvlm_jax", "configs", "data_prep")
        for path in (ROOT / package).rglob("*.py")
    }
    bare = [folder for folder in folders if not (folder / "__init__.py").exists()]
    assert not bare, f"setup.py installs packages only; add __init__.py in {bare}"
