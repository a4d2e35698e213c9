"""The option table as click options, and a command whose help shows them in groups with units."""

from __future__ import annotations

from typing import Any

import click

from isac2.run.option import AUTOMATIC, Option, checked_value
from isac2.run.option_page import GROUP_TITLES, default_text
from isac2.run.options import option_default, option_table

__all__ = [
    "CLICK_TYPES",
    "NumberOrAuto",
    "SettingsCommand",
    "SettingsOption",
    "device_option",
    "settings_options",
    "words_metavar",
]

CLICK_TYPES: dict[type, Any] = {
    int: click.INT,
    float: click.FLOAT,
    bool: click.BOOL,
    str: click.STRING,
}
"""What click reads the values of an option as, by their type."""


class SettingsOption(click.Option):
    """A click option that knows the group its row of the table is in."""

    def __init__(self, declarations: list[str], group: str, **attributes: Any) -> None:
        super().__init__(declarations, **attributes)
        self.group = group


class NumberOrAuto(click.ParamType):  # type: ignore[type-arg]
    """A number, or the word that leaves it to the program."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.name = f"{kind.name}|{AUTOMATIC}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or the word as it is."""
        if value == AUTOMATIC:
            return value
        try:
            return self._kind.convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{str(error.message).rstrip('.')}, nor {AUTOMATIC!r}", param, ctx)


class SettingsCommand(click.Command):
    """A command whose help shows the options by the groups of the table."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, title in GROUP_TITLES.items():
            rows = [
                record
                for parameter in self.get_params(ctx)
                if isinstance(parameter, click.Option)
                and getattr(parameter, "group", "machine") == group
                and (record := parameter.get_help_record(ctx)) is not None
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


def settings_options(flags_have_values: bool = False) -> list[click.Parameter]:
    """Return one click option for each row of the table, in its order.

    The values are handed on under the field names of `isac2.run.options.Settings`, which checks
    them; click only parses the text. What can be ``auto`` is None where it is left out, and goes
    through `isac2.run.choices.choose_settings` first.

    Parameters
    ----------
    flags_have_values : bool
        Flags may be followed by yes or no, for programs that cannot give an option without a value.
    """
    table = option_table().items()
    return [_click_option(name, option, flags_have_values) for name, option in table]


def device_option() -> click.Option:
    """Return the table's ``--device`` for a verb that has no settings: checked, never left out."""
    option = option_table()["device"]
    found = _click_option("device", option, False)

    def checked(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
        return str(checked_value(option, option_default("device") if value is None else value))

    found.callback = checked
    return found


def words_metavar(option: Option) -> str | None:
    """Return how the help shows the words of a text, as in ``auto|cpu``; None for other options."""
    return option.words.replace(", ", "|").replace(" or ", "|") or None


def _click_option(name: str, option: Option, flags_have_values: bool) -> click.Option:
    default = option_default(name)
    kind: Any = CLICK_TYPES[option.value_type]
    others = [f"{value}: {meaning}" for value, meaning in option.special if value != default]
    if option.automatic:
        kind, default = kind if option.words else NumberOrAuto(kind), None
        others.append(f"{AUTOMATIC}: {option.automatic}")
    words = [option.unit, f"default {default_text(name, option)}", *others]
    note = ", ".join(word for word in words if word)
    attributes: dict[str, Any] = {"default": default, "metavar": words_metavar(option)}
    if option.value_type is bool:
        attributes["is_flag"] = not flags_have_values
        if flags_have_values:
            attributes["flag_value"] = True
    return SettingsOption(
        [f"--{option.name}", name],
        option.group,
        type=kind,
        help=option.help if option.value_type is bool else f"{option.help} [{note}]",
        **attributes,
    )
