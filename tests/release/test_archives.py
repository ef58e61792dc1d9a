"""What is in the wheel and the source archive."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.version import Version

import ups
from environments import ROOT
from release.archives import Archives, built, package_files

pytestmark = pytest.mark.timeout(600)  # the archives are built in the first test


@pytest.fixture(scope="module")
def archives() -> Archives:
    return built()


def metadata(wheel: Path) -> Metadata:
    """What the wheel says of itself; raises where a field is not as the standard has it."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        return Metadata.from_email(opened.read(name), validate=True)


def test_the_wheel_holds_the_package_and_nothing_else(archives: Archives) -> None:
    """Every file of the package is there, with pages, presets and ``py.typed``; the licence; no test, no document."""
    with zipfile.ZipFile(archives.wheel) as opened:
        names = opened.namelist()
    about = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert set(names) - about == {str(path) for path in package_files()}
    for kind in ("ups/py.typed", "ups/dashboard/page/page.html", "ups/check/pages/frozen.md"):
        assert kind in names
    assert any(name.startswith("ups/simulator/presets/") for name in names)
    assert [name for name in about if name.endswith("/licenses/LICENSE")]


def test_the_source_archive_builds_the_same_wheel(archives: Archives) -> None:
    """The wheel built from the source archive is the one built from the source tree, byte for byte."""
    assert archives.wheel.name == archives.wheel_of_the_tree.name
    assert archives.wheel.read_bytes() == archives.wheel_of_the_tree.read_bytes()


def test_the_source_archive_has_the_tests(archives: Archives) -> None:
    """Whoever packages UPS can run its tests from the source archive."""
    with tarfile.open(archives.sdist) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "tests/conftest.py", "docs/design.md"} <= names


def test_the_version_stands_in_one_place(archives: Archives) -> None:
    """``ups.__version__`` is the version of the archives; ``pyproject.toml`` has none of its own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert metadata(archives.wheel).version == Version(ups.__version__)
    assert archives.sdist.name == f"ups_tracking-{ups.__version__}.tar.gz"


def test_the_metadata_is_valid(archives: Archives) -> None:
    """Every field is as the standard has it; the licence, the README and each extra are named."""
    about = metadata(archives.wheel)
    assert about.license_expression == "MIT"
    assert about.license_files == ["LICENSE"]
    assert about.description_content_type == "text/markdown"
    assert about.description == (ROOT / "README.md").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(about.provides_extra or []) == set(extras)
    (every,) = map(Requirement, extras["all"])
    assert (every.name, every.extras) == ("ups-tracking", set(extras) - {"all"})
    assert about.classifiers is not None
    assert "Typing :: Typed" in about.classifiers
