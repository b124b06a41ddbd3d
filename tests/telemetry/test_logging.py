import asyncio
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Never

import pytest
import structlog
import uvicorn
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from starlette.concurrency import run_in_threadpool

from engramia.core.redaction import Redactor
from engramia.telemetry import logging as telemetry_logging
from engramia.telemetry.facts import EXCEPTION_MAX_CHARS, FACT_MAX_CHARS, MESSAGE_MAX_CHARS
from engramia.telemetry.logging import bind, bound, carried, clear, logger, unbind
from tests.telemetry.conftest import Log, MakeLog

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
KEY = "sk_engramia_" + "0aB" * 12

log_of = logger("engramia.test")


def raised[E: Exception](error: E) -> E:
    """Return `error` with a traceback."""
    try:
        raise error
    except type(error):
        return error


class Unprintable:
    def __str__(self) -> Never:
        raise RuntimeError("no words")


class Unreadable(dict[str, object]):
    def items(self) -> Never:
        raise RuntimeError("no items")


class TestFields:
    def test_a_line_has_every_field_and_its_facts(self, log: Log) -> None:
        with bound(request_id="r-1", tenant_id="acme", project_id="web"):
            log_of.warning("Learned a pattern", pattern_key="patterns/x", count=3, ratio=0.5, ok=True)
        line = log.last
        assert RFC3339.fullmatch(line.pop("timestamp"))
        assert line == {
            "level": "WARNING",
            "message": "Learned a pattern",
            "logger": "engramia.test",
            "request_id": "r-1",
            "tenant_id": "acme",
            "project_id": "web",
            "trace_id": None,
            "pattern_key": "patterns/x",
            "count": 3,
            "ratio": 0.5,
            "ok": True,
        }

    def test_the_standard_library_goes_the_same_way(self, log: Log) -> None:
        with bound(request_id="r-2"):
            logging.getLogger("somebody.else").error("%d of %s", 3, "four", extra={"path": "/x"})
        line = log.last
        assert (line["level"], line["message"], line["logger"]) == ("ERROR", "3 of four", "somebody.else")
        assert (line["request_id"], line["path"]) == ("r-2", "/x")

    def test_structlog_configured_by_itself_goes_the_same_way(self, log: Log) -> None:
        structlog.get_logger("theirs").info("Hello %s", "you", fact=1)
        assert (log.last["message"], log.last["logger"], log.last["fact"]) == ("Hello you", "theirs", 1)

    def test_a_fact_cannot_take_a_fields_place(self, log: Log) -> None:
        log_of.info("true", level="DEBUG", message="false", timestamp="never", logger="x", trace_id="y")
        line = log.last
        assert (line["level"], line["message"], line["logger"]) == ("INFO", "true", "engramia.test")
        assert (line["fact_level"], line["fact_message"], line["fact_trace_id"]) == ("DEBUG", "false", "y")

    def test_less_than_the_level_is_not_written(self, make_log: MakeLog) -> None:
        log = make_log(json=True, level="warning")
        log_of.info("quiet")
        logging.getLogger("x").info("quiet")
        log_of.warning("loud")
        assert [line["message"] for line in log.lines] == ["loud"]

    def test_an_exception_is_one_field(self, log: Log) -> None:
        log_of.error("It failed", exc_info=raised(ValueError("the cause")))
        assert log.text.count("\n") == 1
        assert log.last["exception"].startswith("Traceback (most recent call last):\n")
        assert log.last["exception"].endswith("ValueError: the cause")
        logging.getLogger("x").error("It failed, too", exc_info=raised(KeyError("k")))
        assert log.last["exception"].endswith("KeyError: 'k'")

    def test_the_exception_at_hand_is_found(self, log: Log) -> None:
        try:
            int("x")
        except ValueError:
            log_of.exception("It failed")
        assert log.last["exception"].endswith("invalid literal for int() with base 10: 'x'")

    def test_the_trace_of_the_present_span(self, log: Log) -> None:
        tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
        with tracer.start_as_current_span("work") as span:
            log_of.info("inside")
        assert log.last["trace_id"] == format(span.get_span_context().trace_id, "032x")
        assert trace.get_current_span() is trace.INVALID_SPAN

    def test_warnings_of_the_language_are_lines_as_well(self, log: Log) -> None:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=False)
            logging.captureWarnings(capture=True)
            warnings.warn("old hat", DeprecationWarning, stacklevel=1)
        assert log.last["logger"] == "py.warnings"
        assert "old hat" in log.last["message"]


