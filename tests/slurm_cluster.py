"""A real Slurm on this machine: munged, slurmctld and one slurmd per node, all of them this test's own.

Several may run at once: each has its folder, ports, key and socket, and is met through its own SLURM_CONF. Needs the
packages slurm-wlm and munge, and root, because slurmd starts jobs as the user who sent them.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
SBIN = "/usr/sbin:/usr/local/sbin"  # daemons lie there, and a user's PATH may not
START_S = 30
REQUEUE_DELAY_S = 5  # cred_expire: a requeued job waits for so long; 120 by default

CONFIGURATION = """\
ClusterName=tokenmill{controller_port}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={requeue_delay_s}
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0,default_queue_depth=1000
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=6
MessageTimeout=5
KillWait=5
MinJobAge=3600
GresTypes=gpu
{nodes}
PartitionName=main Nodes={main} Default=YES MaxTime=60 State=UP
PartitionName=gpu Nodes=ALL MaxTime=60 State=UP
PartitionName=last Nodes={last} MaxTime=60 State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=_path(os.environ)) is None]
    if absent:
        return f"no {', '.join(absent)} here: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "a Slurm of one's own needs root"


class SlurmCluster:
    """`nodes` slurmd with `cpus` each; the nodes are called n1, n2, ... and each has one GPU in name.

    Partitions: `gpu` has all nodes, `last` the last of them, and `main`, the default, the others (or the only one).
    """

    def __init__(self, folder: Path, nodes: int, cpus: int) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": _path(os.environ), "SLURM_CONF": str(folder / "slurm.conf")}
        self._cpus = cpus
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.nodes = [f"n{number + 1}" for number in range(nodes)]

    def start(self) -> None:
        """Raises RuntimeError, with the end of the logs, if it is not up in time."""
        ports = _free_ports(1 + len(self.nodes))
        lines = [
            f"NodeName={node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} CPUs={self._cpus} "
            "RealMemory=4000 Gres=gpu:1 State=UNKNOWN"
            for node, port in zip(self.nodes, ports[1:], strict=True)
        ]
        settings = {"folder": self.folder, "host": socket.gethostname(), "controller_port": ports[0]}
        partitions = {"main": ",".join(self.nodes[:-1] or self.nodes), "last": self.nodes[-1]}
        text = CONFIGURATION.format(**settings, **partitions, nodes="\n".join(lines), requeue_delay_s=REQUEUE_DELAY_S)
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").touch()
        (self.folder / "gres.conf").write_text(
            "".join(f"NodeName={node} Name=gpu File=/dev/null\n" for node in self.nodes)
        )
        (self.folder / "state").mkdir(exist_ok=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        munge = [f"--{what}={self.folder}/munge.{end}" for what, end in _MUNGE_FILES.items()]
        self._daemon("munged", ["munged", "--foreground", "--force", "--num-threads=2", *munge])
        self._wait("munged", lambda: (self.folder / "munge.socket").exists())
        self._daemon("slurmctld", ["slurmctld", "-D", "-i"])
        for node in self.nodes:
            self.start_node(node)
        self._wait("all nodes idle", lambda: self.states() == dict.fromkeys(self.nodes, "idle"))

    def start_node(self, node: str) -> None:
        (self.folder / f"spool.{node}").mkdir(exist_ok=True)
        self._daemon(node, ["slurmd", "-D", "-N", node])

    def kill_node(self, node: str) -> None:
        """kill -9 of a slurmd and of everything that it has started, as when a machine loses its power."""
        self._daemons[node].kill()
        self._daemons.pop(node).wait()
        self._kill_jobs(node)

    def states(self) -> dict[str, str]:
        """Of each node: idle, mixed, down, ..."""
        told = self.tell(["sinfo", "-N", "-h", "-p", "gpu", "-o", "%N %T"], check=False)
        return {name: state.rstrip("*") for name, state in (line.split() for line in told.splitlines())}

    def queue(self) -> dict[str, str]:
        """The state of each job, an array's elements apart (`12_3`), the finished ones too."""
        told = self.tell(["squeue", "-a", "-h", "-r", "-t", "all", "-o", "%i %T"])
        return dict(line.split() for line in told.splitlines())

    def tell(self, command: list[str], *, check: bool = True, **changes: str) -> str:
        """What `command` prints on this cluster; `changes` are of its environment."""
        environment = {**self.environment, **changes}
        found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        if check and found.returncode:
            raise RuntimeError(f"{' '.join(command)}: {found.stderr or found.stdout}")
        return found.stdout

    def until(self, what: str, reached: Callable[[], bool], seconds: float = 60) -> None:
        self._wait(what, reached, seconds)

    def stop(self) -> None:
        """kill -9, each by its process id: first the daemons, which would only wait for their jobs, then the jobs."""
        for daemon in self._daemons.values():
            daemon.kill()
            daemon.wait()
        self._daemons.clear()
        self._kill_jobs()

    def _daemon(self, name: str, command: list[str]) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._daemons[name] = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self, what: str, reached: Callable[[], bool], seconds: float = START_S) -> None:
        ends = time.monotonic() + seconds
        while not reached():
            dead = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if dead or time.monotonic() > ends:
                why = f"{', '.join(dead)} ended" if dead else f"not within {seconds:.0f} s"
                logs = "\n".join(f"--- {p.name}\n{p.read_text()[-2000:]}" for p in sorted(self.folder.glob("*.log")))
                raise RuntimeError(f"{what}: {why}\n{logs}")
            time.sleep(0.1)

    def _kill_jobs(self, node: str | None = None) -> None:
        """kill -9 to the processes of this cluster's jobs, or of one node's, and to the slurmstepd that hold them."""
        holders: set[int] = set()
        jobs: set[int] = set()
        for place in Path("/proc").iterdir():
            try:
                pairs = [part.split("=", 1) for part in (place / "environ").read_text().split("\0") if "=" in part]
                variables = dict(pairs)
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                kinds = [(Path("/proc") / name / "comm").read_text().strip() for name in (place.name, str(parent))]
            except (OSError, ValueError):  # no process, or one that has ended
                continue
            if variables.get("SLURM_CONF") != self.environment["SLURM_CONF"]:
                continue
            if kinds[0] == "slurmstepd" and node is None:
                holders.add(int(place.name))
            if "SLURM_JOB_ID" in variables and node in (None, variables.get("SLURMD_NODENAME")):
                jobs.add(int(place.name))
                holders |= {parent} if kinds[1] == "slurmstepd" else set()
        # A slurmstepd that sees its job end would still report it; so it goes first.
        for process in (*holders, *(jobs - holders)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


_MUNGE_FILES = {
    "key-file": "key",
    "socket": "socket",
    "pid-file": "pid",
    "log-file": "own.log",
    "seed-file": "seed",
}


@contextmanager
def slurm_cluster(nodes: int = 1, cpus: int = 2) -> Iterator[SlurmCluster]:
    """A cluster for as long as the block; the test is skipped where there can be none."""
    if reason := missing():
        pytest.skip(reason)
    # Not pytest's folder: the path of a socket may have 108 characters.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = SlurmCluster(folder, nodes, cpus)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _path(environment: Mapping[str, str]) -> str:
    return f"{environment.get('PATH', '/usr/bin:/bin')}:{SBIN}"


def _free_ports(n: int) -> list[int]:
    held = [socket.socket() for _ in range(n)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()
