"""Writes docs/openapi.json anew: `python -m engramia.api`."""

import json
import sys
import tempfile
from pathlib import Path

from engramia.api.app import create_app
from engramia.settings import Settings

DOCUMENT = Path("docs/openapi.json")


def text() -> str:
    """Return the OpenAPI document as it is committed."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data_path=Path(folder), embedding_model="none"), llm=None)
        return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(text(), encoding="utf-8")
    sys.stderr.write(f"Wrote {DOCUMENT}.\n")
