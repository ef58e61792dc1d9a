"""Names as they may be printed."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """The text with control characters written out, as ``\\x1b``: none of them reaches a terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
