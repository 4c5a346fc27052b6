"""What was probably meant: the nearest of the words that exist. For verbs, subcommands, kinds, names and parts."""

import difflib
from collections.abc import Iterable

import click
from typing_extensions import override


def hint(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?`, or nothing if nothing is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class Group(click.Group):
    """A group of subcommands that says which one was probably meant."""

    @override
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        # A hidden one is there, and not among the known.
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            meant = hint(args[0], known) or f"; there is: {', '.join(known)}"
            # The program has verbs, a verb has subcommands.
            what = "verb" if ctx.parent is None else f"{ctx.info_name} command"
            ctx.fail(f"there is no {what} {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)