class TestConfiguring:
    def test_again_replaces_what_was(self, make_log: MakeLog) -> None:
        first, second = make_log(json=True), make_log(json=True)
        log_of.info("once")
        assert (first.text, len(second.lines)) == ("", 1)

    def test_handlers_of_others_stay(self, make_log: MakeLog) -> None:
        theirs = logging.NullHandler()
        logging.getLogger().addHandler(theirs)
        make_log(json=True)
        assert theirs in logging.getLogger().handlers

    def test_uvicorn_writes_through_it(self, make_log: MakeLog) -> None:
        uvicorn.Config("app:none").configure_logging()  # what uvicorn does without `log_config=None`
        log = make_log(json=True)
        uvicorn.Config("app:none", log_config=None, log_level=None).configure_logging()
        logging.getLogger("uvicorn.access").info(
            '%s - "%s %s HTTP/%s" %d', "10.0.0.9:1", "GET", "/v1/version", "1.1", 200
        )
        logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "\x1b[1mStarted"})
        access, start = log.lines
        assert access["message"] == '10.0.0.9:1 - "GET /v1/version HTTP/1.1" 200'
        assert "color_message" not in start

    def test_a_logger_works_before_anything_is_configured(self, caplog: pytest.LogCaptureFixture) -> None:
        logger("engramia.early").warning("early")
        assert [record.name for record in caplog.records] == ["engramia.early"]


class TestForPeople:
    def test_a_line(self, make_log: MakeLog) -> None:
        log = make_log(json=False)
        with bound(request_id="r-1"):
            log_of.info("Learned", key="patterns/x", note="two words", empty="", n=2)
        assert re.fullmatch(
            r"\S+Z INFO     engramia\.test: Learned request_id=r-1 key=patterns/x "
            r'note="two words" empty="" n=2\n',
            log.text,
        )

    def test_nothing_in_it_can_forge_a_line_or_colour_one(self, make_log: MakeLog) -> None:
        log = make_log(json=False)
        log_of.info("one\nERROR two\r\x1b[31mred\u2028three", fact="a\nb", other="\x9b31m")
        (line,) = log.text.splitlines()
        assert line.isprintable()
        log_of.error("failed", exc_info=raised(ValueError("first\nsecond\x1b[2J")))
        head, *block = log.text.splitlines()[1:]
        assert head.endswith("failed")
        assert block[-2:] == ["    ValueError: first", "    second\\x1b[2J"]


