"""Names that do not match: the definition that was probably meant for a metric."""

from collections.abc import Iterable

__all__ = ["meant_for"]

_ALIKE = 0.6  # difflib's ratio: 'training/diffusion/' and 'training/diffusion_residual/' have 0.8
_COMMON_START = 3  # characters
_LONGEST = 200  # characters; a longer name is not compared
_MOST_WORK = 50_000_000  # pairs of characters: 2 s


def meant_for(metrics: Iterable[str], definitions: Iterable[str]) -> dict[str, str]:
    """Find, for each metric that no definition matches, the unmatched name or glob that is most similar.

    Two names are similar if each of their segments begins with the same letters. Against a glob, only the folder of the
    metric counts. So an exact name never matches one in another folder, as ``val/loss`` for ``train/loss``. Of very
    many metrics, only the first are compared, and very long names are not.
    """
    found: dict[str, str] = {}
    definitions = [name for name in definitions if len(name) <= _LONGEST]
    characters, left = sum(map(len, definitions)), _MOST_WORK
    for metric in metrics:
        if len(metric) > _LONGEST:
            continue
        left -= len(metric) * characters
        if left < 0:
            break
        alike = [(ratio, name) for name in definitions if (ratio := _likeness(name, metric)) >= _ALIKE]
        if alike:
            found[metric] = max(alike)[1]
    return found


def _likeness(definition: str, metric: str) -> float:
    if definition.endswith("*"):
        folder = metric.rpartition("/")[0]
        definition, metric = definition.rstrip("*").rstrip("/"), folder or metric
        pairs = [(definition.rpartition("/")[2], metric.rpartition("/")[2])]
    else:
        pairs = list(zip(definition.split("/"), metric.split("/"), strict=False))
    if not all(_begin_alike(own, other) for own, other in pairs):
        return 0.0
    own, other = definition.rpartition("/")[2], metric.rpartition("/")[2]
    if definition.rpartition("/")[0] == metric.rpartition("/")[0] and (own in other or other in own):
        return 1.0
    import difflib

    return difflib.SequenceMatcher(None, definition.lower(), metric.lower(), autojunk=False).ratio()


def _begin_alike(own: str, other: str) -> bool:
    common = 0
    while common < min(len(own), len(other)) and own[common].lower() == other[common].lower():
        common += 1
    return common >= min(_COMMON_START, len(own), len(other))
