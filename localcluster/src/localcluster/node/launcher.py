"""Become a container: join the cgroups, build a private file system, then turn into the command.

Runs as a script of its own (``python -I -S launcher.py``) inside fresh namespaces, as their first process,
with its orders as JSON on standard input. It writes ``ok`` or ``error: …`` to the descriptor it is told, then
execs. It imports nothing of this package, so that it starts in a few milliseconds.

The file system is the machine's own seen through an overlay: readable as it is, written to in memory, gone with
the container. Volumes are mounted at their mountPath in it; the machine's directories never see them.
"""

import ctypes
import json
import os
import shutil
import socket
import stat
import sys
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC = 1, 32, 4096, 16384
MS_NOSUID, MS_NODEV = 2, 4
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SHARED_AS_THEY_ARE = ("dev", "sys")
OLD_ROOT = "/.old-root"

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Attach a file system; raise OSError naming the target when the kernel refuses."""
    arguments = [text.encode() if text else None for text in (source, target, kind)]
    if _libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def pivot_root(new: str, old: str) -> None:
    """Swap the root directory by system call, for the C library has no function for it."""
    if _libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], new.encode(), old.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"pivot_root to {new}: {os.strerror(number)}")


class Root:
    """A private root directory, assembled on a tmpfs."""

    def __init__(self, scratch: str, user_namespace: bool) -> None:
        self._scratch = scratch
        self._overlay_options = ",userxattr" if user_namespace else ""
        self._root = os.path.join(scratch, "root")

    def assemble(self) -> None:
        """Show every top-level entry of the machine under the new root, and the file systems mounted below."""
        mounted = _mount_points()
        mount("tmpfs", self._scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        os.mkdir(self._root)
        mount(self._root, self._root, flags=MS_BIND)
        for name in os.listdir("/"):
            self._show(name)
        for path in mounted:
            if not path.startswith(self._scratch):
                self._share(path)

    def enter(self) -> None:
        """Make it the root; the machine's stays reachable under OLD_ROOT until ``leave``."""
        os.mkdir(self._root + OLD_ROOT, 0o700)
        pivot_root(self._root, self._root + OLD_ROOT)
        os.chdir("/")

    def leave_old(self) -> None:
        """Drop the machine's own root."""
        if _libc.umount2(OLD_ROOT.encode(), MNT_DETACH) == 0:
            os.rmdir(OLD_ROOT)

    def _show(self, name: str) -> None:
        source, target = "/" + name, os.path.join(self._root, name)
        mode = os.lstat(source).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), target)
        elif not stat.S_ISDIR(mode):
            return
        else:
            os.mkdir(target)
            self._fill(name, source, target)

    def _fill(self, name: str, source: str, target: str) -> None:
        if name == "proc":
            self._mount_proc(target)
        elif name in SHARED_AS_THEY_ARE:
            mount(source, target, flags=MS_BIND | MS_REC)
        elif name != "run":  # a container's /run is its own, as secrets are mounted there
            self._layer(name.replace("/", "-"), source, target)

    def _layer(self, label: str, source: str, target: str) -> None:
        upper, work = (os.path.join(self._scratch, kind, label) for kind in ("upper", "work"))
        os.makedirs(upper)
        os.makedirs(work)
        shutil.copymode(source, upper)
        options = f"lowerdir={source},upperdir={upper},workdir={work}{self._overlay_options}"
        try:
            mount("overlay", target, "overlay", 0, options)
        except OSError:
            # Not every file system can be under an overlay; then it is shared as it is.
            mount(source, target, flags=MS_BIND | MS_REC)

    def _mount_proc(self, target: str) -> None:
        try:
            mount("proc", target, "proc")
        except OSError:
            # A user namespace inside a container may not mount a fresh one.
            mount("/proc", target, flags=MS_BIND | MS_REC)

    def _share(self, path: str) -> None:
        target = self._root + path
        if not os.path.ismount(target) and os.path.isdir(target):
            try:
                mount(path, target, flags=MS_BIND | MS_REC)
            except OSError:
                return  # hidden from us anyway


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        paths = [line.split()[4].encode().decode("unicode_escape") for line in table]
    outside = ("/proc", "/sys", "/dev", "/run")
    return sorted(
        {path for path in paths if path != "/" and not (path + "/").startswith(tuple(f"{o}/" for o in outside))}
    )


def mount_volumes(mounts: list[dict[str, Any]]) -> None:
    """Bind each volume at its place, outer places first."""
    for entry in sorted(mounts, key=lambda entry: entry["target"].count("/")):
        source, target = OLD_ROOT + entry["source"], entry["target"]
        if os.path.isdir(source):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "a", encoding="utf-8"):
                pass
        mount(source, target, flags=MS_BIND | MS_REC)
        if entry["read_only"]:
            mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def show_again(kept: list[str], mounts: list[dict[str, Any]]) -> None:
    """Bind the image's own directories over a volume that hides them (an emptyDir on /tmp, say)."""
    for path in kept:
        hidden = any((path + "/").startswith(entry["target"].rstrip("/") + "/") for entry in mounts)
        if hidden and os.path.isdir(OLD_ROOT + path):
            os.makedirs(path, exist_ok=True)
            mount(OLD_ROOT + path, path, flags=MS_BIND | MS_REC)


def join(process_files: list[str]) -> None:
    """Enter the container's cgroups; 0 means the writing process."""
    for path in process_files:
        with open(path, "w", encoding="ascii") as processes:
            processes.write("0")


def isolate(orders: dict[str, Any]) -> None:
    """Build and enter the private root."""
    socket.sethostname(orders["hostname"])
    root = Root(orders["scratch"], orders["user_namespace"])
    root.assemble()
    root.enter()
    mount_volumes(orders["mounts"])
    show_again(orders["keep"], orders["mounts"])
    root.leave_old()


def main() -> None:
    """Follow the orders; never returns."""
    orders = json.load(sys.stdin)
    report = orders["report_fd"]
    try:
        join(orders["cgroup_process_files"])
        if orders["isolate"]:
            isolate(orders)
        os.chdir(orders["working_dir"])
        program = shutil.which(orders["argv"][0], path=orders["env"].get("PATH"))
        if program is None:
            raise FileNotFoundError(f'exec: "{orders["argv"][0]}": executable file not found in $PATH')
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        # Until here standard error was for the agent; from here both outputs are the container's log.
        os.dup2(1, 2)
        os.write(report, b"ok\n")
        os.close(report)
        os.execve(program, orders["argv"], orders["env"])  # noqa: S606 - becoming the command is the point
    except Exception as error:
        os.write(report, f"error: {error}\n".encode())
        os._exit(128)


if __name__ == "__main__":
    main()
