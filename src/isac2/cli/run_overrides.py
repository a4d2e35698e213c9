"""The options of a run that another run is made from: as `isac2 run` has them, all left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from isac2.cli.settings_options import (
    CLICK_TYPES,
    SettingsCommand,
    SettingsOption,
    words_metavar,
)
from isac2.run.options import option_table

__all__ = ["OverridingCommand", "given_settings", "run_overrides"]

_NEVER = ("restart",)


class OverridingCommand(SettingsCommand):
    """A command whose help shows its own options first, then those of a run in their groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        def rows(of_the_run: bool) -> list[tuple[str, str]]:
            return [
                record
                for parameter in self.get_params(ctx)
                if isinstance(parameter, click.Option)
                and isinstance(parameter, SettingsOption) == of_the_run
                and (record := parameter.get_help_record(ctx)) is not None
            ]

        with formatter.section("Options"):
            formatter.write_dl(rows(of_the_run=False))
        with formatter.section("Options of the run, where they are to differ"):
            formatter.write_dl(rows(of_the_run=True))


def run_overrides(names: Sequence[str] | None = None) -> list[click.Parameter]:
    """Return options of `isac2 run` that are None when they are not given.

    Parameters
    ----------
    names : sequence of str, optional
        Python names of those that are wanted; all but ``restart`` by default.
    """
    found: list[click.Parameter] = []
    for name, option in option_table().items():
        if name in _NEVER or (names is not None and name not in names):
            continue
        flag = option.value_type is bool
        declarations = [f"--{option.name}/--no-{option.name}" if flag else f"--{option.name}", name]
        unit = f" [{option.unit}]" if option.unit else ""
        found.append(
            SettingsOption(
                declarations,
                option.group,
                type=CLICK_TYPES[option.value_type],
                default=None,
                metavar=words_metavar(option),
                help=f"{option.help}{unit}",
            )
        )
    return found


def given_settings(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a command's words that are settings and were given."""
    table = option_table()
    return {name: value for name, value in words.items() if name in table and value is not None}
