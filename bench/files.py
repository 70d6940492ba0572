"""Where does a benchmark write its figures and pictures, and can it?

I/O: the files of `--json` and `--chart`. That they can be written is looked at before the run, not after it.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import click
import msgspec

from autoscaler.chart import FORMATS

_FILE = click.Path(dir_okay=False, path_type=Path)


def _writable(_context: click.Context, _parameter: click.Parameter, file: Path | None) -> Path | None:
    if file is not None and not file.parent.is_dir():
        raise click.BadParameter(f"'{file}': there is no folder '{file.parent}'")
    if file is not None and not os.access(file if file.exists() else file.parent, os.W_OK):
        raise click.BadParameter(f"'{file}' can't be written")
    return file


def _drawable(context: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    if file is not None and file.suffix not in FORMATS:
        raise click.BadParameter(f"'{file}': its name must end with {' or '.join(FORMATS)}")
    if file is not None and importlib.util.find_spec("matplotlib") is None:
        raise click.BadParameter("pictures want matplotlib: pip install 'scoregate[charts]'")
    return _writable(context, parameter, file)


json_option = click.option("--json", "json_file", callback=_writable, type=_FILE, help="Write all figures here.")
chart_option = click.option("--chart", callback=_drawable, type=_FILE, help="Draw them here, .svg or .png.")


def write_json(file: Path | None, figures: object) -> None:
    """Nothing without a file."""
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
