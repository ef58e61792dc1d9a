"""Two runs of one script, plainly and under UPS: W&B holds the same of both."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from held import Held, read_held

__all__ = ["assert_the_same", "runs_below"]

CLOCKS = re.compile(r"_timestamp|_runtime|_wandb.*|.*(runtime|per_second|fps|time_elapsed)|start_time")
OF_THE_MACHINE = {
    "conda-environment.yaml",
    "requirements.txt",
    "wandb-metadata.json",
    "wandb-summary.json",
    "output.log",
}
WITH_A_CLOCK = re.compile(r".*\.(zip|keras)|.*\.tfevents\..*")
RANDOM = {
    r"(?<=wandb-client-artifact://)[0-9a-z]+": "…",
    r"(?<=_table-)[0-9A-Za-z_-]+": "…",
    r"(?<= object at )0x[0-9a-f]+": "…",
    r"(?<=\.tfevents\.)[0-9]+\.[^ ]*": "…",
}
"""Parts of texts that differ in each run: ids of artifacts, names of tables, addresses, times."""


def runs_below(folder: Path) -> list[Path]:
    """The folders of ``.wandb`` files, oldest first."""
    return sorted({path.resolve().parent for path in folder.glob("**/run-*.wandb")}, key=lambda path: path.name)


def assert_the_same(plain: Path, journaled: Path) -> None:
    """Rows and their numbers, definitions, summary, configuration, artifacts, files byte for byte, the exit code."""
    before, after = _Compared(plain), _Compared(journaled)
    assert after.rows() == before.rows()
    assert after.definitions() == before.definitions()
    assert after.values(after.held.config) == before.values(before.held.config)
    assert after.values(after.held.summary) == before.values(before.held.summary)
    assert after.files() == before.files()
    assert after.artifacts() == before.artifacts()
    assert after.held.exit_codes == before.held.exit_codes


class _Compared:
    """A run, without what is not the same in any two: clocks, and random names."""

    def __init__(self, folder: Path) -> None:
        self.held: Held = read_held(folder)
        self._folder = folder
        self._run_id = self.held.runs[0]["run_id"]

    def _masked(self, value: Any) -> str:
        text = str(value).replace(self._run_id, "RUN")
        for pattern, mask in RANDOM.items():
            text = re.sub(pattern, mask, text)
        return text

    def values(self, values: dict[str, Any]) -> dict[str, str]:
        """A row, the summary or the configuration."""
        return {name: self._masked(value) for name, value in values.items() if not CLOCKS.fullmatch(name)}

    def rows(self) -> list[dict[str, str]]:
        """The rows."""
        return [self.values(row) for row in self.held.rows]

    def definitions(self) -> list[str]:
        """The definitions that a script or a guard made."""
        return sorted({str(metric) for metric in self.held.metrics if not metric.get("expanded_from_glob")})

    def files(self) -> dict[str, str]:
        """The files that belong to the run, by their path, with a hash of each."""
        found = {}
        for record in self._records("files"):
            for file in record["files"]:
                path = self._folder / "files" / file["path"]
                if path.name not in OF_THE_MACHINE:
                    found[self._masked(file["path"])] = hashlib.sha256(path.read_bytes()).hexdigest()
        return {name: "" if WITH_A_CLOCK.fullmatch(name) else digest for name, digest in found.items()}

    def artifacts(self) -> list[tuple[str, str, list[str], list[tuple[str, str]]]]:
        """The artifacts: name, type, aliases, and the files with a hash of each."""
        found = []
        for record in self._records("artifact"):
            files = [(self._masked(each["path"]), each["digest"]) for each in record["manifest"].get("contents", ())]
            files = [(name, "" if WITH_A_CLOCK.fullmatch(name) else digest) for name, digest in files]
            found.append((self._masked(record["name"]), record["type"], sorted(record.get("aliases", ())), files))
        return found

    def _records(self, kind: str) -> list[dict[str, Any]]:
        return [record[kind] for record in self.held.records if record["type"] == kind]
