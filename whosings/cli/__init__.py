"""The command line: parse, call one function, show. Exit: 0 done, 1 some files failed, 2 wrong input."""

from __future__ import annotations

from whosings.cli import answer, audit, data, learn, paper, voices
from whosings.cli.app import app, main

__all__ = ["app", "main"]

for _command in (  # in the order of --help
    *(learn.train, learn.search, learn.evaluate, learn.join, learn.refit),
    *(answer.identify, answer.explain, audit.audit),
    *(paper.reproduce, paper.models, paper.demo),
):
    app.command()(_command)
app.add_typer(data.commands, name="data")
app.add_typer(voices.commands, name="voices")
