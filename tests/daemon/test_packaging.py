"""What is shipped: the wheel brings every migration, and the locks name nothing but packages."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME_PACKAGES_MAX = 25


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


def test_the_daemon_needs_few_packages():
    text = (ROOT / "requirements" / "runtime.txt").read_text()
    assert len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)) <= RUNTIME_PACKAGES_MAX


def test_the_demo_without_its_packages_says_what_to_install():
    without = "import sys; sys.modules['rich'] = None; from syncd.cli import main; main(['demo'])"
    done = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "syncd[demo]" in done.stderr
    assert "Traceback" not in done.stderr


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
