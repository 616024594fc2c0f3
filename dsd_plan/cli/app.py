"""The entry point: finds the verb, imports it when it is called for, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.outputs import with_outputs_checked
from dsd_plan.cli.terminal import visible
from dsd_plan.cli.verbs import VERBS, Entry, Family, LaterVerb, Verb
from dsd_plan.errors import DsdPlanError, InfeasibleError, InputError

PROGRAM = "dsd-plan"


class VerbGroup(TyperGroup):
    """Commands from the table of verbs; a verb's module is imported when the verb is called, not before."""

    entries: Mapping[str, Entry]

    def list_commands(self, ctx: Any) -> list[str]:
        """Verbs in the order of the table."""
        return list(self.entries)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb called for, with its module imported."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = self.entries.get(name or "")
        return name, imported(entry) if isinstance(entry, Verb) else command, rest


def group(name: str, summary: str, entries: Sequence[Entry]) -> VerbGroup:
    """A group whose commands are stand-ins that know their one-line help."""
    made = VerbGroup(
        name=name,
        help=summary,
        no_args_is_help=True,
        rich_markup_mode=None,
        commands={entry.name: stand_in(entry, name) for entry in entries},
    )
    made.entries = {entry.name: entry for entry in entries}
    return made


def stand_in(entry: Entry, family: str) -> TyperCommand | TyperGroup:
    """What help shows of an entry; for a verb that comes later also what it answers."""
    if isinstance(entry, Family):
        return group(entry.name, entry.summary, entry.verbs)
    if isinstance(entry, Verb):
        return TyperCommand(entry.name, rich_markup_mode=None, help=entry.summary)
    words = f"{PROGRAM} {entry.name}" if family == PROGRAM else f"{PROGRAM} {family} {entry.name}"
    return TyperCommand(
        entry.name,
        rich_markup_mode=None,
        help=f"{entry.summary} Not supported yet.",
        callback=lambda: refuse(words, entry),
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


def refuse(words: str, verb: LaterVerb) -> None:
    """Answer for a verb that comes later. Raises InputError."""
    raise InputError(words, f"not supported yet: {verb.summary.rstrip('.').lower()}; until then {verb.instead}")


def imported(verb: Verb) -> Any:
    """The real command of a verb."""
    run = importlib.import_module(verb.module).run
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(verb.name, help=f"{verb.summary}\n\n{inspect.getdoc(run)}")(with_outputs_checked(run))
    return typer.main.get_command(app)


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from dsd_plan import __version__

        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


def top() -> VerbGroup:
    """The whole command line."""
    made = group(
        PROGRAM,
        "Where should each model run, how large should each speculation window be, and what will users see?",
        VERBS,
    )
    options = typer.Typer(add_completion=False)

    @options.callback(invoke_without_command=True)
    def _(
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
        ] = False,
    ) -> None: ...

    made.params = list(typer.main.get_command(options).params)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; the only place where an error becomes one."""
    try:
        code = invoke(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return explain_usage(error)
    except InfeasibleError as error:
        return complain(error, ExitCode.INFEASIBLE)
    except DsdPlanError as error:
        return complain(error, ExitCode.BAD_INPUT)
    except BrokenPipeError:
        # What is left in the buffer has no reader; without this Python complains about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    except OSError as error:
        if error.filename is None:
            raise
        return complain(f"{error.filename}: {error.strerror}", ExitCode.BAD_INPUT)
    except KeyboardInterrupt:
        return complain("interrupted", ExitCode.INTERRUPTED)


def invoke(arguments: list[str]) -> int:
    """Run one command line; a verb that wants an exit code other than 0 raises `typer.Exit`."""
    command = top()
    try:
        with command.make_context(PROGRAM, arguments) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    return ExitCode.OK


def complain(problem: object, code: ExitCode) -> ExitCode:
    """Say on stderr what is wrong."""
    typer.echo(visible(f"{PROGRAM}: {problem}"), err=True)
    return code


def explain_usage(error: typer.TyperException) -> int:
    """Say on stderr how the verb is used; a bare family or program name shows its help."""
    text = error.format_message()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(text, err=True)
    else:
        usage = "" if context is None else f"\n{context.get_usage()}\n{context.command_path} --help tells more"
        complain(f"{text}{usage}", ExitCode.USAGE)
    return error.exit_code
