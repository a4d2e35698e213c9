"""`isac2 order`: class averages in an order in which neighbours look alike."""

from __future__ import annotations

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.main import explain
from isac2.cli.settings_options import device_option

__all__ = ["command", "order"]

_HELP = """Order class averages so that neighbours look alike, and turn them to match, to OUT.

AVERAGES is a run's directory or a file of averages in any format; OUT ends in .mrcs (and gets a
table .star beside it) or .hdf. OUT_params.txt says, a row an average: new place, class, alpha
(degrees), 0, 0, mirror, counted from 0. A run does this at its end; this is for averages that were
selected, beautified, or made elsewhere.

\b
Example:
    isac2 order averages/class_averages.mrcs ordered.mrcs --radius 40
"""


@click.command(
    "order",
    help=_HELP,
    context_settings=CONTEXT,
)
@click.argument("averages")
@click.argument("output", metavar="OUT")
@click.option(
    "--radius",
    type=int,
    metavar="PX",
    help="Particle radius in the averages; the run's, or the largest that fits, by default.",
)
@click.option(
    "--xr",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Range of translations; one pixel more is tried each way.",
)
@click.option("--no-turn", is_flag=True, help="Order the averages, but leave each as it is.")
@click.option("--table", metavar="FILE", help="Also write the correlation of every pair.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="All cores by default.")
def command(
    averages: str,
    output: str,
    radius: int | None,
    xr: float,
    no_turn: bool,
    table: str | None,
    threads: int,
    device: str,
) -> None:
    order(averages, output, radius, xr, not no_turn, table, threads, device)


command.params.append(device_option())


def order(
    averages: str,
    output: str,
    radius: int | None,
    x_range: float,
    turn: bool,
    table: str | None,
    threads: int = 0,
    device: str = "cpu",
) -> None:
    """Order averages and say so.

    Raises
    ------
    InputError
        When they cannot be ordered, or a file is there already.
    """
    from isac2.after.order import OrderOptions, order_file
    from isac2.run.communication import open_ranks

    options = OrderOptions(radius, x_range, turn, table, threads, device)
    with open_ranks(explain) as ranks:
        chain = order_file(averages, output, options, ranks=ranks)
        if ranks.is_first:
            inner = chain.correlation[1:]
            mean = f", neighbours correlate to {inner.mean():.3f}" if len(inner) else ""
            click.echo(f"{len(chain.order)} averages in order{mean}: {output}")
