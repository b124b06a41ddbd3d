"""Asking language models: the one that is configured, several at once, and what a failure comes to."""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from engramia.core.fence import Fence
from engramia.core.llm import LLM, Panel, Question, UnconfiguredLLM
from engramia.errors import (
    ProviderBusyError,
    ProviderError,
    ProviderLimitedError,
    ProviderNotConfiguredError,
    ProviderOutputError,
    ProviderRefusedError,
    ProviderTimeoutError,
    ProviderUnreachableError,
)

type Answer = object | ProviderError
"""Decoded JSON, or the error that the question ended in."""
type Asked = tuple[LLM, Question]

# What no waiting heals comes first, then what says when to come again.
_MOST_TELLING = (
    ProviderNotConfiguredError,
    ProviderRefusedError,
    ProviderLimitedError,
    ProviderBusyError,
    ProviderTimeoutError,
    ProviderUnreachableError,
    ProviderError,
)


def configured(llm: LLM | None, operation: str) -> LLM:
    """Return `llm`, or raise `ProviderNotConfiguredError` with the settings that would make one."""
    if llm is None:
        raise ProviderNotConfiguredError(
            f"{operation} asks a language model, and none is configured: set ENGRAMIA_LLM_PROVIDER to openai "
            "or anthropic and OPENAI_API_KEY or ANTHROPIC_API_KEY, or pass llm= to Memory."
        )
    if isinstance(llm, UnconfiguredLLM):
        raise ProviderNotConfiguredError(llm.why)
    return llm


def new_fence() -> Fence:
    """Return a fence whose nonce nobody can know yet."""
    return Fence(secrets.token_hex(16))


def ask_together(asked: Sequence[Asked]) -> list[Answer]:
    """Ask all at the same time and return the answers in order.

    Questions to a `Panel` go to it together, since it has threads of its own; any other model gets a thread
    for each of its questions. The caller's thread does the first share.
    """
    shares = _shares(asked)
    answers: list[Answer] = [None] * len(asked)

    def work(share: list[int]) -> None:
        found = _ask(asked[share[0]][0], [asked[place][1] for place in share])
        for place, answer in zip(share, found, strict=True):
            answers[place] = answer

    if len(shares) == 1:
        work(shares[0])
    elif shares:
        with ThreadPoolExecutor(len(shares) - 1, thread_name_prefix="engramia-judge") as threads:
            others = [threads.submit(work, share) for share in shares[1:]]
            work(shares[0])
            for other in others:
                other.result()
    return answers


def read[T](answer: Answer, parse: Callable[[object], T]) -> T | ProviderError:
    """Return the answer as `parse` reads it, or the error that kept it from being read."""
    if isinstance(answer, ProviderError):
        return answer
    try:
        return parse(answer)
    except ProviderOutputError as error:
        return error


def most_telling(errors: Sequence[ProviderError]) -> ProviderError:
    """Return the error, of at least one, that says most about what the caller can do."""
    return min(errors, key=_rank)


def _rank(error: ProviderError) -> int:
    return next(rank for rank, kind in enumerate(_MOST_TELLING) if isinstance(error, kind))


def _shares(asked: Sequence[Asked]) -> list[list[int]]:
    """Return the places of what is asked, those of one panel together."""
    shares: dict[tuple[int, int], list[int]] = {}
    for place, (llm, _) in enumerate(asked):
        own = 0 if isinstance(llm, Panel) else place
        shares.setdefault((id(llm), own), []).append(place)
    return list(shares.values())


def _ask(llm: LLM, questions: Sequence[Question]) -> Sequence[Answer]:
    try:
        if isinstance(llm, Panel):
            return llm.ask_all(questions)
        return [llm.ask(question) for question in questions]
    except ProviderError as error:
        return [error] * len(questions)
