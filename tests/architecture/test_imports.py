"""What importing costs, and what it must not pull in."""

import json
import subprocess
import sys

_LIST = "import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"


def _modules(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LIST.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_the_library_loads_no_framework_database_or_model() -> None:
    heavy = {
        "fastapi",
        "starlette",
        "uvicorn",
        "sqlalchemy",
        "psycopg",
        "onnxruntime",
        "onnx",
        "tokenizers",
        "openai",
        "typer",
        "rich",
    }
    assert not heavy & _modules("engramia")


def test_the_providers_are_loaded_when_asked_for() -> None:
    assert not {"onnxruntime", "onnx", "tokenizers", "openai"} & _modules(
        "engramia.providers.local, engramia.providers.openai"
    )
