"""How figures are shown."""

import json
from collections.abc import Iterable, Mapping


def rounded(figures: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Leaves of each figure as many digits as can be believed."""
    return {name: float(f"{figure:.4g}") for name, figure in figures}


def show(figures: Mapping[str, object], *, as_json: bool) -> None:
    """Prints figures as one JSON object, or as a list for people."""
    if as_json:
        print(json.dumps(figures))
        return
    width = max(map(len, figures)) + 2
    for name, figure in figures.items():
        print(f"{name:<{width}}{figure}")
