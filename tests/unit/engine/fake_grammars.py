"""A grammar process whose back end compiles nothing: it hangs, eats, refuses, or breaks."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from inferd.engine import grammar_process
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs

NOTED = "note it in "  # this file, and refuse


class Backends:
    """Its own back end as well."""

    def get(self, name: str | None) -> Any:
        if name == "none":
            raise RequestError("structured outputs: no grammar back end fits", "structured_outputs")
        return self

    def compile(self, wanted: StructuredOutputs) -> None:
        what = wanted.regex or ""
        if what.startswith("/"):  # a file: it says that it waits, and for what
            Path(what).touch()
            while Path(what).exists():
                time.sleep(0.01)
        if what == "much":
            bytearray(grammar_process.MEMORY_BYTES)
        if what.startswith(NOTED):
            with Path(what.removeprefix(NOTED)).open("a") as noted:
                noted.write("asked\n")
        if what == "no" or what.startswith(NOTED):
            raise RequestError("cannot be enforced", "structured_outputs")
        if what == "broken":
            raise ZeroDivisionError("secret")


if __name__ == "__main__":
    grammar_process.COMPILE_S = float(sys.argv[1])
    sys.stdin.buffer.readline()
    grammar_process.serve(Backends(), sys.stdin.buffer, os.dup(1))  # type: ignore[arg-type]
