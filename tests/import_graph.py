"""Reads the imports of source files without running them."""

import ast
import dataclasses
import pathlib
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
        importer: dotted name of the module that imports.
        imported: dotted name; `from a import b` gives `a.b`, which may be a function.
        at_import: True when it runs as soon as `importer` is imported.
    """

    importer: str
    imported: str
    at_import: bool

    def __str__(self):
        return f"{self.importer} imports {self.imported}"


def inside(name: str, package: str) -> bool:
    """Tells whether `name` is `package` or lies within it."""
    return name == package or name.startswith(package + ".")


def read_imports(source: str, module: str, is_package: bool = False) -> list[Import]:
    """Lists what the source text of `module` imports, also within functions.

    Args:
        source: Python text.
        module: its dotted name, against which relative imports are resolved.
        is_package: the text is that of an `__init__.py`.
    """
    package = module if is_package else module.rpartition(".")[0]
    return [
        Import(module, name, at_import)
        for node, at_import in _imports_in(ast.parse(source), True)
        for name in _imported_names(node, package)
    ]


def _imports_in(node: ast.AST, at_import: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Import statements below a node; expressions, which are most nodes, hold none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, at_import
        elif not isinstance(child, ast.expr):
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from _imports_in(child, at_import and not is_function)


def _imported_names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = package.split(".")
            parents = parents[: len(parents) - node.level + 1]
            base = ".".join([*parents, base] if base else parents)
        yield from (f"{base}.{alias.name}" for alias in node.names)


def read_tree(root: pathlib.Path, folders: tuple[str, ...]) -> list[Import]:
    """Lists the imports of every Python file below `root/FOLDER`."""
    found = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            source = path.read_text(encoding="utf-8")
            found += read_imports(source, module, is_package)
    return found
