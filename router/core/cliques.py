"""Who works together, where not all hear each other?

Pure. Those who do must all hear each other, both ways: else two of them would never agree on who they are. Whoever
knows the same names the same group, for nearly all that happens; where that fails, they notice that they differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def group_of(own: str, hears: Mapping[str, Collection[str]], first: Iterable[str]) -> set[str]:
    """The group of `own`. `hears`: whom each hears, itself left out, `own` among them. `first`: those who have a place
    before others, as long as they hear each other: who worked together goes on so when somebody comes."""
    names = set(hears)
    if all(len(names.intersection(heard)) >= len(names) - 1 for heard in hears.values()):
        return names
    groups: list[tuple[set[str], set[str]]] = []  # each with those whom all in it hear
    known = [name for name in sorted(first) if name in names]
    for name in [*known, *sorted(names - set(known))]:
        for group, heard in groups:
            if name in heard and group.issubset(hears[name]):
                group.add(name)
                heard.intersection_update(hears[name])
                break
        else:
            groups.append(({name}, set(hears[name])))
    return next(group for group, _ in groups if own in group)
