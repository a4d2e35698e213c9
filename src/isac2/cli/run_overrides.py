"""The options of a run that another run is made from: as `isac2 run` has them, all left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from isac2.cli.settings_options import (
    CLICK_TYPES,
    NumberOrAuto,
    SettingsCommand,
    SettingsOption,
    words_metavar,
)
from isac2.run.option import AUTOMATIC
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


def run_overrides(automatic: bool = False) -> list[click.Parameter]:
    """Return options of `isac2 run` that are None when they are not given.

    Parameters
    ----------
    automatic : bool
        Whether numbers may be ``auto`` that may be so in a run.
    """
    found: list[click.Parameter] = []
    for name, option in option_table().items():
        if name in _NEVER:
            continue
        flag = option.value_type is bool
        kind: Any = CLICK_TYPES[option.value_type]
        notes = [option.unit] if option.unit else []
        if automatic and option.automatic and not option.words:
            kind = NumberOrAuto(kind)
            notes.append(f"{AUTOMATIC}: {option.automatic}")
        declarations = [f"--{option.name}/--no-{option.name}" if flag else f"--{option.name}", name]
        note = f" [{', '.join(notes)}]" if notes else ""
        found.append(
            SettingsOption(
                declarations,
                option.group,
                type=kind,
                default=None,
                metavar=words_metavar(option),
                help=f"{option.help}{note}",
            )
        )
    return found


def given_settings(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a command's words that are settings and were given."""
    table = option_table()
    return {name: value for name, value in words.items() if name in table and value is not None}
