"""Provide the browser that tests and slides need: an installed one, else Debian's package, else Playwright's download."""

import os
import shutil
import subprocess
import sys

from course_lib.core.browser import find_browser

DEBIAN = [["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]]
PLAYWRIGHT = [[sys.executable, "-m", "playwright", "install", "chromium"]]


def provide() -> str | None:
    """Return the path of a browser that starts, installing one where needed; None if every way failed."""
    ways = [DEBIAN] * (os.geteuid() == 0 and shutil.which("apt-get") is not None) + [PLAYWRIGHT]
    while (path := find_browser()) is None and ways:
        for command in ways.pop(0):
            print("No browser yet:", " ".join(command), flush=True)
            if subprocess.run(command).returncode:
                break  # the next way is tried
        find_browser.cache_clear()
    return path


if __name__ == "__main__":
    if provide() is None:
        sys.exit("Tests and slides need a browser and none could be installed: install Chromium or Chrome, then try again.")
