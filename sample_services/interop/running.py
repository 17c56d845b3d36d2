"""Runs all checks of languages, and turns whatever becomes of them into outcomes."""

from asyncio import TaskGroup
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from sample_services.demo.processes import ProcessError, tail
from sample_services.interop import kit, sagas
from sample_services.interop.building import BUILDS, BuildError, build
from sample_services.interop.checking import CheckFailedError, Outcome, Verdict
from sample_services.interop.languages import Language

Check = Callable[[Language, Path, Path], Awaitable[str]]
"""Checks a language, given where it was built and an empty folder; returns what there is to say."""


async def _certify(language: Language, built: Path, folder: Path) -> str:
    return await kit.certify(language.serving(built), folder)


async def _cancel(language: Language, built: Path, folder: Path) -> str:
    async with sagas.opened_scene(language.serving(built), language.calling(built), folder) as scene:
        return await sagas.cancel(scene)


async def _order(language: Language, built: Path, folder: Path) -> str:
    async with sagas.opened_scene(language.serving(built), language.calling(built), folder) as scene:
        return await sagas.order(scene)


CHECKS: Final[dict[str, Check]] = {
    "participant passes the conformance kit": _certify,
    "client starts, watches and cancels": _cancel,
    "order saga across languages, and a service without Amends": _order,
}
"""By what they check."""


async def outcomes(
    languages: Sequence[Language], folder: Path, builds: Path = BUILDS
) -> AsyncIterator[Outcome]:
    """Builds all languages at once, then checks one after another; gives each outcome as it comes."""
    async with TaskGroup() as group:
        builders = [(language, group.create_task(_built(language, builds))) for language in languages]
    for language, builder in builders:
        built = builder.result()
        for number, (what, check) in enumerate(CHECKS.items()):
            if isinstance(built, Path):
                stage = folder / f"{language.name}-{number}"
                stage.mkdir()
                yield await _outcome(language, what, check(language, built, stage), stage)
            else:
                verdict, why = built
                yield Outcome(language=language.name, what=what, verdict=verdict, why=why)


async def _built(language: Language, builds: Path) -> Path | tuple[Verdict, str]:
    """Returns where a language was built, or what all its checks come to instead."""
    if missing := language.missing():
        return (
            Verdict.SKIPPED,
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine",
        )
    try:
        return await build(language, builds)
    except BuildError as error:
        return Verdict.FAILED, f"not built: {error}"


async def _outcome(language: Language, what: str, check: Awaitable[str], stage: Path) -> Outcome:
    try:
        why, verdict = await check, Verdict.PASSED
    except* (CheckFailedError, ProcessError) as errors:
        # A group where the processes of a stage were started together.
        why, verdict = f"{_first(errors)}\n{_tails(stage)}", Verdict.FAILED
    return Outcome(language=language.name, what=what, verdict=verdict, why=why)


def _tails(folder: Path) -> str:
    return "".join(map(tail, sorted(folder.glob("*.log"))))


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
