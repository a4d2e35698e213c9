"""`isac2 validate`: find everything that is wrong with a particle stack."""

from __future__ import annotations

import click

from isac2.cli.conventions import CONTEXT

__all__ = ["command"]

_HELP = """Find everything that is wrong with the particle stack FILE, not only the first thing.

Looks at the table (missing, doubled and unreadable values; files that are missing, cut short or of
another size; images listed twice; values that no microscope gives) and at every image (NaN or
infinite pixels, all pixels the same). Names that lead out of the table's own folder are noted. Exit
code 0 when nothing is wrong, 1 otherwise.

\b
Example:
    isac2 validate particles.star
"""


@click.command(
    "validate",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--root", metavar="DIR", help="Folder from which names in the table start.")
@click.option("--quick", is_flag=True, help="Do not read the pixels of all images.")
def command(files: tuple[str, ...], root: str | None, quick: bool) -> int:
    from isac2.cli.stack_arguments import stack_of_argument
    from isac2.stacks.checking import examine_stack

    count = 0
    for file in files:
        name = stack_of_argument(file)
        found = examine_stack(name, root, read_pixels=not quick)
        faults = list(dict.fromkeys(found.sentences))
        for fault in faults:
            click.echo(fault)
        for remark in dict.fromkeys(found.remarks):
            click.echo(f"Note: {remark}")
        count += len(faults)
        if not faults:
            click.echo(f"{name}: no fault found.")
    if count:
        click.echo(f"{count} fault(s) found.")
    return 1 if count else 0
