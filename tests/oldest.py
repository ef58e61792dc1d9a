"""Runs the tests with the oldest direct dependencies that UPS admits: ``python tests/oldest.py [OPTION]…``.

The options are pytest's. Some of those versions are older than Python 3.12, so this is for the oldest Python.
Left out are ``tests/release``, which makes environments of its own, one of them with the oldest that UPS's core needs,
and the documents' site, which is built with the newest.
"""

import subprocess
import sys
import tomllib

from environments import ROOT, environment, lower_bounds

LEFT_OUT = ("tests/release", "tests/docs/test_site.py")


def main() -> int:
    about = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = list(tomllib.loads(about)["project"]["optional-dependencies"])
    wanted = ["--editable", f"{ROOT}[{','.join(extras)}]"]
    wanted += ["--group", f"{ROOT / 'pyproject.toml'}:test"]
    print("making an environment with", ", ".join(lower_bounds(*extras)), file=sys.stderr)
    python = environment("oldest", wanted, pins=lower_bounds(*extras), content=about)
    return subprocess.run(
        [python, "-m", "pytest", *(f"--ignore={path}" for path in LEFT_OUT), *sys.argv[1:]], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
