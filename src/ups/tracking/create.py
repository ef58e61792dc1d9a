"""Start a run, or join one from another process."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ups.charts import check_stage_name
from ups.credentials import is_same_server, server_address, without_user
from ups.errors import RunDirectoryError, UsageError
from ups.journal.run_directory import RunDirectory, new_run_id, runs_folder
from ups.journal.run_manifest import RunManifest
from ups.journal.wandb_limits import check_project, check_tag, check_text
from ups.text import shown
from ups.tracking.config import plain_config, sweep_parameters
from ups.tracking.context import DISABLED, RUN_DIR_VARIABLE, WandBContext, held_here
from ups.tracking.mode import require_wandb, resolve_mode
from ups.tracking.provenance import provenance
from ups.tracking.rank import Rank, this_rank

__all__ = ["create_wandb_context", "join_wandb_context"]


def create_wandb_context(
    config: Any = None,
    run_id: str | None = None,
    *,
    project: str | None = None,
    entity: str | None = None,
    name: str | None = None,
    tags: Sequence[str] | None = (),
    group: str | None = None,
    stages: Sequence[str] | None = (),
    mode: Literal["online", "offline", "local", "disabled"] | None = None,
    delivery: Literal["process", "thread"] = "process",
    strict: bool = False,
    resume: bool = False,
    repeated: Literal["first", "all"] = "first",
    dir: str | os.PathLike[str] | None = None,
) -> WandBContext:
    """Start a run: one pipeline, all its stages, in one W&B run. Needs no account and never prompts.

    In a distributed job (``torchrun``, ``srun``, Open MPI) call it in every rank: rank 0 makes the run, the others join
    it, and what they log goes under ``training/<stage>/rank<k>/…``, on the same axis.

    Args:
        config: The run's configuration: a dictionary, a dataclass, an OmegaConf or argparse object. Values whose
            key names a secret are masked. In a sweep, the agent's parameters are laid over it.
        run_id: W&B's id of the run; by default ``WANDB_RUN_ID``, else a fresh one.
        project: As in ``wandb.init``; by default ``WANDB_PROJECT``.
        entity: As in ``wandb.init``; by default ``WANDB_ENTITY``.
        name: As in ``wandb.init``; by default ``WANDB_NAME``.
        tags: As in ``wandb.init``; by default ``WANDB_TAGS``.
        group: As in ``wandb.init``; by default ``WANDB_RUN_GROUP``.
        stages: The stages of the run. A stage that is declared and never logged is reported at the end.
        mode: ``online``; ``offline`` (W&B's files, for ``wandb sync``); ``local`` (the journal only, for
            ``ups deliver``); ``disabled`` (nothing at all). By default ``WANDB_MODE``, else ``online`` where
            credentials are configured, else ``offline``.
        delivery: ``process``, or ``thread`` for notebooks and debuggers.
        strict: Whether a fault raises, instead of being counted and reported: a value that is not a number, a step
            that goes back, a full disk, rows that could not be delivered.
        resume: Whether to resume the run of this ``run_id`` if its directory exists, as from a checkpoint.
        repeated: The attempts that are drawn where a resumed training logs a step again: the ``first``, and the chart
            continues where that ended; or ``all``, and the chart goes back. The journal keeps all attempts.
        dir: The folder that gets a folder for this run; by default ``ups-runs`` in ``WANDB_DIR`` or here.

    Returns:
        The run's context. Use it with ``with``, or call :meth:`WandBContext.finish`.

    Raises:
        UsageError: An argument cannot work (:class:`~ups.errors.InvalidName` for a name), or the run to ``resume``
            is being trained by a process that lives. Of several that resume it at once, one succeeds.
        MissingDependency: wandb is not installed, and the mode needs it.
        RunDirectoryError: The run's directory cannot be written, or holds a run already.
    """
    stages, tags = stages or (), tags or ()
    _check_stages(stages)
    _check_delivery(delivery)
    _check_identity(project, entity, name, tags, group)
    if repeated not in ("first", "all"):
        raise UsageError(f"repeated is {shown(repeated)}: choose 'first' or 'all'")
    chosen = resolve_mode(mode)
    settings = {**plain_config(config), **plain_config(sweep_parameters())}
    if chosen == "disabled":
        return WandBContext(None, RunManifest(run_id=run_id or "disabled", mode=chosen, created=0, config=settings))
    if chosen != "local":
        require_wandb()
    if stages:
        settings["ups"] = {"stages": list(stages)}
    given = run_id or os.environ.get("WANDB_RUN_ID")
    if resume and not given:
        raise UsageError("resume=True needs to know the run: pass its run_id, or set WANDB_RUN_ID")
    identity = given or new_run_id()
    parent = _parent(dir)
    rank = this_rank()
    if rank is not None:
        rank = rank.in_next_run(parent)
        if rank.index > 0:
            path = rank.wait_for_run(parent, given)
            return _join(RunDirectory.open(path), delivery=delivery, strict=strict, rank=rank)
    directory = RunDirectory.make(parent, identity)
    with directory.beginning():
        if resume and RunDirectory.exists(directory.path):
            context = _resume(directory, settings, delivery=delivery, strict=strict, rank=rank)
        else:
            manifest = RunManifest(
                run_id=identity,
                mode=chosen,
                created=time.time(),
                stages=tuple(stages),
                config=settings,
                project=project,
                entity=entity,
                name=name,
                tags=tuple(tags),
                group=group,
                repeated=repeated,
                **provenance(),
            )
            directory.create(manifest)
            context = WandBContext(directory, manifest, delivery=delivery, strict=strict, owner=True, rank=rank)
    if rank is not None:
        rank.publish(parent, identity)
    return context


def join_wandb_context(
    dir: str | os.PathLike[str] | None = None,
    *,
    delivery: Literal["process", "thread"] = "process",
    strict: bool = False,
) -> WandBContext:
    """Join a run from another process: a stage of the pipeline that runs on its own, or a rank.

    The process appends to a journal of its own. While the process that created the run lives, its delivery takes up
    these rows too. Where no process of the run lives, this one delivers, and its end is the run's.

    Args:
        dir: The run's directory; by default ``UPS_RUN_DIR``, which a run sets for the processes it starts.
        delivery: As for :func:`create_wandb_context`.
        strict: As for :func:`create_wandb_context`.

    Raises:
        UsageError: Neither ``dir`` nor ``UPS_RUN_DIR`` is given.
        RunDirectoryError: It is not a run's directory, or cannot be written.
    """
    _check_delivery(delivery)
    place = os.fspath(dir) if dir is not None else os.environ.get(RUN_DIR_VARIABLE)
    if not place:
        raise UsageError(
            f"there is no run to join: {RUN_DIR_VARIABLE} is not set. Start this process from one that has called"
            " create_wandb_context(), or pass the run's directory"
        )
    if place == DISABLED or os.environ.get("WANDB_MODE") == DISABLED:
        return WandBContext(None, RunManifest(run_id="disabled", mode="disabled", created=0))
    directory = RunDirectory.open(Path(place).absolute())
    return _join(directory, delivery=delivery, strict=strict, rank=None)


def _join(directory: RunDirectory, *, delivery: str, strict: bool, rank: Rank | None) -> WandBContext:
    manifest = directory.read_manifest()
    if directory.living():
        return WandBContext(directory, manifest, delivery=delivery, strict=strict, rank=rank)
    if manifest.mode != "local":
        require_wandb()
    with directory.beginning():
        owner = not directory.living()
        if owner:
            _check_server(directory, manifest)
        return WandBContext(directory, manifest, delivery=delivery, strict=strict, owner=owner, rank=rank)


def _resume(
    directory: RunDirectory, settings: dict[str, Any], *, delivery: str, strict: bool, rank: Rank | None
) -> WandBContext:
    """Resume the run in ``directory``, as its manifest has it, with the ``settings`` that have changed."""
    if held_here(directory.path) is not None:
        raise UsageError(
            f"this process trains the run in {directory.path} already: end it with ctx.finish() before you resume it,"
            " as when you run a notebook's cell again"
        )
    living = directory.living()
    if living:
        raise UsageError(
            f"{directory.path} is being trained by another process ({living[0]}): join it with"
            f" join_wandb_context({str(directory.path)!r}), or wait until it has ended"
        )
    manifest = directory.read_manifest()
    _check_server(directory, manifest)
    context = WandBContext(directory, manifest, delivery=delivery, strict=strict, owner=True, rank=rank)
    changed = {key: value for key, value in settings.items() if context.config.get(key) != value}
    if changed:
        context.update_config(changed)
    return context


def _check_server(directory: RunDirectory, manifest: RunManifest) -> None:
    """Raise UsageError where the run was made for another W&B server than the one that is configured here."""
    named = manifest.base_url
    here = without_user(server_address())
    if manifest.mode == "online" and named is not None and not is_same_server(named, here):
        raise UsageError(
            f"the run in {directory.path} is on the W&B server {named}, and {here} is configured here:"
            f" set WANDB_BASE_URL={named}, or leave out run_id for a new run"
        )


def _check_stages(stages: Sequence[str]) -> None:
    if isinstance(stages, str):
        raise UsageError(f"stages is the string {stages!r}: pass a list of names, as in stages=[{stages!r}]")
    for index, name in enumerate(stages):
        check_stage_name(name)
        if name in stages[:index]:
            raise UsageError(f"stage {name!r} is listed twice in stages=: give each stage a name of its own")


def _parent(dir: str | os.PathLike[str] | None) -> Path:
    """The folder that gets the run's."""
    try:
        Path.cwd()
        parent = (Path(dir) if dir is not None else runs_folder()).absolute()
        str(parent).encode()
    except FileNotFoundError:
        raise RunDirectoryError(
            "the working directory has been removed: change to a folder that exists, and start again"
        ) from None
    except UnicodeEncodeError:
        raise RunDirectoryError(f"{parent} is not UTF-8, which W&B needs: pass a folder that is, as dir=") from None
    return parent


def _check_identity(
    project: str | None, entity: str | None, name: str | None, tags: Sequence[str], group: str | None
) -> None:
    """Check the names that wandb would refuse only when delivery opens the run, so that no row could be delivered."""
    check_project(project)
    for what, text in (("entity", entity), ("name", name), ("group", group)):
        check_text(what, text)
    if isinstance(tags, str):
        raise UsageError(f"tags is the string {tags!r}: pass a list of tags, as in tags=[{tags!r}]")
    for tag in tags:
        check_tag(tag)
    check_project(os.environ.get("WANDB_PROJECT"), "WANDB_PROJECT")  # wandb reads these also where others are given
    if "WANDB_TAGS" in os.environ:
        for tag in os.environ["WANDB_TAGS"].split(","):
            check_tag(tag, "WANDB_TAGS")


def _check_delivery(delivery: str) -> None:
    if delivery not in ("process", "thread"):
        raise UsageError(f"delivery is {shown(delivery)}: choose 'process' or 'thread'")
