"""Puts a mutant's fault into the code as it is imported."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType
from unittest import mock

from tests.simulation.mutants import Mutant


def install(mutant: Mutant) -> None:
    """Has everything that is imported from now on be the mutant's. Raises ValueError if that is too late."""
    if "/" in mutant.module:
        _mutate_file(mutant)
        return
    if mutant.module in sys.modules:
        raise ValueError(f"{mutant.module} is imported already, without the fault")
    sys.meta_path.insert(0, _Finder(mutant))


def source_of(mutant: Mutant) -> Path:
    """Finds the file that a mutant changes."""
    package, _, rest = mutant.module.replace("/", ".", 1).partition(".")
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"there is no package {package}"
    assert spec.origin is not None, f"package {package} has no file"
    folder = Path(spec.origin).parent
    return folder / rest if "/" in mutant.module else folder / (rest.replace(".", "/") + ".py")


def _mutate_file(mutant: Mutant) -> None:
    changed = source_of(mutant)
    read = Path.read_text

    def read_text(path: Path, *arguments: object, **options: object) -> str:
        text = read(path, *arguments, **options)  # type: ignore[arg-type] # as it was called
        return mutant.mutated(text) if path == changed else text

    mock.patch.object(Path, "read_text", read_text).start()


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin, self._mutant)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, mutant: Mutant) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        """Compiles the mutated source, past whatever was compiled of the sound one before."""
        source = self.get_data(self.path).decode()
        return self.source_to_code(self._mutant.mutated(source).encode(), self.path)
