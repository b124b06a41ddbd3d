import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engramia.core.embedding import Embeddings
from engramia.errors import ProviderNotConfiguredError
from engramia.providers.local import LocalEmbeddings
from engramia.providers.local.weights import PACKAGE, TOKENIZER_FILE, WEIGHTS_FILE, installed_weights

pytestmark = pytest.mark.slow

REFERENCE = json.loads((Path(__file__).parent / "reference_vectors.json").read_text(encoding="utf-8"))
MIXED = [
    "sort a list",
    "",
    "x" * 3000,
    "def f(x):\n    return x + 1",
    "Sortiere die Liste",
    "one two three " * 90,
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(cache: Path) -> LocalEmbeddings:
    made = LocalEmbeddings(cache_dir=cache, download=False)
    made.load()
    return made


@pytest.fixture(scope="module")
def official() -> Path:
    weights = installed_weights(PACKAGE)
    assert weights is not None
    return weights.folder


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_vectors_equal_the_reference_implementations(model: LocalEmbeddings) -> None:
    packed = base64.b64decode(REFERENCE["vectors_float32_le_base64"])
    expected = np.frombuffer(packed, dtype="<f4").reshape(REFERENCE["shape"])

    vectors = model.embed(REFERENCE["texts"])

    assert len(REFERENCE["texts"]) >= 40
    cosines = np.einsum("ij,ij->i", vectors.astype(np.float64), expected.astype(np.float64))
    assert cosines.min() >= 0.9999


def test_shape_length_and_type(model: Embeddings) -> None:
    vectors = model.embed(MIXED)

    assert (model.model, model.dimension) == ("all-MiniLM-L6-v2", 384)
    assert vectors.shape == (len(MIXED), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert model.embed([]).shape == (0, 384)


def test_a_vector_does_not_depend_on_its_batch(model: LocalEmbeddings) -> None:
    texts = MIXED + [f"{'word ' * number}end" for number in range(40)]
    together = model.embed(texts)
    alone = np.concatenate([model.embed([text]) for text in texts])

    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_same_text_gives_the_same_bytes(model: LocalEmbeddings) -> None:
    assert model.embed(MIXED).tobytes() == model.embed(MIXED).tobytes()


@pytest.mark.parametrize(
    "text", ["\0", "a\0b", "\ud83d alone", "\udc00\ud800", "\U0010ffff", "\ufffe", "\x1b[0m", "́" * 50]
)
def test_any_string_has_a_vector(model: LocalEmbeddings, text: str) -> None:
    assert np.linalg.norm(model.embed([text])[0]) == pytest.approx(1, abs=1e-5)


def test_surrogates_that_are_a_pair_are_their_character(model: LocalEmbeddings) -> None:
    np.testing.assert_array_equal(model.embed(["go \ud83d\ude80"]), model.embed(["go \U0001f680"]))


def test_text_beyond_256_tokens_does_not_count(model: LocalEmbeddings) -> None:
    window = "word " * 254
    cut, longer, shorter = model.embed([window, window + "another ending", "word " * 253])

    np.testing.assert_allclose(cut, longer, atol=1e-6)
    assert not np.allclose(cut, shorter, atol=1e-6)


@pytest.mark.parametrize("unit", ["word ", "x", "汉", " \n", "aé-", "w" * 150 + " "])
def test_a_very_long_text_is_cut_where_the_whole_would_be(model: LocalEmbeddings, unit: str) -> None:
    tokenizer, _ = model._ready()
    text = "start " + unit * (60_000 // len(unit)) + " end"

    assert tokenizer.ids(text) == tokenizer._tokenizer.encode(text).ids


def test_a_word_across_the_first_window_is_read_whole(model: LocalEmbeddings) -> None:
    tokenizer, _ = model._ready()
    # 253 tokens, then spaces up to a word that crosses character 4096 and gives the last token.
    text = ("! " * 253).ljust(4090) + "unbelievably" + " more" * 50

    assert tokenizer.ids(text) == tokenizer._tokenizer.encode(text).ids


def test_a_megabyte_is_quick(model: LocalEmbeddings) -> None:
    text = "many words " * 100_000
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        model.embed([text])
        seconds.append(time.perf_counter() - begin)

    assert min(seconds) < 0.5


def test_threads_share_one_model(cache: Path, model: LocalEmbeddings) -> None:
    fresh = LocalEmbeddings(cache_dir=cache, download=False)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(fresh.embed(MIXED))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 6
    for vectors in found:
        np.testing.assert_allclose(vectors, model.embed(MIXED), atol=1e-6)


def test_importing_and_making_one_loads_nothing() -> None:
    done = run(
        "import sys; from engramia.providers.local import LocalEmbeddings; LocalEmbeddings()\n"
        "print(sorted({'onnxruntime', 'tokenizers', 'onnx', 'pooch', 'urllib.request'} & set(sys.modules)))"
    )

    assert done.stdout.strip() == "[]", done.stderr


def test_a_warm_start_needs_no_onnx(cache: Path, model: LocalEmbeddings) -> None:
    done = run(
        "import sys; from pathlib import Path; from engramia.providers.local import LocalEmbeddings\n"
        f"vectors = LocalEmbeddings(cache_dir=Path({str(cache)!r}), download=False).embed(['x'])\n"
        f"print(vectors.shape, sorted({{'onnx', 'pooch', {PACKAGE!r}}} & set(sys.modules)))"
    )

    assert model.embed(["x"]).shape == (1, 384)
    assert done.stdout.strip() == "(1, 384) []", done.stderr


@pytest.mark.parametrize("missing", ["tokenizers", "onnxruntime", "onnx"])
def test_missing_packages_are_named(tmp_path: Path, missing: str) -> None:
    done = run(
        "import sys; from pathlib import Path; from engramia.providers.local import LocalEmbeddings\n"
        f"sys.modules[{missing!r}] = None\n"
        f"LocalEmbeddings(cache_dir=Path({str(tmp_path)!r}), download=False).load()"
    )

    assert "ProviderNotConfiguredError" in done.stderr
    assert 'pip install "engramia[local]"' in done.stderr


def test_a_given_folder_is_used(official: Path, cache: Path, model: LocalEmbeddings) -> None:
    given = LocalEmbeddings(official, cache, download=False, package="no_such_package", threads=1)

    np.testing.assert_allclose(given.embed(["sort"]), model.embed(["sort"]), atol=1e-6)


def test_a_given_folder_of_links_is_used(official: Path, cache: Path, tmp_path: Path) -> None:
    for name in (WEIGHTS_FILE, TOKENIZER_FILE):
        (tmp_path / name).symlink_to(official / name)

    assert LocalEmbeddings(tmp_path, cache, download=False).embed(["sort"]).shape == (1, 384)


def test_a_given_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProviderNotConfiguredError, match=WEIGHTS_FILE):
        LocalEmbeddings(tmp_path, tmp_path).load()


def test_without_weights_it_says_where_they_can_come_from(tmp_path: Path) -> None:
    with pytest.raises(ProviderNotConfiguredError, match="no-such-package"):
        LocalEmbeddings(cache_dir=tmp_path, download=False, package="no_such_package").load()


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 1000)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, TOKENIZER_FILE])
@pytest.mark.parametrize("damage", [flip, halve, empty])
def test_damaged_weights_are_refused(
    official: Path, cache: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    for file in (WEIGHTS_FILE, TOKENIZER_FILE):
        shutil.copyfile(official / file, tmp_path / file)
    damage(tmp_path / name)

    with pytest.raises(ProviderNotConfiguredError, match=f"{name} is not the official file"):
        LocalEmbeddings(tmp_path, cache).embed(["sort"])


@pytest.mark.parametrize("damage", [flip, halve, empty])
def test_a_damaged_cache_is_rebuilt(
    tmp_path: Path, model: LocalEmbeddings, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    LocalEmbeddings(cache_dir=tmp_path, download=False).load()
    (graph,) = (tmp_path / "graphs").iterdir()
    whole = graph.read_bytes()
    damage(graph)

    vectors = LocalEmbeddings(cache_dir=tmp_path, download=False).embed(["sort"])

    np.testing.assert_allclose(vectors, model.embed(["sort"]), atol=1e-6)
    assert graph.read_bytes() == whole
    assert str(graph) in caplog.text


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, model: LocalEmbeddings, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")

    vectors = LocalEmbeddings(cache_dir=blocked, download=False).embed(["sort"])

    np.testing.assert_allclose(vectors, model.embed(["sort"]), atol=1e-6)
    assert str(blocked) in caplog.text


def test_an_idle_model_burns_no_processor(model: LocalEmbeddings) -> None:
    model.embed(MIXED)
    time.sleep(0.05)
    begin = time.process_time()
    time.sleep(0.5)

    assert time.process_time() - begin < 0.1


def test_a_process_that_embedded_stays_small(cache: Path, model: LocalEmbeddings) -> None:
    done = run(
        "import os, subprocess; from pathlib import Path\n"
        "from engramia.providers.local import LocalEmbeddings\n"
        "texts = [f'{w} {n} ' * (1 + n % 60) for n in range(60) for w in ('sort', 'merge')]\n"
        f"LocalEmbeddings(cache_dir=Path({str(cache)!r}), download=False).embed(texts)\n"
        "status = Path('/proc/self/status')\n"
        "if status.exists():\n"
        "    print(status.read_text().split('VmRSS:')[1].split()[0])\n"
        "else:\n"
        "    print(subprocess.check_output(['ps', '-o', 'rss=', '-p', str(os.getpid())], text=True))"
    )

    assert model.model
    assert int(done.stdout) <= 220_000, done.stderr
