"""Installs the certified provider from the lock file, once for all test processes."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "oidc-provider"
FILES = ("package.json", "package-lock.json", "provider.js")
INSTALL_SECONDS = 100
BIN = Path(sys.executable).parent


def installed_provider() -> Path:
    """Return the folder in which `provider.js` runs; its name says what is in it."""
    told = b"".join((HERE / name).read_bytes() for name in FILES)
    folder = CACHE / hashlib.sha256(told).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in FILES:
        shutil.copy(HERE / name, folder)
    command = [
        str(BIN / "npm"),
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        f"--cache={CACHE / 'npm'}",
    ]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False,
            # The certificates that the machine trusts, as for every other download here, not Node's own list.
            env={**os.environ, "NODE_OPTIONS": "--use-system-ca"},  # noqa: TID251 - npm needs PATH and proxies
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"npm ci took more than {INSTALL_SECONDS} s: is the registry reachable?") from None
    if done.returncode:
        raise RuntimeError(f"npm ci failed; is the registry reachable?\n{done.stderr[-2000:]}")
    (folder / "complete").touch()
