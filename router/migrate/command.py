"""What does `scoregate import azureml` do?

I/O: reads files, prints InferenceEndpoints, and on stderr what they can't say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import yaml
from rich.console import Console
from rich.text import Text

from router.migrate.documents import read_documents
from router.migrate.endpoints import Choices, Resource, resources
from router.migrate.fields import Findings
from router.migrate.kinds import kind_of
from router.migrate.parts import Part
from router.migrate.v1 import read_v1
from router.migrate.v2 import read_deployment, read_endpoint
from router.options import as_json as json_option
from router.options import option
from router.platforms.yaml_file import FileError

_WORKLOAD = re.compile(r"(?P<name>[^=]+)=(?P<kind>[A-Za-z]+)/(?P<object>[^/]+)")
_KINDS = {"deployment": "Deployment", "statefulset": "StatefulSet"}
_STRICT = 2
"""Exit code of --strict where something was lost."""


@click.group("import")
def import_() -> None:
    """Make InferenceEndpoints of what another router was told."""


def _workloads(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for text in texts:
        parts = _WORKLOAD.fullmatch(text)
        kind = _KINDS.get(parts["kind"].lower()) if parts else None
        if parts is None or kind is None:
            raise click.BadParameter(f"{text!r}, but it must be NAME=Deployment/NAME or NAME=StatefulSet/NAME")
        found[parts["name"]] = (kind, parts["object"])
    return found


def _names(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> dict[str, str]:
    """By file; without one, for all that have no name."""
    found = {file: name for file, _, name in (text.rpartition("=") for text in texts)}
    for file in found:
        if file and Path(file) not in context.params["files"]:
            raise click.BadParameter(f"{file!r} is not one of the files")
    return found


@import_.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    is_eager=True,  # --name speaks of them
    type=click.Path(path_type=Path, dir_okay=False),
)
@option("--namespace", "-n", help="Of the workloads, and so of the InferenceEndpoints.")
@option(
    "--workload",
    "workloads",
    multiple=True,
    metavar="DEPLOYMENT=KIND/NAME",
    callback=_workloads,
    help="The Deployment or StatefulSet of a deployment; ENDPOINT/DEPLOYMENT where several have that name.",
)
@option(
    "--name",
    "names",
    multiple=True,
    metavar="[FILE=]NAME",
    callback=_names,
    help="The endpoint of a file that names none, as deploymentconfig.json.",
)
@option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file, not standard output.")
@json_option
@option("--strict", is_flag=True, help=f"Exit with {_STRICT} if anything could not be carried over.")
def azureml(
    files: tuple[Path, ...],
    namespace: str | None,
    workloads: dict[str, tuple[str, str]],
    names: dict[str, str],
    output: Path | None,
    as_json: bool,
    strict: bool,
) -> None:
    """Make InferenceEndpoints of what Azure ML's router was told.

    FILE is a v1 deploymentconfig.json, the keyword arguments of deploy_configuration(...) as JSON or YAML, a
    webservice as webservice.serialize() gives it, or a v2 online endpoint or deployment. What several files say of one
    endpoint is put together. Every field that has no counterpart is told on standard error, with what to do instead.
    """
    findings = Findings()
    parts = [part for file in files for part in _parts(file, names, findings)]
    found = list(resources(parts, Choices(namespace, workloads), findings))
    if findings.problems:
        raise click.ClickException("\n".join(findings.problems))
    text = _json(found) if as_json else _yaml(found)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
    _tell(findings.warnings)
    if output is not None:
        click.echo(f"{output}: {_count(len(found), 'endpoint')}; now `scoregate check {output}`.", err=True)
    if strict and findings.warnings:
        raise click.exceptions.Exit(_STRICT)


def _parts(file: Path, names: Mapping[str, str], findings: Findings) -> Iterator[Part]:
    try:
        documents = read_documents(file)
    except FileError as error:
        findings.problems.append(str(error))
        return
    name = next((names[given] for given in names if given and Path(given) == file), names.get(""))
    for number, document in enumerate(documents, start=1):
        label = f"{file}[{number}]" if len(documents) > 1 else str(file)
        try:
            kind = kind_of(document)
        except ValueError as error:
            findings.problems.append(f"{label}: {error}")
            continue
        assert isinstance(document, dict)
        if kind == "v1":
            yield from read_v1(document, label, name, findings)
        else:
            is_endpoint = kind == "endpoint"
            part = read_endpoint(document, label, findings) if is_endpoint else None
            part = part if is_endpoint else read_deployment(document, label, name, findings)
            yield from () if part is None else (part,)


def _yaml(found: Sequence[Resource]) -> str:
    texts = []
    for resource in found:
        comments = "".join(f"# {comment}\n" for comment in resource.comments)
        texts.append(comments + yaml.safe_dump(resource.document, sort_keys=False, width=120))
    return "---\n".join(texts)


def _json(found: Sequence[Resource]) -> str:
    items = [resource.document for resource in found]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2) + "\n"


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{output}: can't be written: {error.strerror}") from None


def _tell(warnings: Sequence[str]) -> None:
    """In colours on a terminal, one plain line each in a pipe."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for warning in warnings:
        place, _, rest = warning.partition(": ")
        console.print(Text.assemble(("warning: ", "bold yellow"), (place, "bold"), ": ", rest))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
