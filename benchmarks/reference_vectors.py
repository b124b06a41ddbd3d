"""Make tests/providers/reference_vectors.json: what the reference implementation answers for our sentences.

The reference needs torch, which this project does not install. In an environment of its own:

    python -m venv /path/to/reference
    /path/to/reference/bin/pip install sentence-transformers
    /path/to/reference/bin/python -P benchmarks/reference_vectors.py MODEL_FOLDER

(-P: names of modules beside this one also belong to packages that the reference needs.)
MODEL_FOLDER holds the official files of all-MiniLM-L6-v2 (config.json, model.safetensors, tokenizer.json, …).
"""

import argparse
import base64
import hashlib
import importlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "tests" / "providers" / "reference_vectors.json"
MAX_TOKENS = 256
PACKAGES = ("sentence-transformers", "transformers", "tokenizers", "torch")

CODE = '''
import csv
from pathlib import Path


def totals(path: Path) -> dict[str, float]:
    """Sum the column `amount` per customer of a ledger."""
    sums: dict[str, float] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            sums[row["customer"]] = sums.get(row["customer"], 0.0) + float(row["amount"] or 0)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    for customer, amount in totals(Path("ledger.csv")).items():
        print(f"{customer:<20}{amount:>12,.2f}")
'''

SENTENCES = [
    "Sort the list of employees by the date they joined.",
    "Convert a spreadsheet to JSON",
    "Convert JSON to a spreadsheet",
    "Delete every log file older than 14 days, but keep the newest three.",
    "Never delete log files.",
    "Which warehouse shipped the most parcels in March 2021?",
    "Write a function that returns the n-th prime number.",
    "Retry the upload with exponential backoff when the server answers 503.",
    "hello",
    "Hello",
    "HELLO!!!",
    "a",
    "",
    " ",
    "\n\t \r\n",
    ".",
    "?!…—\u2013«»„“",
    "....................................................................",
    "🙂",
    "Deploy on Friday? 🚀🔥 No thanks 🙅‍♀️",
    "Zähle die Wörter in jeder Zeile und gib die längste aus.",
    "Trouver le chemin le plus court entre deux villes sans passer par l'autoroute.",
    "Ordena los pedidos por fecha de entrega y elimina los duplicados.",
    "Прочитай файл и посчитай, сколько раз встречается каждое слово.",
    "読み込んだ表から重複した行を取り除く",
    "把两个表按照客户编号合并起来",
    "배열에서 가장 큰 값을 찾아라",
    "احسب متوسط الدرجات لكل طالب",
    "מיין את הרשימה לפי תאריך",
    "रिपोर्ट में हर महीने की कुल बिक्री दिखाओ",
    "Βρες όλα τα αρχεία που άλλαξαν σήμερα",
    "Tìm số lớn thứ hai trong danh sách",
    "ﬁnd the ﬂag in ﬁle №7 — ½ cup, 5 µm, \uff26\uff35\uff2c\uff2c \uff37\uff29\uff24\uff34\uff28",
    "cafe\u0301 and caf\u00e9 and CAFÉ",
    "zero\u200bwidth\u00a0space and soft\u00adhyphen",
    "NUL \x00 bell \x07 escape \x1b[31mred\x1b[0m replacement \ufffd",
    "SELECT name, COUNT(*) FROM orders WHERE total > 99.5 GROUP BY name HAVING COUNT(*) >= 3;",
    "find . -name '*.tmp' -mtime +30 -print0 | xargs -0 rm -f",
    'const sum = (xs) => xs.reduce((a, b) => a + b, 0); // "adds up"',
    "def add(a: int, b: int) -> int:\n    return a + b\n",
    CODE,
    CODE * 6,
    "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\Temp\\x.txt ../../etc",
    "TypeError: unsupported operand type(s) for +: 'int' and 'NoneType'",
    "error error error error error error error error error error",
    "1 22 333 4444 55555 666666 7777777 88888888 -1.5e-10 0xDEADBEEF 1,000,000.00",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "x" * 99,
    "x" * 101,
    "y" * 5000,
    "[CLS] a task that [SEP] names the [MASK] of [PAD] and [UNK]",
    "The quick brown fox jumps over the lazy dog and reads the manual afterwards. " * 12,
    "One word after the other fills the window of the model, " * 200,
    "汉字" * 400,
    "🙂" * 300,
    "This text ends with its only important word beyond the cut. " * 30 + "Quicksort",
]


def main() -> None:
    """Embed the sentences with the reference and write them with where they come from."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder with the model's official files")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    vectors = reference(arguments.model).encode(SENTENCES, batch_size=1, normalize_embeddings=True)
    content = {
        "provenance": provenance(arguments.model),
        "shape": list(vectors.shape),
        "texts": SENTENCES,
        "vectors_float32_le_base64": base64.b64encode(vectors.astype("<f4").tobytes()).decode(),
    }
    arguments.target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.target}: {len(SENTENCES)} vectors")


def reference(folder: Path) -> Any:
    """Return the reference model: transformer, mean pooling, normalisation, cut at 256 tokens."""
    # Imported by name: these packages live in another environment than the one that is type-checked.
    library = importlib.import_module("sentence_transformers")
    parts = importlib.import_module("sentence_transformers.models")
    transformer = parts.Transformer(str(folder), max_seq_length=MAX_TOKENS)
    modules = [transformer, parts.Pooling(384, "mean"), parts.Normalize()]
    return library.SentenceTransformer(modules=modules, device="cpu")


def provenance(folder: Path) -> dict[str, object]:
    """Return the versions and hashes that the vectors depend on."""
    files = ("model.safetensors", "tokenizer.json")
    return {
        "made_by": "benchmarks/reference_vectors.py",
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "max_tokens": MAX_TOKENS,
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in PACKAGES},
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
    }


if __name__ == "__main__":
    main()
