"""`isac2 <verb>`: finds the verb's module, runs it, and turns errors into one sentence."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import click

from isac2 import __version__
from isac2.errors import Isac2Error
from isac2.run.compiling import make_room_for_kernels
from isac2.run.launcher import launched_rank
from isac2.run.stopping import RunStopped

__all__ = ["explain", "main", "run_command"]

_SECONDS_FOR_FIRST_RANK = 3.0


class Verb(NamedTuple):
    """Where a verb's click command lives, and what the list of verbs says about it."""

    module: str
    help: str


VERBS = {
    "run": Verb("isac2.cli.run", "Sort a particle stack into validated class averages."),
    "suggest": Verb("isac2.cli.suggest", "Measure a stack and say what to give a run."),
    "status": Verb("isac2.cli.status", "Say how far a run is, also while it goes on."),
    "simulate": Verb("isac2.cli.simulate", "Make a particle stack whose truth is known."),
    "evaluate": Verb("isac2.cli.evaluate", "Score a run against the truth of a simulated stack."),
    "view": Verb("isac2.cli.view", "Choose classes in the browser, also while a run goes on."),
    "plot": Verb("isac2.cli.plot", "Draw a figure of a run for a paper."),
    "relion": Verb("isac2.cli.relion", "Run as an External job of RELION."),
    "report": Verb("isac2.cli.report", "Write the page that shows a run."),
    "info": Verb("isac2.cli.info", "Say what is in a particle stack."),
    "validate": Verb("isac2.cli.validate", "Find everything that is wrong with a particle stack."),
    "select": Verb("isac2.cli.select", "Write the particles of chosen classes."),
    "substack": Verb("isac2.cli.substack", "Write the particles of all classes to a folder."),
    "rerun": Verb("isac2.cli.rerun", "Classify chosen particles of a run again."),
    "assign": Verb("isac2.cli.assign", "Give new particles to the classes of a run."),
    "compare": Verb("isac2.cli.compare", "Say what comes again from run to run."),
    "separate": Verb("isac2.cli.separate", "Write a stack and a list for each class."),
    "order": Verb("isac2.cli.order", "Put class averages in order of likeness."),
    "beautify": Verb("isac2.cli.beautify", "Average the classes at full size, CTF corrected."),
    "convert": Verb("isac2.cli.convert", "Write a particle stack in another format."),
}
"""Each module exposes its click command as `command`; it is imported when it is used."""


class LazyGroup(click.Group):
    """A group that imports a verb's module only to run it, so that the help comes at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = import_module(VERBS[cmd_name].module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="isac2")
@click.option("--debug", is_flag=True, help="Show the traceback of an error; may stand anywhere.")
def isac2(debug: bool) -> None:
    """Validated 2D class averages from particle stacks, by iterative stable alignment and
    clustering."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `isac2` with `arguments` (the process's own when None) and return the exit code."""
    return run_command(isac2, "isac2", arguments)


def run_command(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a click command as a program and return its exit code.

    0 is success, 2 an input or option that cannot be used, 1 any other failure, 128 and its number
    for a signal that stopped a run (130 from the keyboard, 143 when it was asked to end), 75 when
    its ``--max-hours`` are over. Errors are one sentence on stderr, unless ``--debug`` is among the
    arguments.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    make_room_for_kernels()
    try:
        code = command.main(
            [word for word in given if word != "--debug"], prog_name=name, standalone_mode=False
        )
        return code if isinstance(code, int) else 0
    except click.Abort as abort:
        code = _say_stopped(abort.__cause__)
        if arguments is None:
            _end_at_once(code)
        return code
    except click.exceptions.NoArgsIsHelpError as error:
        _let_first_rank_speak()
        return _say(error.format_message(), 2, prefix="")
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        asked = context.command_path if context else name
        _let_first_rank_speak()
        return _say(f"{error.format_message().rstrip('.')}; see '{asked} --help'.", error.exit_code)
    except Exception as error:
        _let_first_rank_speak()
        return explain(error, debug)


def _let_first_rank_speak() -> None:
    """Wait, in another rank, until the first has said what all of them have found wrong.

    Its end then ends the others, unless the fault is theirs alone.
    """
    if launched_rank():
        time.sleep(_SECONDS_FOR_FIRST_RANK)


def explain(error: BaseException, debug: bool | None = None) -> int:
    """Say in one sentence what a program ended with, and return its exit code.

    Parameters
    ----------
    error : BaseException
    debug : bool, optional
        Show the traceback instead; by default when the program's arguments ask for it.
    """
    if not isinstance(error, Exception):
        return _say_stopped(error)
    if "--debug" in sys.argv if debug is None else debug:
        traceback.print_exception(error)
        return error.exit_code if isinstance(error, Isac2Error) else 1
    if isinstance(error, Isac2Error):
        return _say(str(error), error.exit_code)
    if isinstance(error, OSError | MemoryError):
        return _say(f"{error or 'the machine has no memory left'}.", 1)
    return _say(
        f"unexpected {type(error).__name__} ({error}): this is a fault of the program, please "
        "report it with what --debug shows.",
        1,
    )


def _say_stopped(stop: BaseException | None) -> int:
    """Say what stopped the program and how to go on, and return the exit code."""
    cause, code = "stopped", 130
    if isinstance(stop, RunStopped):
        cause, code = str(stop), stop.exit_code
    sentence = f"{cause}; the same command goes on from the last saved point."
    return _say(sentence[0].upper() + sentence[1:], code, prefix="")


def _end_at_once(code: int) -> None:
    """End the process without waiting for threads that still work for a run that was stopped.

    All files are written whole or not at all, so that no thread has anything to finish.
    """
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _say(sentence: str, code: int, prefix: str = "Error: ") -> int:
    click.echo(f"{prefix}{sentence}", err=True)
    return code
