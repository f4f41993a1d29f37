"""The CUDA kernels give the signatures of the CPU, bit for bit: in numba's simulator everywhere, on a GPU where one is.

The simulator must be chosen before numba is imported, so it runs in another process. There all of numba is off, and
the kernels and what they call are plain Python, one thread of Python for each of CUDA.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tokenmill.kernels.minhash import UNITS, Unit, signatures
from tokenmill.kernels.minhash_cuda import _parts, cuda_or_refuse, signatures_on, signatures_on_cuda

# Null, empty, white space alone, words that cross a tile of 8 bytes, code points that do, texts of several tiles.
AWKWARD = [
    None,
    "",
    "a",
    " ",
    " \n\t\u3000",
    "Hello World, the End of it  all\r\n\r\n",
    "  é ÉÄ 中文 x\u3000",
    "größer abcdefghijklmnop\t\t\tİstanbul 😀 end",
    "x" * 31 + "é" + "Y" * 40,
    "a" * 30 + "😀" + " b",
    " " * 70 + "A b\0c" + " " * 70,
    "你好,世界。\n\n\nΑΒΓ ά\u0301ά e\u0301te\u0301 ٣٤ ²",
    "snake_case(if a  ==\tb): Don't!" * 5,
]
CASES: list[tuple[Unit, int, int]] = [("words", 2, 5), ("characters", 5, 40)]
SIMULATED = """
import json, sys
import pyarrow as pa
from tokenmill.kernels import minhash_cuda_kernels
from tokenmill.kernels.minhash_cuda import signatures_on_cuda

sys.setswitchinterval(1e-5)  # its threads wait for each other in a busy loop
minhash_cuda_kernels.SHINGLES = 32  # so that some of these texts need more than one block
texts, cases, skipped = json.load(sys.stdin)
found = []
for unit, length, hashes in cases:
    places, counts = signatures_on_cuda(pa.array(texts, pa.large_string()).slice(skipped), hashes, length, 7, unit, 16)
    found.append([places.tolist(), counts.tolist()])
json.dump(found, sys.stdout)
"""


def test_the_simulator_gives_the_signatures_of_the_cpu() -> None:
    """Python warns where 64 bits overflow, as hashes are meant to."""
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    root = Path(__file__).parents[2]
    given = json.dumps([AWKWARD, CASES, 2])
    command = [sys.executable, "-W", "ignore", "-c", SIMULATED]
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    for (unit, length, hashes), (places, counts) in zip(CASES, json.loads(done.stdout), strict=True):
        want, of_each = signatures(pa.array(AWKWARD[2:], pa.large_string()), hashes, length, 7, unit)
        assert counts == of_each.tolist()
        assert places == want.tolist()


def has_cuda() -> bool:
    try:
        cuda_or_refuse()
    except ValueError:
        return False
    return True


@pytest.mark.skipif(not has_cuda(), reason="no CUDA device here: the kernels were only simulated")
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("length", "hashes"), [(1, 1), (5, 112), (24, 260), (24, 1100)])
def test_a_gpu_gives_the_signatures_of_the_cpu(unit: Unit, length: int, hashes: int) -> None:
    long = " ".join(f"w{i * i % 9973}" for i in range(50_000))
    texts = pa.array([*AWKWARD, long, "  ".join(t or "" for t in AWKWARD) * 50] * 20, pa.large_string()).slice(3)
    found, counts = signatures_on("cuda", texts, hashes, length, 7, unit)
    want, of_each = signatures(texts, hashes, length, 7, unit)
    assert counts.tolist() == of_each.tolist()
    assert (found == want).all()


@pytest.mark.skipif(has_cuda(), reason="there is a CUDA device here")
def test_without_a_gpu_the_reason_is_said() -> None:
    with pytest.raises(ValueError, match="no CUDA"):
        signatures_on("cuda", pa.array(["a"], pa.large_string()), 1, 1, 1)


def test_on_the_cpu_it_is_the_kernel_of_the_cpu() -> None:
    texts = pa.array(AWKWARD, pa.large_string())
    found, counts = signatures_on("cpu", texts, 9, 3, 1, "characters")
    want, of_each = signatures(texts, 9, 3, 1, "characters")
    assert (found == want).all()
    assert (counts == of_each).all()


def test_another_device_is_refused() -> None:
    with pytest.raises(ValueError, match="want cpu or cuda"):
        signatures_on("tpu", pa.array(["a"], pa.large_string()), 1, 1, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        pytest.param([0, 3, 4, 0, 9], [(1, 0), (2, 0), (4, 0), (4, 4), (4, 8)], id="none, whole ones, the rest"),
        pytest.param([0], [], id="nothing to do"),
    ],
)
def test_a_long_text_is_divided_among_blocks(counts: list[int], parts: list[tuple[int, int]]) -> None:
    of_text, firsts = _parts(np.array(counts), 4)
    assert list(zip(of_text.tolist(), firsts.tolist(), strict=True)) == parts


@pytest.mark.parametrize("threads", [0, 33, 2048])
def test_threads_that_do_not_halve_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        signatures_on_cuda(pa.array(["a"], pa.large_string()), 1, 1, 1, threads=threads)


def test_importing_the_kernels_of_the_cpu_imports_no_cuda() -> None:
    code = "import sys, tokenmill.kernels.minhash_cuda; sys.exit('numba.cuda' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
