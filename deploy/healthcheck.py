"""The container's health check: ends with 0 if the address given answers 200, else with 1 and a sentence."""
# ruff: noqa: INP001 - a script of the image's, no part of a package

import sys
import urllib.error
import urllib.request

DEADLINE_SECONDS = 3.0


def problem(url: str) -> str | None:
    """Return why `url` is not well; None if it is."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy of the host
    try:
        with direct.open(url, timeout=DEADLINE_SECONDS) as answer:
            return None if answer.status == 200 else f"{url} answers {answer.status}"  # noqa: PLR2004 - OK
    except (OSError, urllib.error.URLError, ValueError) as error:
        return f"{url}: {error}"


if __name__ == "__main__":
    sys.exit(problem(sys.argv[1]))
