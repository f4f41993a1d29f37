"""Call `kubectl`: what Kubernetes answers, or an EngineError that says what it said instead."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from tokenmill.core.errors import EngineError

PATIENCE_S = 120  # `kubectl` itself tries a server that does not answer for 32 s


def kubectl(arguments: Sequence[str], namespace: str | None = None) -> str:
    """What it wrote to standard output. Raises EngineError if it is not here, fails, or hangs.

    It finds the cluster as it always does: KUBECONFIG, ~/.kube/config, or the pod that it runs in.
    """
    command = kubectl_command(arguments, namespace)
    said = " ".join(command)
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except FileNotFoundError as error:
        raise EngineError(f"kubectl is not on the PATH; install it, or run elsewhere: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"no answer within {PATIENCE_S} s; look at the cluster, then run again: {said}") from error
    if result.returncode != 0:
        raise EngineError(f"{said}: exit code {result.returncode}: {' '.join(result.stderr.split())}")
    return result.stdout


def kubectl_command(arguments: Sequence[str], namespace: str | None = None) -> list[str]:
    return ["kubectl", *(["--namespace", namespace] if namespace else []), *arguments]


def found(kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
    """One object of the cluster; None if there is none of this name."""
    answer = kubectl(["get", kind, name, "--ignore-not-found", "--output", "json"], namespace)
    return json.loads(answer) if answer.strip() else None
