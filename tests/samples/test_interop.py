"""`make interop`, with programs in Python in the place of those in other languages: nothing is downloaded.

What is in Go, Java and TypeScript itself, `make interop` looks at.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sample_services.interop import __main__ as interop
from sample_services.interop import building, sagas
from sample_services.interop.building import BuildError, build
from sample_services.interop.checking import CheckFailedError, Outcome, Verdict, summary
from sample_services.interop.client import ForeignClient
from sample_services.interop.kit import judge
from sample_services.interop.languages import LANGUAGES, SOURCES, Language
from sample_services.interop.running import CHECKS, outcomes
from tests.samples.pids import is_running

STAND_IN = (sys.executable, "-m", "tests.samples.stand_in")


def python(code: str) -> tuple[str, ...]:
    """The command that runs some code."""
    return (sys.executable, "-c", code)


def speaking(
    *build: tuple[str, ...], sources: Path, name: str = "tongue", tools: tuple[str, ...] = (), **others: Any
) -> Language:
    """A language that is built by these commands, and whose programs keep the contract."""
    (sources / name).mkdir(parents=True, exist_ok=True)
    (sources / name / "source").write_text("a program")
    programs: dict[str, Any] = {"participant": (*STAND_IN, "payments"), "client": (*STAND_IN, "client")}
    programs.update(others)
    return Language(name=name, tools=tools, build=build, made=("made",), sources=sources, **programs)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Where languages have their folders."""
    return tmp_path / "sources"


@pytest.fixture
def builds(tmp_path: Path) -> Path:
    """Where languages are built."""
    return tmp_path / "builds"


async def told(*languages: Language, folder: Path) -> list[Outcome]:
    stages = folder / "stages"
    stages.mkdir()
    return [outcome async for outcome in outcomes(languages, stages, folder / "builds")]


# All of it


@pytest.mark.processes
async def test_programs_that_keep_the_contract_pass_every_check(tmp_path: Path, sources: Path) -> None:
    found = await told(speaking(sources=sources), folder=tmp_path)
    assert [outcome.what for outcome in found] == list(CHECKS)
    assert [outcome.verdict for outcome in found] == [Verdict.PASSED] * 3, "\n".join(map(str, found))
    assert found[0].why == "57 rows, over unary RPCs and Exchange"
    assert found[1].why == "a saga was started, watched and cancelled, and the booking of its parcel, too"


@pytest.mark.processes
async def test_programs_that_do_not_run_fail_every_check_and_their_logs_are_told(
    tmp_path: Path, sources: Path
) -> None:
    language = speaking(sources=sources, participant=python("raise SystemExit('no such port')"))
    for outcome in await told(language, folder=tmp_path):
        assert outcome.verdict is Verdict.FAILED
        assert outcome.why.startswith("payments ended with status 1\n")
        assert "payments | no such port\n" in outcome.why


@pytest.mark.processes
async def test_a_client_that_makes_up_what_it_tells_is_found_out(tmp_path: Path) -> None:
    liar = python("print('1 saga_started')")
    async with sagas.opened_scene((*STAND_IN, "payments"), liar, tmp_path) as scene:
        with pytest.raises(CheckFailedError, match="saga delivered should have gone saga_started, step_"):
            await sagas.order(scene)
        with pytest.raises(CheckFailedError, match="never told 'step_succeeded charge'"):
            await sagas.cancel(scene)


@pytest.mark.processes
async def test_payments_whose_ledger_tells_otherwise_are_found_out(tmp_path: Path) -> None:
    serving, calling = (*STAND_IN, "payments", "--forgets-refunds"), (*STAND_IN, "client")
    async with sagas.opened_scene(serving, calling, tmp_path) as scene:
        with pytest.raises(CheckFailedError, match="payments: undeliverable: charge: the fence says COMPENS"):
            await sagas.order(scene)


async def test_a_language_without_its_toolchain_is_skipped(tmp_path: Path, sources: Path) -> None:
    found = await told(speaking(sources=sources, tools=("amends-no-such-tool",)), folder=tmp_path)
    assert [outcome.verdict for outcome in found] == [Verdict.SKIPPED] * 3
    assert {outcome.why for outcome in found} == {"amends-no-such-tool is not on this machine"}


