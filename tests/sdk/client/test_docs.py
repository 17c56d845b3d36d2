"""docs/clients.md, read as a program: every Python block runs, one after another, and the YAML is loaded."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

from amends import Definition, DefinitionError
from tests.sdk.client.fake_coordinator import FakeServer

PAGE = (Path(__file__).parents[3] / "docs" / "clients.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_snippet_of_the_page_runs(
    distant: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page shows works as printed, but for the address."""
    monkeypatch.chdir(tmp_path)
    (yaml,) = blocks("yaml")
    Path("order.yaml").write_text(yaml)
    namespace: dict[str, object] = {}
    for block in blocks("python"):
        code = block.replace("127.0.0.1:50051", distant.target)
        compiled = compile(code, "clients.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if compiled.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(compiled, namespace))
        else:
            exec(compiled, namespace)
    assert distant.coordinator.sagas


def test_shown_mistakes_are_told_as_printed() -> None:
    """The messages on the page are the real ones."""
    (yaml,), (told,) = blocks("yaml"), blocks("text")
    wrong = yaml.replace("timeout: 5s", "timout: 5s").replace("max_attempts: 8", "max_attempts: 0")
    with pytest.raises(DefinitionError) as caught:
        Definition.from_yaml_text(wrong, "order.yaml")
    assert str(caught.value) == told.strip()
