"""What importing costs, and what it must not pull in."""

import json
import subprocess
import sys

import engramia

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
        "anthropic",
        "typer",
        "rich",
    }
    assert not heavy & _modules("engramia")


def test_the_providers_are_loaded_when_asked_for() -> None:
    assert not {"onnxruntime", "onnx", "tokenizers", "openai"} & _modules(
        "engramia.providers.local, engramia.providers.openai"
    )


def test_every_public_name_is_there() -> None:
    for name in engramia.__all__:
        assert getattr(engramia, name) is not None
    assert not hasattr(engramia, "Nothing")