async def test_a_language_that_cannot_be_built_fails_every_check(tmp_path: Path, sources: Path) -> None:
    language = speaking(python("raise SystemExit('no such library')"), sources=sources)
    found = await told(language, folder=tmp_path)
    assert [outcome.verdict for outcome in found] == [Verdict.FAILED] * 3
    assert "ended with status 1\n" in found[0].why
    assert found[0].why.endswith("tongue | no such library\n")


async def test_languages_are_built_at_once(tmp_path: Path, sources: Path) -> None:
    meeting = tmp_path / "meeting"
    os.mkfifo(meeting)  # opening it waits until the other build does so, too
    first = python(f"open('{meeting}', 'w').write('hello'); raise SystemExit('said hello')")
    second = python(f"raise SystemExit('heard ' + open('{meeting}').read())")
    languages = [
        speaking(first, name="first", sources=sources),
        speaking(second, name="second", sources=sources),
    ]
    found = await told(*languages, folder=tmp_path)
    assert [outcome.language for outcome in found] == ["first"] * 3 + ["second"] * 3
    assert found[0].why.endswith("first | said hello\n")
    assert found[3].why.endswith("second | heard hello\n")


# What is printed


def outcome(verdict: Verdict) -> Outcome:
    return Outcome(language="go", what="what", verdict=verdict, why="why")


def test_an_outcome_is_a_line() -> None:
    assert str(outcome(Verdict.FAILED)) == "go    FAILED   what: why"


def test_the_last_line_counts_what_passed_and_failed() -> None:
    assert summary([outcome(Verdict.PASSED), outcome(Verdict.FAILED)]) == "1 passed, 1 failed"


def test_the_last_line_counts_what_was_skipped_if_anything_was() -> None:
    assert summary([outcome(Verdict.SKIPPED)] * 2) == "0 passed, 0 failed, 2 skipped"


async def test_what_is_skipped_is_no_failure(tmp_path: Path, sources: Path) -> None:
    output = io.StringIO()
    missing = speaking(sources=sources, tools=("amends-no-such-tool",))
    assert await interop.run(Console(file=output), tmp_path, [missing]) == 0
    assert output.getvalue().splitlines()[-1] == "0 passed, 0 failed, 3 skipped"


async def test_what_fails_shows_in_the_exit_status(
    tmp_path: Path, sources: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interop, "outcomes", lambda languages, folder: outcomes(languages, folder, builds))
    output = io.StringIO()
    broken = speaking(python("raise SystemExit(1)"), sources=sources)
    assert await interop.run(Console(file=output), tmp_path, [broken]) == 1
    assert output.getvalue().splitlines()[-1] == "0 passed, 3 failed"


def test_a_language_that_there_is_not_is_bad_input() -> None:
    command = [sys.executable, "-m", "sample_services.interop", "cobol"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "there is no cobol; there are go, java, node" in ran.stderr


# Building

COUNT = python("open('../count', 'a').write('.')")


async def test_a_language_is_built_where_its_sources_and_the_contracts_are(
    sources: Path, builds: Path
) -> None:
    language = speaking(python("open('made', 'w').write(open('source').read())"), sources=sources)
    folder = await build(language, builds)
    assert (folder / "made").read_text() == "a program"
    assert (folder / "contracts" / "amends" / "v1" / "participant.proto").is_file()
    assert not (sources / "tongue" / "contracts").exists()


async def test_a_language_is_built_once(sources: Path, builds: Path) -> None:
    language = speaking(COUNT, sources=sources)
    assert await build(language, builds) == await build(language, builds)
    assert (builds / "count").read_text() == "."


async def test_a_language_is_built_anew_when_a_source_has_changed(sources: Path, builds: Path) -> None:
    language = speaking(COUNT, sources=sources)
    await build(language, builds)
    (sources / "tongue" / "source").write_text("another program")
    folder = await build(language, builds)
    assert (builds / "count").read_text() == ".."
    assert (folder / "source").read_text() == "another program"


async def test_what_somebody_has_built_by_hand_is_no_source(sources: Path, builds: Path) -> None:
    language = speaking(COUNT, sources=sources)
    await build(language, builds)
    (sources / "tongue" / "made").mkdir()
    (sources / "tongue" / "made" / "program").write_text("built by hand")
    folder = await build(language, builds)
    assert (builds / "count").read_text() == "."
    assert not (folder / "made").exists()


async def test_a_build_that_failed_is_tried_again(sources: Path, builds: Path) -> None:
    language = speaking(COUNT, python("raise SystemExit(1)"), sources=sources)
    for _ in range(2):
        with pytest.raises(BuildError):
            await build(language, builds)
    assert (builds / "count").read_text() == ".."


async def test_a_build_that_takes_too_long_fails(
    sources: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "TIMEOUT_S", 0.05)
    with pytest.raises(BuildError, match=r"took more than 0\.05 s"):
        await build(speaking(sources=sources), builds)


async def test_a_build_that_is_interrupted_leaves_no_process_behind(
    tmp_path: Path, sources: Path, builds: Path
) -> None:
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)  # reading it waits until the build writes
    code = f"import os, signal; open('{pipe}', 'w').write(str(os.getpid())); signal.pause()"
    building_it = asyncio.create_task(build(speaking(python(code), sources=sources), builds))
    pid = int(await asyncio.to_thread(pipe.read_text))
    building_it.cancel()
    await asyncio.wait([building_it])
    assert not is_running(pid)


