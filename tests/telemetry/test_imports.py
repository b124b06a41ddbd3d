import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

LIST = "import sys, engramia, engramia.bootstrap; print('\\n'.join(sys.modules))"


def test_the_library_does_without() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIST], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "engramia.memory.facade" in loaded
    assert not {"engramia.telemetry", "structlog", "prometheus_client", "opentelemetry", "grpc"} & loaded
