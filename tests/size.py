"""Counts the code.

    python -m tests.size

Statements are those of Python's AST, so blank lines, comments, docstrings and line
breaks do not count. Exits with 1 if a file has too many lines.
"""

import ast
import pathlib
import sys
from collections import Counter
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
PRODUCT = ("babyvlm_jax", "configs", "data_prep", "launch", "setup.py")
MAX_LINES = 600


class Size(NamedTuple):
    """Of one file."""

    statements: int
    lines: int
    public: int
    documented: int


def size_of(path: pathlib.Path) -> Size:
    """Counts one file."""
    text = path.read_text()
    nodes = list(ast.walk(ast.parse(text)))
    statements = sum(isinstance(node, ast.stmt) for node in nodes)
    docstrings = sum(
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for node in nodes
    )
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [n for n in nodes if isinstance(n, kinds) and not n.name.startswith("_")]
    documented = sum(ast.get_docstring(node) is not None for node in public)
    return Size(
        statements - docstrings, len(text.splitlines()), len(public), documented
    )


def read_sizes() -> dict[str, Size]:
    """Path below the root -> size, of every Python file of the project."""
    tops = [ROOT / name for name in (*PRODUCT, "tests")]
    paths = [p for top in tops for p in ([top] if top.is_file() else top.rglob("*.py"))]
    return {p.relative_to(ROOT).as_posix(): size_of(p) for p in sorted(paths)}


def main() -> None:
    sizes = read_sizes()
    rows, files = Counter(), Counter()
    for path, size in sizes.items():
        top, *rest = path.split("/")
        name = "tests/benchmarks" if rest[:1] == ["benchmarks"] else top
        rows[name] += size.statements
        files[name] += 1
        if name in ("babyvlm_jax", "data_prep") and len(rest) > 1:
            rows[f"  {top}/{rest[0]}"] += size.statements
            files[f"  {top}/{rest[0]}"] += 1
    print("| directory | files | statements |\n|---|---|---|")
    for name in sorted(rows, key=lambda name: name.strip()):
        print(f"| {name} | {files[name]} | {rows[name]} |")
    product = {p: s for p, s in sizes.items() if not p.startswith("tests/")}
    named = sum(size.public for size in product.values())
    documented = sum(size.documented for size in product.values())
    print(f"product: {sum(s.statements for s in product.values())} statements")
    print(f"public names with a docstring: {documented} of {named}")
    long = {path: size.lines for path, size in sizes.items() if size.lines > MAX_LINES}
    print(f"files over {MAX_LINES} lines: {long or 'none'}")
    sys.exit(1 if long else 0)


if __name__ == "__main__":
    main()
