"""What does a Dockerfile say, step by step?

Pure. As much of its syntax as ours uses: comments, lines that go on, JSON arguments.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple


class Step(NamedTuple):
    """`word` in capitals; `rest` on one line."""

    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Of an argument in JSON, or of one in plain words."""
        if self.rest.startswith("["):
            return [str(word) for word in json.loads(self.rest)]
        return self.rest.split()


class Stage(NamedTuple):
    """From one FROM to the next."""

    base: str
    name: str
    steps: tuple[Step, ...]

    def only(self, word: str) -> Step:
        (step,) = self.all(word)
        return step

    def all(self, word: str) -> list[Step]:
        return [step for step in self.steps if step.word == word]

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for step in self.all("ENV") for pair in step.rest.split())


def stages(text: str) -> list[Stage]:
    """What stands before the first FROM has no stage, and is left out."""
    found: list[Stage] = []
    for step in steps(text):
        if step.word == "FROM":
            base, *alias = step.words
            found.append(Stage(base, alias[-1] if alias else "", ()))
        elif found:
            found[-1] = found[-1]._replace(steps=(*found[-1].steps, step))
    return found


def steps(text: str) -> list[Step]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", without_comments)
    return [Step(*line.split(None, 1)) for line in joined.splitlines() if line.strip()]
