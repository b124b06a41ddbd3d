import gc

from engramia.api.pauses import short_pauses


def test_what_a_full_collection_found_alive_is_not_looked_at_again() -> None:
    kept = [{"number": number} for number in range(1_000)]
    before = gc.get_freeze_count()
    with short_pauses():
        gc.collect()
        assert gc.get_freeze_count() > before + len(kept)
        assert not any(found is kept for found in gc.get_objects())
    assert gc.get_freeze_count() == 0
    assert any(found is kept for found in gc.get_objects())


def test_young_objects_are_looked_over_less_often_while_the_service_runs() -> None:
    before = gc.get_threshold()
    with short_pauses():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before


def test_young_collections_set_nothing_apart() -> None:
    before = gc.get_freeze_count()
    with short_pauses():
        gc.collect(0)
        gc.collect(1)
        assert gc.get_freeze_count() == before


def test_what_was_set_apart_is_still_freed_by_its_last_reference() -> None:
    class Watched:
        ended = 0

        def __del__(self) -> None:
            Watched.ended += 1

    watched = Watched()
    with short_pauses():
        gc.collect()
        del watched
        assert Watched.ended == 1