async def test_where_there_is_no_protoc_that_of_the_environment_takes_its_place(
    sources: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(builds / "empty"))
    compile_ = "import subprocess; subprocess.run(['protoc', '-Icontracts', '-oout', *FILES], check=True)"
    files = "FILES = ['amends/v1/participant.proto', 'google/protobuf/struct.proto']; "
    folder = await build(speaking(python(files + compile_), sources=sources), builds)
    assert (folder / "out").stat().st_size > 0


# The kit's rows


def row(name: str, result: str, over: str = "unary") -> dict[str, str]:
    return {"row": name, "over": over, "result": result, "why": "so"}


def test_a_row_that_failed_is_named() -> None:
    with pytest.raises(CheckFailedError, match="keys over unary: so"):
        judge([row("try", "passed"), row("keys", "failed")])


def test_a_row_that_was_skipped_for_no_good_reason_is_named() -> None:
    with pytest.raises(CheckFailedError, match="the kit did not check keys"):
        judge([row("try", "passed"), row("keys", "skipped"), row("try-pending", "skipped")])


def test_no_rows_at_all_are_a_failure() -> None:
    with pytest.raises(CheckFailedError, match="the kit checked nothing"):
        judge([])


def test_a_participant_need_not_offer_an_exchange() -> None:
    rows = [row("try", "passed"), row("try-pending", "skipped"), row("try", "skipped", "exchange")]
    assert judge(rows) == "1 rows, over unary RPCs"


# The client


async def test_a_client_that_fails_is_told_with_its_words() -> None:
    client = ForeignClient(python("raise SystemExit('not found')"), "127.0.0.1:1")
    with pytest.raises(CheckFailedError, match="cancel one ended with status 1: not found"):
        await client.cancel("one")


async def test_a_client_is_given_options_before_its_command() -> None:
    client = ForeignClient(python("import sys; print('1', *sys.argv[3:])"), "127.0.0.1:1")
    assert await client.watch("one") == ["watch one"]
    await client.start("one", country="CH")


async def test_a_client_that_leaves_out_a_fact_is_found_out() -> None:
    client = ForeignClient(python("print('1 saga_started\\n3 saga_completed')"), "127.0.0.1:1")
    with pytest.raises(CheckFailedError, match="should have told fact 2; it told '3 saga_completed'"):
        await client.watch("one")


# What each language has a copy of


def test_every_language_keeps_the_ledger_of_the_one_in_python() -> None:
    ledger = (SOURCES.parent / "payments" / "schema.sql").read_text("utf-8")
    copies = list(SOURCES.glob("go/accounts/*.sql"))
    copies += [*SOURCES.glob("*/sql/schema.sql"), *SOURCES.glob("*/src/main/resources/schema.sql")]
    assert [copy.read_text("utf-8") for copy in copies] == [ledger] * len(LANGUAGES)


def test_every_language_has_the_same_table_as_its_fence() -> None:
    fences = list(SOURCES.glob("go/fence/fence.sql"))
    fences += [*SOURCES.glob("*/sql/fence.sql"), *SOURCES.glob("*/src/main/resources/fence.sql")]
    assert len(fences) == len(LANGUAGES)
    assert len({fence.read_text("utf-8") for fence in fences}) == 1


def test_every_language_says_in_its_readme_how_it_is_built() -> None:
    for language in LANGUAGES:
        readme = (SOURCES / language.name / "README.md").read_text("utf-8")
        for command in language.build:
            words = " ".join(word for word in command if word not in ("--batch-mode", "--quiet"))
            assert re.search(rf"^{re.escape(words)}$", readme, re.MULTILINE), (language.name, words)
