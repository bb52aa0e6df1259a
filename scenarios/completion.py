"""Completion for shells: a script with every command and option in it, so that completing starts nothing.

wattloop completion bash > ~/.local/share/bash-completion/completions/wattloop
"""

from __future__ import annotations

import importlib
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import typer
from typer.main import get_command

from simulators.console import App
from simulators.errors import InputError

SHELLS = ("bash", "zsh")

BASH = """\
# completion of wattloop; made by: wattloop completion {shell}
_wattloop() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="" entry known=""
    for entry in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$command $entry" in
{commands}
        esac
    done
    case "$before" in
{values}
    esac
    case "$command" in
{options}
    esac
    if [ -n "$known" ] && {{ [ -z "$command" ] || [[ "$word" == -* ]] || [[ "$known" != -* ]]; }}; then
        COMPREPLY=($(compgen -W "$known" -- "$word"))
    else
        COMPREPLY=()
    fi
}}
complete -o default -o bashdefault -F _wattloop wattloop
"""


def options() -> dict[str, list[str]]:
    """What may follow each command (and subcommand): its options, or its subcommands.

    The key of what may follow the program's name alone is empty.
    """
    from scenarios.cli import CATALOGUE, COMMANDS

    found: dict[str, list[str]] = {"": [*COMMANDS, "--help", "--version"]}
    for name, (module, _) in COMMANDS.items():
        loaded: Any = importlib.import_module(module)
        made = get_command(loaded.app(name) if name in CATALOGUE else loaded.app())
        subcommands: dict[str, Any] = getattr(made, "commands", {})
        if subcommands:
            found[name] = [*subcommands, "--help"]
            found |= {f"{name} {sub}": _flags(command) for sub, command in subcommands.items()}
        else:
            found[name] = _flags(made)
    found["completion"] = [*SHELLS, "--help"]
    return found


def _flags(command: Any) -> list[str]:
    """Options of a click command."""
    named = (flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts))
    return [*(flag for flag in named if flag.startswith("--") and flag != "--help"), "--help"]


def values() -> dict[str, list[str]]:
    """What may follow an option that takes a bundled name."""
    from simulators.grid.sources import NETWORKS
    from simulators.inference.catalogue import gpu_names, model_names
    from simulators.profiles.site import known_sites
    from simulators.scheduler.policies import POLICIES

    return {
        "--site": known_sites(), "--gpu": gpu_names(), "--model": model_names(), "--policy": list(POLICIES),
        "--network": list(NETWORKS),
    }  # fmt: skip


def script(shell: str) -> str:
    """The script for a shell, ``bash`` or ``zsh``."""
    known = options()
    commands = [
        f"            {shlex.quote(f'{parent} {last}')}) command={shlex.quote(name)} ;;"
        for name in known
        if name
        for parent, _, last in [name.rpartition(" ")]
    ]
    of_options = [
        f'        {flag}) COMPREPLY=($(compgen -W {shlex.quote(" ".join(names))} -- "$word")); return ;;'
        for flag, names in values().items()
    ]
    of_commands = [
        f"        {shlex.quote(name)}) known={shlex.quote(' '.join(names))} ;;"
        for name, names in known.items()
    ]
    text = BASH.format(
        shell=shell,
        commands="\n".join(commands),
        values="\n".join(of_options),
        options="\n".join(of_commands),
    )
    return (
        f"autoload -U +X compinit bashcompinit && compinit && bashcompinit\n{text}"
        if shell == "zsh"
        else text
    )


def _command(shell: Annotated[str, typer.Argument(help="bash or zsh")] = "bash") -> None:
    """Print the script that completes commands, options and bundled names; put it where your shell looks for it.

    bash: wattloop completion bash > ~/.local/share/bash-completion/completions/wattloop

    zsh: wattloop completion zsh >> ~/.zshrc
    """
    if shell not in SHELLS:
        raise InputError(f"completion: {shell!r} given, expected {' or '.join(SHELLS)}")
    print(script(shell), end="")


def app() -> App:
    """The command."""
    return App.of(_command)


if __name__ == "__main__":
    app()()
