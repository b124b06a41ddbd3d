"""Which files of this folder are collected."""

import os

# Needs a browser, which nobody has to install: BROWSER=/usr/bin/chromium pytest tests/server/ops
collect_ignore = [] if os.environ.get("BROWSER") else ["test_browser.py"]  # noqa: TID251 - a switch of the tests'
