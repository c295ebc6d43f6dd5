"""Machines of a Ray cluster, all of them this one, on loopback."""

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from live import find_port

START_UP = 120  # seconds
RAY = Path(sys.executable).with_name("ray")
PORTS = "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port"


class Cluster:
    """A cluster's address, for jobs, and the processes of its machines, the head's first."""

    def __init__(self) -> None:
        self.port, self.dashboard = find_port(), find_port()
        self.address = f"http://127.0.0.1:{self.dashboard}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def add_node(self, cores: int, folder: Path) -> subprocess.Popen[bytes]:
        """Start a machine that lends so many processor cores, in a folder; return its process."""
        head = ("--head", f"--port={self.port}", f"--dashboard-port={self.dashboard}", f"--temp-dir={folder}")
        which = (f"--address=127.0.0.1:{self.port}",) if self.nodes else head
        words = [RAY, "start", "--block", *which, f"--num-cpus={cores}", "--node-ip-address=127.0.0.1"]
        words += [f"--{name}={find_port()}" for name in PORTS]
        environ = os.environ | {
            "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_period_ms": "1000",
            "PYTHONWARNINGS": "",
        }
        with (folder / f"node-{len(self.nodes)}.log").open("wb") as log:
            self.nodes.append(subprocess.Popen(words, cwd=folder, env=environ, stdout=log, stderr=log))
        return self.nodes[-1]

    def wait(self) -> None:
        """Wait until the head takes jobs and all machines are known."""
        from ray.util.state import list_nodes

        end = time.monotonic() + START_UP
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/api/version", timeout=5).close()
                if len(list_nodes(address=self.address)) >= len(self.nodes):
                    return
            except Exception:
                assert time.monotonic() < end, "the cluster did not start"
            time.sleep(0.2)


def kill(node: subprocess.Popen[bytes]) -> None:
    """End a machine as a power cut does: all its processes at once."""
    family = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    node.wait(30)


@contextmanager
def run_cluster(*cores: int) -> Iterator[Cluster]:
    """Run a cluster with a machine for each number of processor cores that it lends."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # sockets want a short path
        cluster = Cluster()
        try:
            for count in cores:
                cluster.add_node(count, Path(folder))
                if len(cluster.nodes) == 1:
                    cluster.wait()
            cluster.wait()
            yield cluster
        finally:
            for node in reversed(cluster.nodes):
                if node.poll() is None:
                    kill(node)
