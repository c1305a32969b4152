"""What is shipped: the wheel brings every migration, and the locks name nothing but packages."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_wheel_brings_every_migration(tmp_path):
    pytest.importorskip("hatchling", reason="the build backend is not installed: make setup")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    migrations = {
        f"syncd/db/migrations/{path.name}" for path in (ROOT / "syncd/db/migrations").glob("*.sql")
    }
    assert migrations
    assert migrations <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt"])
def test_every_locked_package_has_hashes_and_no_address(name):
    text = (ROOT / "requirements" / name).read_text()
    packages = re.split(r"\n(?=[a-z0-9])", text)
    assert len(packages) > 20
    assert all("==" in package and "--hash=sha256:" in package for package in packages)
    assert not re.search(r"://|index-url|find-links|(^|\s)/", text)


def test_the_lock_covers_what_the_project_asks_for():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = (ROOT / "requirements" / "runtime.txt").read_text()
    everything = (ROOT / "requirements" / "dev.txt").read_text()
    embedded = project["project"]["optional-dependencies"]["embedded"]
    for requirement in project["project"]["dependencies"]:
        assert pinned(requirement, runtime), requirement
    for requirement in (
        project["project"]["dependencies"] + embedded + project["dependency-groups"]["dev"]
    ):
        assert pinned(requirement, everything), requirement


def pinned(requirement, lock):
    name = re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()
    return re.search(rf"^{name}==", lock, re.MULTILINE) is not None
