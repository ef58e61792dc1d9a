"""The GraphQL operations that the wandb client and its public API issue, answered from the store.

An answer holds every field that any client asks for: clients pick what they know. An operation that is
missing here is answered with a GraphQL error, and shows in `server.unknown_operations`. NaN and infinities,
which JSON does not have, are answered as strings.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import quote

from .state import CONSOLE, EVENTS, HISTORY, Alert, Artifact, Json, Run, Store

USER = "tester"
PROJECT = "uncategorized"

T = TypeVar("T")

_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)")
_FIRST_FIELD = re.compile(r"\{\s*(\w+)")  # of an operation without a name
_TYPE = re.compile(r"(?:(\w+)\s*:\s*)?__type\b")
_CREATED_AT = "2026-01-01T00:00:00Z"


class UnknownOperationError(Exception):
    """A client asked for something that this server does not know."""


def operation_name(request: Json) -> str:
    if name := request.get("operationName"):
        return str(name)
    found = _OPERATION.search(request.get("query", "")) or _FIRST_FIELD.search(request.get("query", ""))
    return found[1] if found else "anonymous"


class GraphQL:
    """Answers operations. `url` is where uploads go."""

    def __init__(self, store: Store, url: str) -> None:
        self._store = store
        self._url = url
        self._operations: dict[str, Callable[[Json], Json]] = {
            "Viewer": self._viewer,
            "GetViewer": self._viewer,
            "viewer": self._viewer,
            "GetDefaultEntity": self._viewer,
            "ServerFeaturesQuery": lambda _: {"serverInfo": {"features": []}},
            "OrganizationCoreWeaveOrganizationID": lambda _: {"entity": {"organization": None}},
            "UpsertBucket": self._upsert_bucket,
            "RunResumeStatus": self._run_resume_status,
            "CreateRunFiles": self._create_run_files,
            "RunUploadUrls": self._run_upload_urls,
            "NotifyScriptableRunAlert": self._alert,
            "StopRun": self._stop_run,
            "RunStoppedStatus": self._stopped,
            "XXHashDigestsEnabled": lambda _: {"entity": {"xxhashDigestsEnabled": False}},
            "FetchArtifactDigestAlgorithm": lambda _: {"project": None},
            "CreateArtifact": self._create_artifact,
            "CreateArtifactManifest": self._create_manifest,
            "UpdateArtifactManifest": self._update_manifest,
            "CreateArtifactFiles": self._create_artifact_files,
            "CommitArtifact": self._commit_artifact,
            "ArtifactByID": self._artifact_by_id,
            "ArtifactByIDShort": self._artifact_by_id,
            "FetchArtifactManifest": self._artifact_by_id,
            "ArtifactType": self._artifact_type,
            "UseArtifact": self._use_artifact,
            "ArtifactMembershipByName": self._membership_by_name,
            "LinkArtifact": self._link_artifact,
            "GetArtifactMembershipFileUrls": self._file_urls,
            "ClientIDMapping": lambda _: {"clientIDMapping": None},
            "CreateAgent": lambda _: {"createAgent": {"agent": {"id": "agent-1"}}},
            "Heartbeat": self._heartbeat,
            "Run": self._run,
            "RunState": self._run,
            "QueryRunInfo": self._run,
            "RunHistoryKeys": self._run,
            "RunFullHistory": self._full_history,
            "RunSampledHistory": self._sampled_history,
            "SampledHistoryPage": self._sampled_history,
            "RunParquetHistory": self._parquet_history,
            "HistoryPage": self._history_page,
        }

    def answer(self, request: Json) -> Json:
        if types := _TYPE.findall(request.get("query", "")):  # before wandb 0.27 or so: whether it has this or that
            return {alias or "__type": {"name": "", "fields": [], "inputFields": []} for alias in types}
        name = operation_name(request)
        if name not in self._operations:
            raise UnknownOperationError(name)
        return self._operations[name](request.get("variables") or {})

    # Users, runs and their files

    def _viewer(self, _: Json) -> Json:
        none: Json = {"edges": []}
        return {
            "viewer": {
                "id": "user-1",
                "name": USER,
                "username": USER,
                "entity": USER,
                "email": f"{USER}@example.com",
                "admin": False,
                "flags": "{}",
                "deletedAt": None,
                "teams": none,
                "apiKeys": none,
            }
        }

    def _heartbeat(self, _: Json) -> Json:
        """Give a sweep's agent the next run, if there is one."""
        commands: list[Json] = []
        if self._store.trials:
            run_id, parameters = self._store.trials.pop(0)
            arguments = {name: {"value": value} for name, value in parameters.items()}
            commands.append({"type": "run", "run_id": run_id, "args": arguments})
        return {"agentHeartbeat": {"agent": {"id": "agent-1"}, "commands": json.dumps(commands)}}

    def _upsert_bucket(self, variables: Json) -> Json:
        run, inserted = self._find_or_create(variables)
        if variables.get("name"):
            run.open()
        for field, key in _RUN_FIELDS.items():
            if variables.get(key) is not None:
                setattr(run, field, variables[key])
        if variables.get("config") is not None:
            run.raw_config = json.loads(variables["config"])
        if variables.get("summaryMetrics") is not None:
            run.stream({"files": {"wandb-summary.json": {"content": [variables["summaryMetrics"]]}}})
        return {"upsertBucket": {"bucket": _bucket(run), "inserted": inserted}}

    def _find_or_create(self, variables: Json) -> tuple[Run, bool]:
        """By its internal id, as the public API does; or by its name, which is what users call its id."""
        if (storage_id := variables.get("id")) and (run := self._store.run_of_storage_id(storage_id)):
            return run, False
        name = variables.get("name") or self._store.new_id("unnamed")
        if run := self._store.run(name):
            return run, False
        entity, project = variables.get("entity") or USER, variables.get("project") or PROJECT
        return self._store.create_run(name, entity, project), True

    def _run_resume_status(self, variables: Json) -> Json:
        run = self._store.run(variables["name"])
        return {"model": run and {**_project(run), "bucket": _bucket(run)}}

    def _create_run_files(self, variables: Json) -> Json:
        run = self._known_run(variables["run"])
        files = [{"name": name, "uploadUrl": self._upload_url("run", run.id, name)} for name in variables["files"]]
        return {"createRunFiles": {"runID": run.storage_id, "uploadHeaders": [], "files": files}}

    def _run_upload_urls(self, variables: Json) -> Json:
        """Asked by `wandb sync` before 0.26."""
        run = self._known_run(variables["run"])
        nodes = [{"name": name, "url": self._upload_url("run", run.id, name)} for name in variables["files"]]
        files = {"uploadHeaders": [], "edges": [{"node": {**node, "updatedAt": None}} for node in nodes]}
        return {"model": {"bucket": {"id": run.storage_id, "files": files}}}

    def _alert(self, variables: Json) -> Json:
        alert = Alert(variables["title"], variables["text"], variables.get("severity") or "INFO")
        self._known_run(variables["runName"]).alerts.append(alert)
        return {"notifyScriptableRunAlert": {"success": True}}

    def _stop_run(self, variables: Json) -> Json:
        run = self._store.run_of_storage_id(variables["id"])
        if run:
            run.stop_requested = True
        return {"stopRun": {"success": run is not None}}

    def _stopped(self, variables: Json) -> Json:
        """Asked by wandb before 0.23; later ones see it in the answers to their rows."""
        run = self._store.run(variables["runId"])
        return {"project": {"run": run and {"stopped": run.stop_requested}}}

    def _known_run(self, run_id: str) -> Run:
        run = self._store.run(run_id)
        if run is None:
            raise KeyError(f"no run {run_id!r}")
        return run

    def _upload_url(self, kind: str, owner: str, name: str) -> str:
        return f"{self._url}/storage/{kind}/{quote(owner)}/{quote(name)}"

    # Artifacts: created, files uploaded, manifest uploaded, committed

    def _create_artifact(self, variables: Json) -> Json:
        given = variables["input"]
        name = (given.get("artifactCollectionNames") or [given.get("artifactCollectionName", "")])[0]
        known = [artifact for artifact in self._store.artifacts.values() if artifact.name == name]
        same = next((old for old in known if old.digest == given["digest"] and old.state == "COMMITTED"), None)
        artifact = same or Artifact(
            id=base64.b64encode(self._store.new_id("Artifact:artifact").encode()).decode(),  # clients decode it
            entity=given["entityName"],
            project=given["projectName"],
            name=name,
            version=len(known),
            type=given["artifactTypeName"],
            digest=given["digest"],
            run=given.get("runName") or "",
            aliases=[alias["alias"] for alias in given.get("aliases") or []],
            description=given.get("description"),
            metadata=given.get("metadata"),
        )
        self._store.artifacts[artifact.id] = artifact
        answer = _artifact(artifact)
        answer["artifactSequence"]["latestArtifact"] = {"id": known[-1].id} if known else None
        return {"createArtifact": {"artifact": answer}}

    def _create_manifest(self, variables: Json) -> Json:
        return {"createArtifactManifest": self._manifest(variables["artifactID"])}

    def _update_manifest(self, variables: Json) -> Json:
        return {"updateArtifactManifest": self._manifest(variables["artifactManifestID"].removeprefix("manifest:"))}

    def _manifest(self, artifact_id: str) -> Json:
        file = {
            "id": f"file:{artifact_id}",
            "uploadUrl": self._upload_url("manifest", artifact_id, "manifest"),
        }
        return {"artifactManifest": {"id": f"manifest:{artifact_id}", "file": {**file, "uploadHeaders": []}}}

    def _create_artifact_files(self, variables: Json) -> Json:
        nodes = []
        for file in variables.get("input", variables)["artifactFiles"]:
            owner, name = file["artifactID"], file["name"]
            node = {
                "storagePath": name,
                "uploadUrl": self._upload_url("artifact", owner, name),
                "uploadHeaders": [],
            }
            nodes.append({"node": {**node, "uploadMultipartUrls": None, "artifact": {"id": owner}}})
        return {"createArtifactFiles": {"files": {"edges": nodes}}}

    def _commit_artifact(self, variables: Json) -> Json:
        artifact = self._store.artifacts[variables["artifactID"]]
        artifact.state = "COMMITTED"
        return {"commitArtifact": {"artifact": _artifact(artifact)}}

    def _artifact_by_id(self, variables: Json) -> Json:
        artifact = self._store.artifacts.get(variables["id"])
        if artifact is None:
            return {"artifact": None}
        manifest = {"file": {"directUrl": self._upload_url("manifest", artifact.id, "manifest")}}
        return {"artifact": _artifact(artifact) | {"currentManifest": manifest}}

    def _artifact_type(self, variables: Json) -> Json:
        name = variables["name"].partition(":")[0]
        found = next((one for one in self._store.artifacts.values() if one.name == name), None)
        return {"project": {"artifact": found and _artifact(found)}}

    def _use_artifact(self, variables: Json) -> Json:
        given = variables.get("input", variables)
        self._store.artifacts[given["artifactID"]].used_by.append(given["runName"])
        return {"useArtifact": {"artifact": {"id": given["artifactID"]}}}

    def _membership_by_name(self, variables: Json) -> Json:
        found = self._artifact_named(variables["name"])
        return {"project": {"artifactCollectionMembership": found and _membership(found)}}

    def _link_artifact(self, variables: Json) -> Json:
        given = variables["input"]
        artifact = self._store.artifacts[given["artifactID"]]
        collection = "/".join((given["entityName"], given["projectName"], given["artifactPortfolioName"]))
        artifact.links.append((collection, [alias["alias"] for alias in given["aliases"]]))
        return {"result": {"versionIndex": artifact.version, "artifactMembership": _membership(artifact)}}

    def _file_urls(self, variables: Json) -> Json:
        artifact = self._artifact_named(f"{variables['collection']}:{variables['alias']}")
        if artifact is None:
            raise KeyError(variables["collection"])
        nodes = [
            {"node": {"__typename": "File", "name": name, "directUrl": self._upload_url("artifact", artifact.id, name)}}
            for name in artifact.files
        ]
        files = {"pageInfo": {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}, "edges": nodes}
        collection = {"__typename": "ArtifactSequence", "artifactMembership": {"files": files}}
        return {"project": {"artifactCollection": collection}}

    def _artifact_named(self, name: str) -> Artifact | None:
        """The newest committed artifact of a name, or the one with its alias or version."""
        name, _, alias = name.partition(":")
        found = [one for one in self._store.artifacts.values() if (one.name, one.state) == (name, "COMMITTED")]
        named = [one for one in found if alias in one.aliases or alias == f"v{one.version}"]
        return next(reversed(named), None)

    # Reading back

    def _run(self, variables: Json) -> Json:
        run = self._read_run(variables)
        return {"project": run and {"run": _bucket(run)}}

    def _full_history(self, variables: Json) -> Json:
        run = self._read_run(variables)
        samples = variables.get("samples") or 500
        return {"project": run and {"run": {name: _sample(rows, samples) for name, rows in _both(run)}}}

    def _sampled_history(self, variables: Json) -> Json:
        run = self._read_run(variables)
        specs = [json.loads(spec) for spec in variables.get("specs") or [variables["spec"]]]
        return {"project": run and {"run": {"sampledHistory": [_sampled(run, spec) for spec in specs]}}}

    def _parquet_history(self, variables: Json) -> Json:
        """Nothing is ever exported to Parquet here: the client goes on to ask for pages."""
        run = self._read_run(variables)
        return {"project": run and {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}

    def _history_page(self, variables: Json) -> Json:
        run = self._read_run(variables)
        low, high = int(variables["minStep"]), int(variables["maxStep"])
        lines = [line for line in _history(run) if low <= json.loads(line)["_step"] < high] if run else []
        return {"project": run and {"run": {"history": lines[: int(variables["pageSize"])]}}}

    def _read_run(self, variables: Json) -> Run | None:
        """The run a query names, if it is in the project that the query names."""
        run = self._store.run(variables.get("name") or variables.get("runName") or variables.get("run") or "")
        wanted = (variables.get("entity"), variables.get("project"))
        return run if run is not None and (run.entity, run.project) == wanted else None


_RUN_FIELDS = {
    "name": "displayName",
    "group": "groupName",
    "job_type": "jobType",
    "notes": "notes",
    "tags": "tags",
    "sweep": "sweep",
    "host": "host",
    "program": "program",
    "commit": "commit",
    "remote": "repo",
}


def _project(of: Run | Artifact) -> Json:
    entity = {"id": f"entity:{of.entity}", "name": of.entity}
    return {
        "id": f"project:{of.project}",
        "internalId": "1",
        "name": of.project,
        "entityName": of.entity,
        "entity": entity,
    }


def _bucket(run: Run) -> Json:
    """A run as GraphQL knows it: `name` is what users call its id, and `displayName` its name."""
    return {
        "id": run.storage_id,
        "name": run.id,
        "displayName": run.name,
        "description": run.notes,
        "notes": run.notes,
        "config": json.dumps(run.raw_config),
        "wandbConfig": json.dumps({"t": run.raw_config.get("_wandb", {}).get("value", {}).get("t", {})}),
        "summaryMetrics": json.dumps(_portable(run.summary)),
        "systemMetrics": json.dumps(run.events[-1] if run.events else {}),
        "tags": run.tags,
        "group": run.group,
        "jobType": run.job_type,
        "sweepName": run.sweep,
        "commit": run.commit,
        "state": run.state,
        "readOnly": False,
        "createdAt": _CREATED_AT,
        "heartbeatAt": _CREATED_AT,
        "user": {"name": USER, "username": USER},
        "project": _project(run),
        "projectId": "1",
        "historyLineCount": run.line_count(HISTORY),
        "eventsLineCount": run.line_count(EVENTS),
        "logLineCount": run.line_count(CONSOLE),
        "historyTail": json.dumps(run.tail(HISTORY)),
        "eventsTail": json.dumps(run.tail(EVENTS)),
        "historyKeys": _history_keys(run),
    }


def _artifact(artifact: Artifact) -> Json:
    collection = {"name": artifact.name, "project": _project(artifact)}
    return {
        "__typename": "Artifact",
        "id": artifact.id,
        "state": artifact.state,
        "digest": artifact.digest,
        "digestAlgorithm": "MANIFEST_MD5",
        "description": artifact.description,
        "metadata": artifact.metadata,
        "versionIndex": artifact.version,
        "artifactType": {"name": artifact.type},
        "artifactSequence": {"__typename": "ArtifactSequence", **collection},
        "aliases": [
            {"__typename": "ArtifactAlias", "id": f"{artifact.id}:{alias}", "alias": alias}
            | {"artifactCollection": {"__typename": "ArtifactSequence", **collection}}
            for alias in artifact.aliases
        ],
        "tags": [],
        "size": sum(len(content) for content in artifact.files.values()),
        "fileCount": len(artifact.files),
        "historyStep": None,
        "commitHash": None,
        "ttlDurationSeconds": -1,
        "ttlIsInherited": True,
        "createdAt": _CREATED_AT,
        "updatedAt": _CREATED_AT,
    }


def _membership(artifact: Artifact) -> Json:
    """An artifact as a member of the collection that it was logged to."""
    return {
        "__typename": "ArtifactCollectionMembership",
        "id": f"membership:{artifact.id}",
        "versionIndex": artifact.version,
        "createdAt": _CREATED_AT,
        "aliases": [],
        "artifactCollection": _artifact(artifact)["artifactSequence"],
        "artifact": _artifact(artifact),
    }


def _history_keys(run: Run) -> Json | None:
    """Which keys the history holds, how often and of which types."""
    if not run.history_keys:
        return None
    keys = {
        key: {"typeCounts": [{"type": name, "count": count} for name, count in kinds.most_common() if count]}
        for key, kinds in run.history_keys.items()
    }
    return {"keys": keys, "lastStep": run.last_step, "sets": []}


def _history(run: Run) -> list[str]:
    return [json.dumps(_portable(row)) for row in run.history]


def _portable(value: Any) -> Any:
    """The same value, fit for any JSON parser."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {key: _portable(item) for key, item in value.items()}
        case list():
            return [_portable(item) for item in value]
        case _:
            return value


def _both(run: Run) -> Iterable[tuple[str, list[str]]]:
    return ("history", _history(run)), ("events", [json.dumps(row) for row in run.events])


def _sample(rows: list[T], samples: int) -> list[T]:
    """At most `samples` of the rows, evenly spread."""
    if len(rows) <= samples:
        return rows
    return [rows[index * len(rows) // samples] for index in range(samples)]


def _sampled(run: Run, spec: Json) -> list[Json]:
    """Rows that hold every key of the spec, reduced to those keys."""
    low, high = spec.get("minStep") or 0, spec.get("maxStep") or math.inf
    keys = spec["keys"]
    rows = [row for row in run.history if low <= row["_step"] < high and all(key in row for key in keys)]
    reduced = [_portable({key: row[key] for key in keys}) for row in rows]
    return _sample(reduced, spec.get("samples") or 500)
