"""Does each law catch who breaks it, and leave alone who keeps it?"""

from __future__ import annotations

import pytest

from tests.house import laws
from tests.house.laws import Law, Source

PURE = '"""What is it?\n\nPure. Nothing.\n"""\n'
ACTS = '"""What is it?\n\nI/O: sockets.\n"""\n'
LONG = "def f():\n" + "    x = 1\n" * 45


def caught(law: Law, path: str, text: str) -> list[str]:
    return list(law(Source(path, text)))


@pytest.mark.parametrize(
    ("law", "path", "text"),
    [
        (laws.files_are_short, "router/x.py", "x = 1\n" * 401),
        (laws.functions_are_short, "router/x.py", LONG),
        (laws.functions_are_short, "router/x.py", "class A:\n    async " + LONG.replace("\n", "\n    ")),
        (laws.names_of_modules_say_something, "router/utils.py", ""),
        (laws.names_of_modules_say_something, "router/common/x.py", ""),
        (laws.names_use_the_words_of_the_field, "router/x.py", "class ReplicaSet: pass"),
        (laws.names_use_the_words_of_the_field, "router/x.py", "class HTTPHandler: pass"),
        (laws.names_use_the_words_of_the_field, "router/x.py", "def pick_backend(): pass"),
        (laws.names_use_the_words_of_the_field, "router/x.py", "def f():\n    def replica_set(): pass"),
        (laws.pure_files_import_nothing_that_acts, "router/config.py", PURE + "import asyncio"),
        (laws.pure_files_import_nothing_that_acts, "router/config.py", PURE + "def f():\n    from os.path import join"),
        (laws.pure_files_import_nothing_that_acts, "router/core/x.py", "import time"),
        (laws.private_names_stay_in_their_file, "router/x.py", "from router.core.auth import _digest"),
        (laws.private_names_stay_in_their_file, "router/x.py", "from .auth import check, _digest"),
        (laws.private_names_stay_in_their_file, "router/x.py", "import router.core._auth"),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", "x = 1"),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", '"""A thing.\n\nPure.\n"""'),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", '"""What is it?"""'),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", '"""A thing. Is it?\n\nPure.\n"""'),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", '"""What is it?\n\nA thing.\n"""'),
        (laws.docstrings_ask_and_say_what_they_touch, "router/p/__init__.py", '"""Things of p."""'),
        (laws.core_says_that_it_is_pure, "router/core/x.py", ACTS),
    ],
)
def test_a_broken_law_is_told_once_with_its_place(law: Law, path: str, text: str) -> None:
    offences = caught(law, path, text)
    assert len(offences) == 1
    assert offences[0].startswith(f"{path}:")


@pytest.mark.parametrize(
    ("law", "path", "text"),
    [
        (laws.files_are_short, "router/x.py", "x = 1\n" * 400),
        (laws.files_are_short, "router/x.py", "# house: generated\n" + "x = 1\n" * 400),
        (laws.functions_are_short, "router/x.py", LONG.replace("    x = 1\n", "", 1)),
        (laws.functions_are_short, "router/x.py", LONG.replace("():", "():  # house: a table of options")),
        (laws.names_of_modules_say_something, "router/core/database.py", ""),
        (laws.names_use_the_words_of_the_field, "router/x.py", "class Serviceable: pass\ndef settle(): pass"),
        (laws.names_use_the_words_of_the_field, "router/x.py", "def on_handler(): pass  # house: a library's name"),
        (laws.pure_files_import_nothing_that_acts, "router/config.py", PURE + "import ipaddress"),
        (laws.pure_files_import_nothing_that_acts, "router/app.py", ACTS + "import asyncio"),
        (laws.private_names_stay_in_their_file, "router/x.py", "from __future__ import annotations"),
        (laws.private_names_stay_in_their_file, "router/x.py", "from router import __version__"),
        (laws.private_names_stay_in_their_file, "router/x.py", "from ctypes import _Pointer"),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", PURE),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", ACTS),
        (laws.docstrings_ask_and_say_what_they_touch, "router/x.py", PURE.replace("it?", "HTTP/1.1?")),
        (laws.docstrings_ask_and_say_what_they_touch, "router/p/__init__.py", '"""What is p? A thing."""'),
        (laws.core_says_that_it_is_pure, "router/core/x.py", PURE),
    ],
)
def test_who_keeps_the_law_or_bends_it_with_a_reason_is_left_alone(law: Law, path: str, text: str) -> None:
    assert caught(law, path, text) == []


def test_a_reason_is_wanted_for_bending_a_rule() -> None:
    assert caught(laws.functions_are_short, "router/x.py", LONG.replace("():", "():  # house:"))