class TestContext:
    def test_fields_are_bound_and_unbound(self, log: Log) -> None:
        bind(request_id="r", job_id=7)
        log_of.info("both")
        unbind("job_id", "never_bound")
        log_of.info("one")
        clear()
        log_of.info("none")
        assert [(line["request_id"], line.get("job_id")) for line in log.lines] == [
            ("r", 7),
            ("r", None),
            (None, None),
        ]

    def test_a_block_gives_back_what_was_bound(self, log: Log) -> None:
        with bound(request_id="outer"):
            with bound(request_id="inner"):
                log_of.info("")
            log_of.info("")
        assert [line["request_id"] for line in log.lines] == ["inner", "outer"]

    def test_tasks_do_not_see_each_others(self, log: Log) -> None:
        async def handle(name: str, turn: asyncio.Barrier) -> None:
            bind(request_id=name)
            await turn.wait()
            await run_in_threadpool(log_of.info, name)

        async def serve() -> None:
            turn = asyncio.Barrier(8)
            await asyncio.gather(*(handle(f"r{number}", turn) for number in range(8)))

        asyncio.run(serve())
        assert len(log.lines) == 8
        assert all(line["request_id"] == line["message"] for line in log.lines)

    def test_a_pool_of_ones_own_carries_them(self, log: Log) -> None:
        together = threading.Barrier(4, timeout=10)

        def work(number: int) -> int:
            together.wait()  # one context is entered by four threads at once
            log_of.info("at work")
            bind(request_id="changed inside")
            return number * 2

        with bound(request_id="r-9"), ThreadPoolExecutor(4) as pool:
            assert list(pool.map(carried(work), range(4))) == [0, 2, 4, 6]
            log_of.info("outside")
        assert {line["request_id"] for line in log.lines} == {"r-9"}

    def test_without_it_they_stay_behind(self, log: Log) -> None:
        with ThreadPoolExecutor(1) as pool, bound(request_id="r-9"):
            pool.submit(log_of.info, "alone").result()
        assert log.last["request_id"] is None


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            f"refused {KEY}",
            "refused sk_engramia_short1",
            "Authorization: Bearer s3cr3t-short1",
            "authorization=Basic s3cr3t-short1",
            "{'authorization': 'Bearer s3cr3t-short1'}",
            '{"Authorization": "s3cr3t-short1"}',
            "(b'authorization', b'Bearer s3cr3t-short1')",
            "X-API-Key: s3cr3t-short1",
            "Cookie: sid=s3cr3t-short1",
            "with Bearer s3cr3t-short1 it said",
            "postgresql://app:s3cr3t-short1@db/engramia",
        ],
    )
    @pytest.mark.parametrize("json", [True, False])
    def test_none_is_written_wherever_it_stands(self, make_log: MakeLog, text: str, json: bool) -> None:
        log = make_log(json=json)
        log_of.info(text)
        log_of.info("%s", text)
        log_of.info("fact", fact=text, deep=[{"in": (text,)}], **{text: 1})
        logging.getLogger("x").info("args %s", text)
        with bound(request_id=text):
            log_of.info("bound")
        log_of.error("raised", exc_info=raised(RuntimeError(text)))
        assert log.handler.lost == 0
        assert not any(secret in log.text for secret in (KEY, "short1"))

    @pytest.mark.parametrize("name", ["password", "Authorization", "x-api-key", "smtp_password", "id_token"])
    def test_a_fact_named_like_a_secret_is_hidden(self, log: Log, name: str) -> None:
        log_of.info("fact", **{name: "plain"}, nested={name: ["plain"]})
        assert "plain" not in log.text

    def test_one_across_the_cut_is_not_left_in_half(self, log: Log) -> None:
        for place in range(MESSAGE_MAX_CHARS - len(KEY) - 1, MESSAGE_MAX_CHARS):
            log_of.info("%s %s", "x" * (place - 1), KEY)
        assert "sk_engramia_0aB" not in log.text

    def test_what_looks_like_none_stays(self, log: Log) -> None:
        log_of.info("Recalled 3 patterns", tokens=5, tier="duplicate", key="patterns/01j9", author="k_17")
        assert (log.last["tokens"], log.last["key"], log.last["author"]) == (5, "patterns/01j9", "k_17")


class TestBounds:
    def test_long_texts_are_cut_and_say_so(self, log: Log) -> None:
        log_of.info("m" * 100_000, fact="f" * 100_000)
        log_of.error("", exc_info=raised(ValueError("e" * 100_000 + " the end")))
        first, second = log.lines
        assert len(first["message"]) < MESSAGE_MAX_CHARS + 100
        assert first["message"].endswith("(100000 characters)")
        assert len(first["fact"]) < FACT_MAX_CHARS + 100
        assert len(second["exception"]) < EXCEPTION_MAX_CHARS + 100
        assert second["exception"].endswith("the end")

    def test_wide_and_deep_facts_are_cut(self, log: Log) -> None:
        endless: list[object] = []
        endless.append(endless)
        log_of.info("wide", items=range(10), many=list(range(10_000)), endless=endless)
        assert len(log.last["many"]) == 50
        assert len(log.text) < 2_000
        log_of.info("many", **{f"f{number}": number for number in range(1_000)})
        assert len(log.last) < 70


