"""The LangGraph store: what a graph puts into it is there, also for another graph and by other words."""

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("langgraph", reason="LangGraph is in the environment of the adapters only")

from typing import TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import InvalidNamespaceError, PutOp

from engramia import Memory, ValidationError
from engramia.providers import JSONStorage
from engramia.sdk.langgraph import EngramiaStore

USERS = ("users", "mia")
PREFERENCE = {"text": "Mia wants all tables as CSV with a semicolon.", "weight": 3}


@pytest.fixture
def store(memory: Memory) -> EngramiaStore:
    return EngramiaStore(memory)


def test_what_is_put_is_got_and_gone_once_deleted(store: EngramiaStore) -> None:
    store.put(USERS, "tables", PREFERENCE)
    item = store.get(USERS, "tables")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (USERS, "tables", PREFERENCE)
    assert item.created_at == item.updated_at
    assert store.get(USERS, "other") is None
    assert store.get(("users",), "tables") is None
    store.delete(USERS, "tables")
    assert store.get(USERS, "tables") is None
    store.delete(USERS, "tables")


def test_putting_again_replaces_the_value_and_keeps_when_it_was_made(
    store: EngramiaStore, memory: Memory
) -> None:
    store.put(USERS, "tables", PREFERENCE)
    first = store.get(USERS, "tables")
    store.put(USERS, "tables", {"text": "Mia wants Excel now."})
    second = store.get(USERS, "tables")
    assert first is not None
    assert second is not None
    assert second.value == {"text": "Mia wants Excel now."}
    assert second.created_at == first.created_at
    assert second.updated_at > first.updated_at
    assert memory.metrics().pattern_count == 1


def test_items_with_the_same_text_are_two(store: EngramiaStore) -> None:
    for key in ("one", "two"):
        store.put(USERS, key, PREFERENCE)
    assert sorted(item.key for item in store.search(USERS)) == ["one", "two"]


def test_search_finds_by_words_below_a_namespace(store: EngramiaStore) -> None:
    store.put(USERS, "tables", PREFERENCE)
    store.put(USERS, "colour", {"text": "Her favourite colour is green."})
    store.put(("users", "leo"), "tables", {"text": "Leo wants all tables as CSV with a comma."})
    found = store.search(USERS, query="tables as CSV")
    assert found[0].key == "tables"
    assert found[0].namespace == USERS
    assert found[0].score is not None
    assert {item.namespace for item in store.search(("users",), query="tables as CSV")} == {
        USERS,
        ("users", "leo"),
    }
    assert store.search(("others",), query="tables as CSV") == []


def test_search_filters_and_pages(store: EngramiaStore) -> None:
    for number in range(60):
        store.put(
            ("notes",), f"n{number}", {"text": f"note {number}", "number": number, "even": number % 2 == 0}
        )
    assert len(store.search(("notes",), limit=100)) == 60
    high = store.search(("notes",), filter={"number": {"$gte": 50}, "even": True}, limit=100)
    assert sorted(item.value["number"] for item in high) == [50, 52, 54, 56, 58]
    pages = [store.search(("notes",), limit=25, offset=offset) for offset in (0, 25, 50)]
    assert [len(page) for page in pages] == [25, 25, 10]
    assert len({item.key for page in pages for item in page}) == 60
    assert store.search(("notes",), filter={"text": {"$gt": 5}}) == []
    with pytest.raises(ValidationError, match=r"no operator '\$near'"):
        store.search(("notes",), filter={"number": {"$near": 5}})


def test_index_chooses_what_is_searched(store: EngramiaStore) -> None:
    value = {"title": "Median of prices", "body": "an unrelated giraffe"}
    store.put(("docs",), "titled", value, index=["title"])
    store.put(("docs",), "hidden", value, index=False)
    assert [item.key for item in store.search(("docs",), query="median of prices")] == ["titled"]
    assert "giraffe" not in store._memory.list_patterns().items[-1].task
    assert len(store.search(("docs",))) == 2


def test_namespaces_are_listed(store: EngramiaStore) -> None:
    for namespace in (("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c"), ("z",)):
        store.put(namespace, "k", {"n": 1})
    assert store.list_namespaces() == [("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c"), ("z",)]
    assert store.list_namespaces(prefix=("a", "b")) == [("a", "b", "c"), ("a", "b", "d")]
    assert store.list_namespaces(suffix=("c",)) == [("a", "b", "c"), ("a", "x", "c")]
    assert store.list_namespaces(prefix=("a", "*"), suffix=("c",)) == [("a", "b", "c"), ("a", "x", "c")]
    assert store.list_namespaces(max_depth=2) == [("a", "b"), ("a", "x"), ("z",)]
    assert store.list_namespaces(limit=1, offset=1) == [("a", "b", "d")]


def test_under_asyncio(store: EngramiaStore) -> None:
    async def used() -> tuple[object, int, object]:
        await store.aput(USERS, "tables", PREFERENCE)
        item = await store.aget(USERS, "tables")
        found = await store.asearch(USERS, query="tables")
        await store.adelete(USERS, "tables")
        return item and item.value, len(found), await store.alist_namespaces()

    assert asyncio.run(used()) == (PREFERENCE, 1, [])


def test_what_cannot_be_stored_is_refused(store: EngramiaStore) -> None:
    with pytest.raises(ValidationError, match="has to be JSON"):
        store.put(USERS, "k", {"value": object()})
    with pytest.raises(ValidationError, match="at most 62 labels"):
        store.put(tuple("abcdefghij" * 7), "k", {"n": 1})
    with pytest.raises(InvalidNamespaceError):
        store.put((), "k", {"n": 1})
    with pytest.raises(NotImplementedError):
        store.put(USERS, "k", {"n": 1}, ttl=5)


def test_secrets_in_values_are_redacted_and_the_item_stays_readable(store: EngramiaStore) -> None:
    store.put(USERS, "key", {"password": "hunter2secret!", "n": 4915112345678})
    item = store.get(USERS, "key")
    assert item is not None
    assert item.value == {"password": "[REDACTED:password]", "n": 4915112345678}


def test_any_name_is_found_again(store: EngramiaStore) -> None:
    names = [f"{letter}{number}" for letter in ("+49 151 12345678 ", "ä漢", "-_") for number in range(15)]
    store.batch([PutOp((name, "n"), name, {"n": name[:1]}) for name in names])
    assert all(store.get((name, "n"), name) for name in names)


class Talk(TypedDict):
    said: str
    answer: str


def test_a_graph_reads_what_another_process_s_graph_wrote(tmp_path: Path) -> None:
    def node(state: Talk, runtime: Runtime[None]) -> dict[str, str]:
        assert runtime.store is not None
        known = runtime.store.search(USERS, query=state["said"])
        runtime.store.put(USERS, "last", {"text": state["said"]})
        return {"answer": known[0].value["text"] if known else "nothing"}

    def asked(said: str) -> str:
        with Memory(embeddings=None, llm=None, storage=JSONStorage(tmp_path)) as memory:
            builder = StateGraph(Talk)
            builder.add_node("node", node)
            builder.add_edge(START, "node")
            builder.add_edge("node", END)
            graph = builder.compile(store=EngramiaStore(memory))
            return str(graph.invoke({"said": said, "answer": ""})["answer"])

    assert asked("Tables should be CSV.") == "nothing"
    assert asked("How should tables be?") == "Tables should be CSV."
