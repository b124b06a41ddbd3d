"""A small server on a real socket that speaks both vendors' APIs, and misbehaves when told to."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

from engramia.providers import AnthropicProvider, OpenAIProvider
from engramia.providers.structured import StructuredLLM
from tests.providers.openai_server import OpenAIServer, Reply, Request, failure, openai_server, raw

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
USUAL = '{"score": 7.5, "why": "It does what it says."}'


@contextmanager
def llm_server() -> Iterator[OpenAIServer]:
    """Serve both vendors' APIs on a free port of this machine until the block ends."""
    with openai_server() as state:
        forget(state)
        yield state


def forget(server: OpenAIServer) -> None:
    """Begin anew: nothing was asked, nothing is scripted, and every answer is the usual one."""
    server.requests.clear()
    server.script.clear()
    server.usual |= {CHAT: chat(USUAL), MESSAGES: message(USUAL)}


def chat(text: object, end: str = "stop", refusal: str | None = None) -> Reply:
    """Answer these words as OpenAI does."""
    said = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "finish_reason": end, "logprobs": None, "message": said}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return raw(json.dumps(body).encode())


def message(text: object, end: str = "end_turn") -> Reply:
    """Answer these words as Anthropic does: the thoughts first, the text in two blocks."""
    half = len(text) // 2 if isinstance(text, str) else 0
    words = [text[:half], text[half:]] if isinstance(text, str) else [text]
    blocks: list[dict[str, Any]] = [{"type": "thinking", "thinking": "{}", "signature": "s"}]
    blocks += [{"type": "text", "text": word, "citations": None} for word in words]
    body = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks}
    return raw(json.dumps(body | {"stop_reason": end, "stop_sequence": None, "usage": {}}).encode())


def anthropic_failure(status: int, told: str = "no", kind: str | None = None, **headers: str) -> Reply:
    """Answer an error in Anthropic's shape."""
    body = {"type": "error", "error": {"type": kind or "api_error", "message": told}, "request_id": "req_1"}
    return raw(json.dumps(body).encode(), status, **headers)


def stalled(seconds: float) -> Reply:
    """Send the beginning of a body and then nothing more."""

    def reply(handler: BaseHTTPRequestHandler, _request: Request) -> None:
        _begin(handler, 5000)
        handler.wfile.write(b'{"choices": [')
        handler.wfile.flush()
        time.sleep(seconds)
        handler.close_connection = True

    return reply


class Flood:
    """A body of 64 MB, sent for as long as somebody reads it."""

    size = 64 * 1024 * 1024

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, handler: BaseHTTPRequestHandler, _request: Request) -> None:
        _begin(handler, self.size)
        chunk = b" " * 65_536
        while self.sent < self.size:
            handler.wfile.write(chunk)
            self.sent += len(chunk)


@dataclass(frozen=True)
class Vendor:
    """One vendor's side of what both are tested for."""

    name: str
    provider: Callable[..., StructuredLLM]
    says: Callable[..., Reply]
    fails: Callable[..., Reply]
    path: str

    def make(self, server: OpenAIServer, **options: Any) -> StructuredLLM:
        """Return the provider, pointed at the server."""
        url = server.url if self.name == "openai" else server.url.removesuffix("/v1")
        return self.provider(**{"api_key": "sk-of-a-test", "base_url": url, **options})


VENDORS = (
    Vendor("openai", OpenAIProvider, chat, failure, CHAT),
    Vendor("anthropic", AnthropicProvider, message, anthropic_failure, MESSAGES),
)


def _begin(handler: BaseHTTPRequestHandler, length: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
