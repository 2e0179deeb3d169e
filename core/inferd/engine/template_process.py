"""A process that renders chat templates of clients: `python -m` this.

Standard output has a line when it has begun; then standard input has a Job a line, and standard
output a Rendered for each. A template is a program that nobody has read: a sandbox bounds what it
reaches, this process what it takes, and whoever waits for it ends it after a while.
"""

from __future__ import annotations

import resource
import signal
import sys
from typing import Any, BinaryIO

import msgspec

from inferd.errors import RequestError
from inferd.loading import chat_template

MEMORY_BYTES = 512 << 20  # where the system enforces it (Linux)
ALONE_S = 10  # for one, should nobody be left to end it
MOST_CHARS = 1 << 20  # of what a template makes


class Job(msgspec.Struct):
    """One conversation; `opens` leaves its last message open."""

    template: str
    messages: list[dict[str, Any]]
    opens: bool
    context: dict[str, Any]


class Rendered(msgspec.Struct):
    """`text`, or why there is none."""

    text: str = ""
    refusal: str | None = None


def rendered(job: Job) -> Rendered:
    render = chat_template.render_open if job.opens else chat_template.render
    try:
        text = render(job.template, job.messages, **job.context)
    except RequestError as error:
        return Rendered(refusal=str(error).replace("the model's chat template", "chat_template"))
    if len(text) > MOST_CHARS:
        return Rendered(refusal=f"chat_template makes more than {MOST_CHARS} characters")
    return Rendered(text)


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Until `asked` ends."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for line in asked:
        signal.alarm(ALONE_S)
        answers.write(msgspec.json.encode(rendered(msgspec.json.decode(line, type=Job))) + b"\n")
        answers.flush()
        signal.alarm(0)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they reach the whole process group
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, most))
    chat_template.render("", [])  # imports what it needs
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
