"""For the site: roles in docstrings (``:func:`~package.name` ``) become links."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`(~?)([^`]+)`")
PACKAGE = "napari_samhq"


class Roles(griffe.Extension):
    """Translates the roles of all docstrings, once the package has been read."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Go through all that has a docstring."""
        for thing in everything_in(pkg):
            if thing.docstring is not None:
                thing.docstring.value = ROLE.sub(
                    lambda role, thing=thing: link(role, thing), thing.docstring.value
                )


def everything_in(thing: griffe.Object) -> Iterator[griffe.Object]:
    """Yield an object and all that is defined in it."""
    yield thing
    for member in thing.members.values():
        if not member.is_alias:
            yield from everything_in(member)


def link(role: re.Match[str], thing: griffe.Object) -> str:
    """Write a role as a link where the reference shows its target, and as code elsewhere.

    The second pair of brackets asks mkdocs-autorefs; "optional" lets it fall back to the text.
    """
    target = role[2]
    text = target.rpartition(".")[2] if role[1] else target
    try:
        path = thing.resolve(target)
    except griffe.NameResolutionError:
        path = target
    return f'<autoref optional identifier="{path}"><code>{text}</code></autoref>'
