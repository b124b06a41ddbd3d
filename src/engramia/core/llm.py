"""What the operations that ask a language model need from one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from engramia.errors import ProviderError, ProviderNotConfiguredError


@dataclass(frozen=True, slots=True)
class Question:
    """One structured question: instructions, material, and the JSON Schema that the answer must have.

    `schema` is an object schema in the subset that vendors enforce: every property required,
    `additionalProperties` false, no numeric bounds. `name` labels it, `[a-z_]{1,64}`.
    """

    name: str
    instructions: str
    material: str
    schema: Mapping[str, Any]
    temperature: float | None = None
    """0 to 1; None leaves the vendor's own."""


class LLM(Protocol):
    """A language model that answers structured questions. Thread-safe."""

    @property
    def vendor(self) -> str:
        """Return whose it is, such as `openai`."""
        ...

    @property
    def model(self) -> str:
        """Return the model's name as the vendor knows it."""
        ...

    def ask(self, question: Question) -> object:
        """Return the decoded JSON of the answer, not yet checked against anything.

        Raises `ProviderBusyError` when too many calls wait already, `ProviderOutputError` when the answer is
        no JSON, and the other `ProviderError`s for what went wrong with the vendor, all within one deadline.
        """
        ...


@runtime_checkable
class Panel(LLM, Protocol):
    """An LLM that takes several questions at once."""

    def ask_all(self, questions: Sequence[Question]) -> Sequence[object | ProviderError]:
        """Ask all questions at the same time; return each one's answer, or the error it ended in, in order.

        Raises `ProviderBusyError`, before anything is sent, when there is no room for all of them.
        """
        ...


@runtime_checkable
class Probed(LLM, Protocol):
    """An LLM that can tell whether it would answer without being paid for an answer."""

    def probe(self) -> bool:
        """Return once the vendor has said that it knows the key and the model; False if nobody can be asked.

        Raises the `ProviderError` that says what is wrong, within a few seconds.
        """
        ...


def probe(llm: LLM) -> bool:
    """Probe `llm` if it can be; False if it cannot."""
    # By name: a wrapper that hands through whatever it does not know is no `Probed` by its class.
    ask = getattr(llm, "probe", None)
    return ask is not None and bool(ask())


@dataclass(frozen=True, slots=True)
class UnconfiguredLLM:
    """Stands where a model was asked for that could not be made, so that what needs none goes on."""

    why: str
    vendor: str = "none"
    model: str = "none"

    def ask(self, question: Question) -> object:  # noqa: ARG002 - the port's
        """Raise `ProviderNotConfiguredError` with the reason."""
        raise ProviderNotConfiguredError(self.why)

    def probe(self) -> bool:
        """Raise `ProviderNotConfiguredError` with the reason."""
        raise ProviderNotConfiguredError(self.why)
