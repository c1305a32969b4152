"""The unit files: systemd understands every line, and finds little to expose."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from syncd.config import Settings

UNITS = Path(__file__).parents[2] / "systemd"
EXPOSURE_TENTHS = 15
"""What `systemd-analyze security` may find at most: 1.5 of 10."""


class Unit(configparser.RawConfigParser):
    """A unit file: keys keep their case, and one said twice adds up."""

    def __init__(self, text: str) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string(text)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a command that exists here, which `verify` asks for."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for name in ("syncd.service", "syncd.socket"):
        text = (UNITS / name).read_text().replace("/usr/bin/syncd ", f"{sys.executable} -m syncd ")
        (tmp_path / name).write_text(text)
    return tmp_path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=30, check=False
    )


def test_systemd_understands_every_line(units: Path) -> None:
    found = analyze("verify", str(units / "syncd.service"), str(units / "syncd.socket"))
    assert (found.returncode, found.stderr) == (0, "")


def test_verify_would_tell_of_a_mistake(units: Path) -> None:
    unit = units / "syncd.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in analyze("verify", str(unit)).stderr


def test_little_is_exposed(units: Path) -> None:
    found = analyze(
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE_TENTHS}",
        "--no-pager",
        str(units / "syncd.service"),
    )
    if "unrecognized option" in found.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert found.returncode == 0, found.stdout


def test_the_service_does_what_the_daemon_expects() -> None:
    unit = Unit((UNITS / "syncd.service").read_text())
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["StateDirectory"] == "syncd"
    assert int(service["WatchdogSec"]) >= 30
    drain_s = Settings().sync.drain_timeout.total_seconds()
    assert drain_s + 15 < int(service["TimeoutStopSec"])
    assert "Requires" not in unit["Unit"], "syncd outlives its database"
    assert "BindsTo" not in unit["Unit"]
    assert "postgresql.service" in unit["Unit"]["After"]


def test_no_secret_comes_by_environment() -> None:
    text = (UNITS / "syncd.service").read_text()
    assert "Environment" not in text
    assert "LoadCredential=" in text


def test_the_socket_is_the_door_of_the_defaults() -> None:
    socket = Unit((UNITS / "syncd.socket").read_text())["Socket"]
    assert socket["ListenStream"] == str(Settings().http.listen)
    assert int(socket["Backlog"]) >= 1024
