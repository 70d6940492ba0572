"""The package is a name and no more: who needs one kind of token loads nothing of the other."""

from __future__ import annotations

import ast
from pathlib import Path

import router.tokens


def test_the_package_itself_loads_nothing() -> None:
    tree = ast.parse(Path(router.tokens.__file__).read_text())
    assert [type(each) for each in tree.body] == [ast.Expr]
    assert ast.get_docstring(tree) == router.tokens.__doc__
