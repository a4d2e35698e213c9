"""The manual's page of options, made from the option table.

``python -m isac2.run.option_page > docs/options.md`` brings the page up to date.
"""

from __future__ import annotations

import math
from dataclasses import MISSING

from isac2.run.option import AUTOMATIC, Option
from isac2.run.options import option_default, option_table

__all__ = ["GROUP_TITLES", "default_text", "option_page"]

GROUP_TITLES = {
    "main": "Main options",
    "advanced": "Advanced options",
    "machine": "Options about the machine",
}
_HEAD = """\
# Options of a run

Made from the option table in `src/isac2/run/options.py` by `python -m isac2.run.option_page`.

The names are the ones that `sp_isac2.py` has always had; `--radius=120` and `--radius 120` are the
same, on both `isac2 run` and `sp_isac2.py`. In Python, `isac2.classify` takes each as a keyword of
the name in the second column. "Input px" are pixels of the given images; "px" are pixels of the
working images, which are the input resampled by `target_radius / radius`. Where `auto` is among the
values, the program chooses and says why (also in `run.json`, as `choices`).
"""
_WHAT_THEY_DO = """
## What they do to the classes

![Purity, good particles and junk in classes, and time, by option](pictures/ablations.png)

*Each option around its default (shaded), all others as they are. Blue: purity. Green: share of the
good particles in classes. Red: share of the junk. Grey, on the right: core-seconds. The figures,
with the stack they are of, are on [a page of their own](ablations.md).*
"""


def option_page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD]
    for group, title in GROUP_TITLES.items():
        parts.append(f"\n## {title}\n\n| option | in Python | default | unit | range | meaning |\n")
        parts.append("|---|---|---|---|---|---|\n")
        parts.extend(
            _table_row(name, option)
            for name, option in option_table().items()
            if option.group == group
        )
    parts.append(_WHAT_THEY_DO)
    return "".join(parts)


def default_text(name: str, option: Option) -> str:
    """Say the default of a field in words, with its meaning when it has one of its own."""
    default = option_default(name)
    if option.automatic and default in (MISSING, None):
        return AUTOMATIC
    if default is MISSING:
        return "required"
    if option.value_type is bool:
        return "off"
    meanings = [meaning for value, meaning in option.special if value == default]
    shown = "none" if default is None else str(default)
    return f"{shown}: {meanings[0]}" if meanings else shown


def _table_row(name: str, option: Option) -> str:
    cells = [
        f"`--{option.name}`",
        f"`{name}`",
        default_text(name, option),
        option.unit,
        _range_cell(option),
        option.help,
    ]
    return "| " + " | ".join(cells) + " |\n"


def _range_cell(option: Option) -> str:
    if option.value_type is bool:
        return "flag"
    if option.value_type is str:
        return "; ".join([option.words, *_automatic(option)])
    if option.maximum < math.inf:
        text = f"{option.minimum:.15g} to {option.maximum:.15g}"
    else:
        text = f"{option.minimum:.15g} or more"
    others = [f"{value}: {meaning}" for value, meaning in option.special if value is not None]
    return "; ".join([text, *others, *_automatic(option)])


def _automatic(option: Option) -> list[str]:
    """What the word ``auto`` does, where it may be given."""
    return [f"auto: {option.automatic}"] if option.automatic else []


if __name__ == "__main__":
    print(option_page(), end="")
