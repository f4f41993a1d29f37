"""A device that is not here is refused before anything runs; results never depend on which one is chosen."""

import pyarrow as pa
import pytest

from tokenmill.jobs.cli import main
from tokenmill.kernels import device
from tokenmill.kernels.minhash_cuda import cuda_or_refuse, signatures_on


def has_cuda() -> bool:
    try:
        cuda_or_refuse()
    except ValueError:
        return False
    return True


@pytest.mark.skipif(has_cuda(), reason="there is a CUDA device here")
def test_a_gpu_that_is_not_here_is_refused_with_the_reason(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"text": "a few words of some text"}\n')
    command = ["run", "fuzzy_dedup", "--source", f"{tmp_path}/a.jsonl", "--out", f"{tmp_path}/out"]
    assert main([*command, "--device", "cuda"]) == 2
    assert "--device cuda: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert device.chosen() == "cpu"


def test_an_unknown_device_is_refused_by_name():
    with pytest.raises(ValueError, match="device='tpu'; want cpu or cuda"):
        device.choose("tpu")  # type: ignore[arg-type]


@pytest.mark.skipif(not has_cuda(), reason="no CUDA device here")
def test_both_devices_give_the_same_signatures():
    texts = pa.array(["the end of it all and a little more", None, ""], pa.large_string())
    on = [signatures_on(name, texts, 112, 5, 1) for name in device.DEVICES]
    assert (on[0][0] == on[1][0]).all() and (on[0][1] == on[1][1]).all()
