"""What happens when a user types a `scoregate` command?

I/O: what the command does, in this process.
"""

from __future__ import annotations

from click.testing import CliRunner, Result

from router import cli


def run(*words: object, input_: str | None = None, **env: str) -> Result:
    return CliRunner().invoke(cli.main, [str(word) for word in words], input=input_, env=env)


def failed(*words: object, **env: str) -> str:
    """What a command that fails says: one message, exit code 1, and no traceback."""
    result = run(*words, **env)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.startswith("Error: ")
    assert result.stdout == ""
    return result.stderr.removeprefix("Error: ")
