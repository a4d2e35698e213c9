"""`isac2 relion`: a run as a job of RELION."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from isac2.cli.conventions import CONTEXT
from isac2.cli.settings_options import SettingsCommand, settings_options
from isac2.run.stopping import stopping_on_signals

__all__ = ["command"]

_HELP = """Run as an External job of RELION, started in the project's folder.

In RELION: job type External, executable 'isac2 relion' (with its full path where RELION does not
find it), input particles, and on the Params tab the options of a run by their names: radius 120,
CTF yes, img_per_grp 100. RELION adds --in_parts, --o and --j itself.

The job's folder gets isac2_data.star (the particles in classes), isac2_model.star (the classes;
Display and Subset selection open it), isac2_optimiser.star for RELION 4 and later, and the whole
run in its folder run/, report.html too. Continue goes on with a job that was stopped.

\b
As RELION starts it:
    isac2 relion --o External/job012/ --in_parts particles.star --radius 120 --CTF yes --j 8
"""


def _relion(in_parts: str, job: str, threads_of_relion: int | None, **words: Any) -> None:
    from isac2.run.choices import choose_settings
    from isac2.run.relion_job import as_relion_job, run_folder, write_job_files
    from isac2.run.runner import run_isac

    words.pop("pipeline_control")
    if threads_of_relion is not None:
        words["threads"] = threads_of_relion
    folder = Path(job)
    with stopping_on_signals(), as_relion_job(folder):
        settings, choices = choose_settings(in_parts, words, run_folder(folder))
        directory = run_isac(in_parts, run_folder(folder), settings, choices=choices)
        write_job_files(folder, Path.cwd())
    click.echo(f"Report: {directory.report}")


class _RelionCommand(SettingsCommand):
    """A command whose wrong options fail the job, so that RELION sees it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        from isac2.run.relion_job import as_relion_job

        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError:
            if "--o" in given[:-1]:
                with as_relion_job(Path(given[given.index("--o") + 1])):
                    raise
            raise


command = _RelionCommand(
    "relion",
    callback=_relion,
    params=[
        click.Option(["--in_parts"], required=True, metavar="STAR", help="Input particles."),
        click.Option(["--o", "job"], required=True, metavar="DIR", help="Folder of the job."),
        click.Option(
            ["--j", "threads_of_relion"], type=click.IntRange(1, 4096), help="As --threads."
        ),
        click.Option(["--pipeline_control"], hidden=True),
        *settings_options(flags_have_values=True),
    ],
    help=_HELP,
    context_settings=CONTEXT,
)
