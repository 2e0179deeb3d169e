"""inferd doctor: is this machine and installation fit to serve?"""

from __future__ import annotations

import argparse

from inferd.cli.doctor_checks import check_all
from inferd.cli.doctor_types import Check
from inferd.cli.output import show_rows
from inferd.contracts.command import Command


class DoctorCommand(Command):
    """Exit code 0, or 3 when something fails; warnings do not count."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="the port that should be free")
        parser.add_argument("--plugins", action="append", help="words: all, none, NAME, no:NAME")
        parser.add_argument("--json", action="store_true", help="one JSON object per check")

    def run(self, args: argparse.Namespace) -> int:
        from inferd.cli.doctor_facts import gather

        checks = check_all(gather(",".join(args.plugins or ["all"]), args.port))
        if args.json:
            show_rows([check.row for check in checks], as_json=True)
        else:
            print("\n".join(map(_line, checks)))
        return 3 if any(check.state == "fail" for check in checks) else 0


def _line(check: Check) -> str:
    remedy = f"\n{'':22}-> {check.remedy}" if check.remedy else ""
    return f"{check.state:5} {check.name:14}  {check.found}{remedy}"
