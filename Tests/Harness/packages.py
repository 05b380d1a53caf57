# SPDX-License-Identifier: Apache-2.0
"""Other people's programs for the tests, from PyPI, kept between runs.

They go into `MARTLET_CACHE`, by default `~/.cache/martlet`, each in an environment of its own.
"""
import os, pathlib, subprocess, sys

from harness import Skip, run

CACHE = pathlib.Path(os.environ.get("MARTLET_CACHE", pathlib.Path.home() / ".cache/martlet"))


def installed(package, *more):
    """The directory of a virtual environment that holds `package` (name==version), made at first use.

    `more` packages are in it as well.
    """
    home = CACHE / "+".join([package, *more]).replace("==", "-")
    if not (home / "complete").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        try:
            run(sys.executable, "-m", "venv", "--clear", home)
            run(home / "bin/pip", "install", "-q", "--disable-pip-version-check", package, *more, timeout=300)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
            raise Skip(f"{package} cannot be installed: {str(error).splitlines()[-1][:200]}")
        (home / "complete").touch()
    return home


def program(package, path):
    """The path of a program inside an installed package; `path` is below its site-packages."""
    found = sorted(installed(package).glob(f"lib/python3*/site-packages/{path}"))
    if not found:
        raise Skip(f"{package} holds no {path}")
    found[0].chmod(0o755)
    return found[0]
