"""The cache of compiled kernels is never older than the kernels."""

import shutil
import subprocess
import sys
from pathlib import Path

import numba

import tokenmill
from tokenmill.kernels.compiled import cache_folder, compiled

OUTER = """\
from tokenmill.kernels.compiled import compiled
from tokenmill.kernels.inner import inner

@compiled
def outer(x):
    return inner(x)
"""
INNER = """\
from tokenmill.kernels.compiled import compiled

@compiled
def inner(x):
    return x + {}
"""


def test_a_kernel_sees_a_change_in_another_file(tmp_path: Path):
    """With numba's own cache the second call would still answer 2."""
    kernels = tmp_path / "tokenmill" / "kernels"
    kernels.mkdir(parents=True)
    (tmp_path / "tokenmill" / "__init__.py").touch()
    (kernels / "__init__.py").touch()
    shutil.copy(Path(tokenmill.__file__).parent / "kernels" / "compiled.py", kernels)
    (kernels / "outer.py").write_text(OUTER)
    answers = []
    for number in (1, 2):
        (kernels / "inner.py").write_text(INNER.format(number))
        command = [sys.executable, "-c", "from tokenmill.kernels.outer import outer; print(outer(1))"]
        answers.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip())
    assert answers == ["2", "3"]


def test_other_users_of_numba_keep_their_cache():
    before = numba.config.CACHE_DIR
    assert compiled(lambda x: x + 1)(1) == 2
    assert before == numba.config.CACHE_DIR


def test_the_cache_lies_with_the_kernels():
    assert cache_folder().name.startswith("numba-")
