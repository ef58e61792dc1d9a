"""A page per finding, for ``ups check --explain``; ``docs/findings`` holds the same pages."""

from ups.check.findings import CODES
from ups.errors import UsageError

__all__ = ["explain"]


def explain(code: str) -> str:
    """The page on a finding, as Markdown.

    Raises:
        UsageError: ``code`` is not a finding's.
    """
    if code not in CODES:
        raise UsageError(f"{code!r} is not a finding: use one of {', '.join(CODES)}")
    from importlib import resources

    return resources.files(__name__).joinpath(f"{code}.md").read_text(encoding="utf-8")
