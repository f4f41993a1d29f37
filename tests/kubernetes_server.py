"""As much of a Kubernetes API server as `kubectl` needs to create, apply, get, delete and read logs; on loopback.

What it is given it keeps. It starts no pod: a test says what became of an object by changing it.
"""

import json
import re
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

GROUPS = {
    "v1": {"pods": "Pod"},
    "batch/v1": {"jobs": "Job", "cronjobs": "CronJob"},
    "sparkoperator.k8s.io/v1beta2": {
        "sparkapplications": "SparkApplication",
        "scheduledsparkapplications": "ScheduledSparkApplication",
    },
}
VERBS = ["create", "delete", "get", "list", "patch"]
PLACE = re.compile(r"/(?:api|apis)/(.*)/namespaces/([^/?]+)/([^/?]+)(?:/([^/?]+))?(/log)?(?:\?(.*))?$")


class KubernetesServer:
    """For a `with` block. Skips the test where there is no kubectl."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("kubectl") is None:
            pytest.skip("needs kubectl")
        self.kept: dict[tuple[str, str], dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.config = folder / "kubeconfig"
        self.environment = {"KUBECONFIG": str(self.config), "KUBECACHEDIR": str(folder / "kubecache")}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        cluster = {"server": f"http://127.0.0.1:{self._server.server_port}"}
        self.config.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "here", "cluster": cluster}],
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                    "users": [{"name": "me", "user": {}}],
                }
            )
        )

    def objects(self, namespace: str, kind: str) -> dict[str, Any]:
        return self.kept.setdefault((namespace, kind), {})

    def add_pod(self, namespace: str, job: str, *, index: int, phase: str, log: str) -> None:
        labels = {"batch.kubernetes.io/job-name": job, "batch.kubernetes.io/job-completion-index": str(index)}
        name = f"{job}-{index}-x"
        meta = {"name": name, "namespace": namespace, "labels": labels}
        container = {"name": "tokenmill", "image": "i"}
        spec = {"containers": [container]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": phase}}
        self.objects(namespace, "pods")[name] = pod
        self.logs[name] = log

    def __enter__(self) -> "KubernetesServer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _discovery(path: str) -> dict[str, Any] | None:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/openapi/v3":
        return {"paths": {_root(name)[1:]: {"serverRelativeURL": f"/openapi/v3{_root(name)}"} for name in GROUPS}}
    if path.startswith("/openapi/v3/"):
        return _openapi(path.removeprefix("/openapi/v3"))
    if path == "/apis":
        groups = []
        for name in [name for name in GROUPS if "/" in name]:
            version = {"groupVersion": name, "version": name.partition("/")[2]}
            groups.append({"name": name.partition("/")[0], "versions": [version], "preferredVersion": version})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    kinds = GROUPS.get(path.removeprefix("/apis/").removeprefix("/api/"))
    if kinds is None:
        return None
    found = [
        {"name": n, "singularName": k.lower(), "namespaced": True, "kind": k, "verbs": VERBS} for n, k in kinds.items()
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": path.removeprefix("/apis/").removeprefix("/api/"),
        "resources": found,
    }


def _root(name: str) -> str:
    return f"/apis/{name}" if "/" in name else f"/api/{name}"


def _openapi(root: str) -> dict[str, Any]:
    """That fields are checked here: then kubectl asks for no schema of ours. (Nothing is checked.)"""
    name = root.partition("/")[2].partition("/")[2]
    group, _, version = name.rpartition("/")
    paths = {}
    for plural, kind in GROUPS[name].items():
        gvk = {"group": group, "version": version, "kind": kind}
        change = {"parameters": [{"name": "fieldValidation", "in": "query"}], "x-kubernetes-group-version-kind": gvk}
        paths[f"{root}/namespaces/{{namespace}}/{plural}/{{name}}"] = {"patch": change}
    return {"openapi": "3.0.0", "info": {"title": "k", "version": "1"}, "paths": paths}


def _handler(cluster: KubernetesServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = _discovery(self.path.partition("?")[0])
            if found is not None:
                self._say(200, found)
                return
            match = PLACE.match(self.path)
            if match is None:
                self._status(404, "NotFound")
                return
            group, namespace, kind, name, log, query = match.groups()
            kept = cluster.objects(namespace, kind)
            if log:
                self._write(200, cluster.logs[name].encode(), "text/plain")
            elif name:
                self._say(200, kept[name]) if name in kept else self._status(404, "NotFound")
            else:
                wanted = re.search(r"job-name%3D([^&]+)", query or "")
                items = [o for o in kept.values() if wanted is None or wanted[1] in o["metadata"]["labels"].values()]
                self._say(
                    200, {"kind": f"{GROUPS[group][kind]}List", "apiVersion": group, "metadata": {}, "items": items}
                )

        def do_POST(self) -> None:
            _, namespace, kind, *_ = PLACE.match(self.path).groups()  # type: ignore[union-attr]
            given = self._given()
            given["metadata"]["namespace"] = namespace
            kept = cluster.objects(namespace, kind)
            if given["metadata"]["name"] in kept:
                self._status(409, "AlreadyExists")
                return
            kept[given["metadata"]["name"]] = given
            self._say(201, given)

        def do_PATCH(self) -> None:
            _, namespace, kind, name, *_ = PLACE.match(self.path).groups()  # type: ignore[union-attr]
            kept = cluster.objects(namespace, kind)[name]
            _merge(kept, self._given())
            self._say(200, kept)

        def do_DELETE(self) -> None:
            _, namespace, kind, name, *_ = PLACE.match(self.path).groups()  # type: ignore[union-attr]
            self._given()
            gone = cluster.objects(namespace, kind).pop(name, None)
            self._say(200, gone) if gone is not None else self._status(404, "NotFound")

        def _given(self) -> dict[str, Any]:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given: dict[str, Any] = json.loads(body) if body else {}
            return given

        def _status(self, code: int, reason: str) -> None:
            self._say(code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})

        def _say(self, code: int, content: dict[str, Any]) -> None:
            self._write(code, json.dumps(content).encode(), "application/json")

        def _write(self, code: int, body: bytes, kind: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            return

    return Handler


def _merge(kept: dict[str, Any], given: dict[str, Any]) -> None:
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(kept.get(key), dict):
            _merge(kept[key], value)
        elif value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
