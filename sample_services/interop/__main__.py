"""Builds and checks every language whose toolchain is on this machine: `make interop`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sample_services.demo.performing import perform
from sample_services.interop.checking import Verdict, summary
from sample_services.interop.languages import LANGUAGES, Language
from sample_services.interop.running import outcomes


def main() -> int:
    """Checks languages, and returns the exit status."""
    names = [language.name for language in LANGUAGES]
    parser = argparse.ArgumentParser(prog="python -m sample_services.interop", description=__doc__)
    parser.add_argument(
        "language", nargs="*", metavar="LANGUAGE", help=f"of {', '.join(names)}; default: all"
    )
    asked = parser.parse_args().language
    if unknown := sorted(set(asked) - set(names)):
        parser.error(f"there is no {unknown[0]}; there are {', '.join(names)}")
    chosen = [language for language in LANGUAGES if not asked or language.name in asked]
    return perform(lambda console, folder: run(console, folder, chosen))


async def run(console: Console, folder: Path, languages: Sequence[Language]) -> int:
    """Checks languages with all files in a folder, tells each outcome, and returns the exit status."""
    told = []
    async for outcome in outcomes(languages, folder):
        told.append(outcome)
        console.print(str(outcome), soft_wrap=True, markup=False)
    console.print(summary(told))
    return 1 if any(outcome.verdict is Verdict.FAILED for outcome in told) else 0


if __name__ == "__main__":
    sys.exit(main())
