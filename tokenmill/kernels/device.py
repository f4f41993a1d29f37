"""Where kernels that have a CUDA twin run in this process. Their results are equal bit for bit, so no step asks for it.

A worker chooses once, before its first task. What differs by device (a model's numbers) is a parameter of its step.
"""

from typing import Literal

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda")

_chosen: Device = "cpu"


def choose(device: Device) -> None:
    """From now on. Raises ValueError where the device is not there, and for another name."""
    global _chosen
    if device not in DEVICES:
        raise ValueError(f"device={device!r}; want {' or '.join(DEVICES)}")
    if device == "cuda":
        from tokenmill.kernels.minhash_cuda import cuda_or_refuse

        cuda_or_refuse()
    _chosen = device


def chosen() -> Device:
    return _chosen