class TestNeverRaises:
    @pytest.mark.parametrize(
        ("fact", "shown"),
        [
            (object, "<class 'object'>"),
            (Unprintable(), "<unreadable: RuntimeError>"),
            (Unreadable(), "<unreadable: RuntimeError>"),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            (10**30, "1" + "0" * 30),
            (10**5000, "<unreadable: ValueError>"),
            (b"\xff\x00", "<2 bytes>"),
            ("\ud800", "\\ud800"),
            ({1: {2}}, {"1": [2]}),
            ({Unprintable(): 1}, {"<unreadable: RuntimeError>": 1}),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_for_whatever_fact(self, make_log: MakeLog, fact: object, shown: object) -> None:
        log = make_log(json=True)
        log_of.info("fact", fact=fact)
        assert log.last["fact"] == shown
        assert log.handler.lost == 0

    def test_for_a_message_that_cannot_be_made(self, make_log: MakeLog) -> None:
        log = make_log(json=True)
        logging.getLogger("x").warning("%d", "no number")
        log_of.info("%d", "no number")
        log_of.info(Unprintable())  # type: ignore[arg-type] # what a careless caller does
        assert [line["message"] for line in log.lines] == ["A log line could not be written."] * 3
        assert log.lines[0]["error"] == "TypeError"
        assert log.handler.lost == 3

    def test_for_a_stream_that_is_closed(self, log: Log) -> None:
        log.stream.close()
        log_of.error("lost")
        logging.getLogger("x").error("lost")
        assert log.handler.lost == 2

    def test_for_a_stream_that_fails(self, make_log: MakeLog) -> None:
        class Full(io.StringIO):
            def write(self, _text: str) -> int:
                raise OSError(28, "No space left on device")

        log = make_log(json=True)
        log.handler.setStream(Full())
        log_of.error("lost")
        assert log.handler.lost == 1

    def test_a_redactor_that_fails_lets_nothing_through(self, make_log: MakeLog) -> None:
        class Broken:
            def redact(self, text: str) -> str:
                raise RuntimeError(f"broken by {text}")

            def suspects(self, texts: Sequence[str]) -> bool:
                raise RuntimeError(f"broken by {texts}")

        make_log(json=True)
        stream = io.StringIO()
        telemetry_logging.configure("INFO", json=True, redactor=Broken(), stream=stream)
        log_of.info("password hunter2", fact="hunter2")
        assert "hunter2" not in stream.getvalue()

    def test_a_stream_of_few_letters_gets_question_marks(self, make_log: MakeLog) -> None:
        make_log(json=True)
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        telemetry_logging.configure("INFO", json=True, redactor=Redactor(), stream=stream)
        log_of.info("Größe €")
        assert json.loads(raw.getvalue())["message"] == "Gr??e ?"

    def test_an_interrupt_is_no_error(self, log: Log) -> None:
        class Interrupting(Mapping[str, object]):
            def __getitem__(self, _key: str) -> Never:
                raise KeyboardInterrupt

            def __iter__(self) -> Iterator[str]:
                yield "a"

            def __len__(self) -> int:
                return 1

        with pytest.raises(KeyboardInterrupt):
            log_of.info("stop", fact=Interrupting())
        assert log.text == ""


def test_many_threads_write_whole_lines(log: Log) -> None:
    def work(number: int) -> None:
        for _ in range(50):
            log_of.info("line", fact="x" * 500, number=number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(log.lines) == 400


def test_the_default_stream_is_standard_error(make_log: MakeLog, capsys: pytest.CaptureFixture[str]) -> None:
    make_log(json=True)
    telemetry_logging.configure("INFO", json=True, redactor=Redactor())
    log_of.info("told")
    captured = capsys.readouterr()
    assert (captured.out, json.loads(captured.err)["message"]) == ("", "told")
    assert sys.stderr is not None
