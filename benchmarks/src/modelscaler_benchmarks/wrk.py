"""Closed-loop load with wrk: as many connections as asked, each sending its next request when it has its answer."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
CLOSING_MARK = "figures:"


class LoadGeneratorError(Exception):
    """No load could be offered."""


@dataclass(frozen=True)
class LoadFigures:
    """What a stretch of load measured.

    Attributes:
        requests_per_second: Answered.
        p50_milliseconds: Median latency.
        p99_milliseconds: Latency that 1 % exceed.
        requests: Answered in all.
        seconds: How long it took.
        failures: Answers that were not 2xx, and connections that were refused, broken or timed out.
    """

    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    requests: int
    seconds: float
    failures: int


def installed_wrk() -> str | None:
    """Return the path of wrk, installing Debian's package where we are root; None where it cannot be had."""
    if found := shutil.which("wrk"):
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        for arguments in (["install"], ["update"], ["install"]):
            packages = ["wrk"] if arguments == ["install"] else []
            subprocess.run(["apt-get", "-qq", "-y", *arguments, *packages], check=False, stdout=subprocess.DEVNULL)
            if found := shutil.which("wrk"):
                return found
    return None


def write_bodies(directory: Path, bodies: Sequence[bytes]) -> None:
    """Write the bodies where `offer` finds them, one file each."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, body in enumerate(bodies, start=1):
        (directory / f"{number}.body").write_bytes(body)


def offer(
    program: str, url: str, bodies: Path, headers: Mapping[str, str], *, count: int, connections: int, seconds: float
) -> LoadFigures:
    """Offer the bodies in turn for some seconds.

    Args:
        program: Path of wrk.
        url: Where to post.
        bodies: Directory of `write_bodies`.
        headers: Sent with each request.
        count: How many bodies there are.
        connections: How many requests are under way at once.
        seconds: For how long.

    Raises:
        LoadGeneratorError: When wrk fails.
    """
    pairs = [part for item in headers.items() for part in item]
    arguments = [program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(SCRIPT), url, "--"]
    done = subprocess.run([*arguments, str(bodies), str(count), *pairs], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LoadGeneratorError(f"wrk ended with {done.returncode}: {done.stderr or done.stdout}")
    return parse(done.stdout)


def parse(output: str) -> LoadFigures:
    """Read the line of figures that the script prints.

    Raises:
        LoadGeneratorError: When there is none.
    """
    found = re.search(rf"^{CLOSING_MARK} (.*)$", output, re.MULTILINE)
    if found is None:
        raise LoadGeneratorError(f"wrk's output: expected a line `{CLOSING_MARK} …`, found {output!r}")
    figures = json.loads(found[1])
    seconds = figures["microseconds"] / 1e6
    return LoadFigures(
        requests_per_second=figures["requests"] / seconds,
        p50_milliseconds=figures["p50"] / 1e3,
        p99_milliseconds=figures["p99"] / 1e3,
        requests=figures["requests"],
        seconds=seconds,
        failures=figures["failures"],
    )
