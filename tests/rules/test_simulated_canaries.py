"""Canaries in simulated runs: each known deviation, planted in the production function, is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rules.simulator.canaries import CANARIES, Patch
from tests.rules.simulator.run import ran


@pytest.mark.parametrize(
    ("plant", "kind", "seeds"), CANARIES, ids=[canary[0].__name__ for canary in CANARIES]
)
def test_a_deviation_is_seen(
    plant: Callable[[Patch], None], kind: str, seeds: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ran(seeds[0], kind).fine
    plant(monkeypatch.setattr)
    assert any(not ran(seed, kind).fine for seed in seeds)
