"""Names that do not match: which definition was probably meant for which metric."""

from collections.abc import Iterable
from itertools import islice

__all__ = ["meant_for"]

_ALIKE = 0.6  # difflib's ratio: 'training/diffusion/' and 'training/diffusion_residual/' have 0.8
_COMMON_START = 3  # characters
_MOST_PAIRS = 50_000  # that are compared: 2 s


def meant_for(metrics: Iterable[str], definitions: Iterable[str]) -> dict[str, str]:
    """For each metric that no definition matches, the unmatched name or glob that is most like it, if one is.

    Two names are alike if their folders begin alike: the last segment of a name, and of a glob its ``*``, is left
    out where the glob stands for every metric of a folder. Where there are very many, the first metrics are compared.
    """
    found: dict[str, str] = {}
    definitions = list(definitions)
    for metric in islice(metrics, _MOST_PAIRS // max(len(definitions), 1)):
        alike = [(ratio, name) for name in definitions if (ratio := _likeness(name, metric)) >= _ALIKE]
        if alike:
            found[metric] = max(alike)[1]
    return found


def _likeness(definition: str, metric: str) -> float:
    if definition.endswith("*"):
        folder = metric.rpartition("/")[0]
        definition, metric = definition.rstrip("*").rstrip("/"), folder or metric
    own, other = definition.rpartition("/")[2], metric.rpartition("/")[2]
    common = 0
    while common < min(len(own), len(other)) and own[common].lower() == other[common].lower():
        common += 1
    if common < min(_COMMON_START, len(own), len(other)):
        return 0.0
    if definition.rpartition("/")[0] == metric.rpartition("/")[0] and (own in other or other in own):
        return 1.0
    import difflib

    return difflib.SequenceMatcher(None, definition.lower(), metric.lower(), autojunk=False).ratio()
