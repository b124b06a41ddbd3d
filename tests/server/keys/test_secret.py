"""The form of a key."""

import zlib

import pytest

from engramia.server.keys.secret import digest_of, is_well_formed, new_secret, shown_prefix


def test_a_fresh_key_is_well_formed_and_like_no_other() -> None:
    made = {new_secret() for _ in range(200)}
    assert len(made) == 200
    assert all(is_well_formed(key.encode()) for key in made)
    assert all(len(key) == len("sk_engramia_") + 36 for key in made)


def test_the_last_six_are_the_crc_32_of_the_thirty_before() -> None:
    key = new_secret()
    body, check = key.removeprefix("sk_engramia_")[:30], key[-6:]
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in check:
        number = number * 62 + alphabet.index(digit)
    assert number == zlib.crc32(body.encode())


def test_one_character_mistyped_is_noticed_wherever_it_is() -> None:
    key = new_secret()
    for place in range(len(key)):
        other = "a" if key[place] != "a" else "b"
        assert not is_well_formed((key[:place] + other + key[place + 1 :]).encode()), place


@pytest.mark.parametrize("form", ["", "sk_engramia_", "my-secret-key", "{key}x", "{shorter}", " {key}"])
def test_what_is_no_key_is_not_well_formed(form: str) -> None:
    key = new_secret()
    assert not is_well_formed(form.format(key=key, shorter=key[:-1]).encode())


def test_what_is_shown_and_stored_tells_the_key_to_nobody() -> None:
    key = new_secret()
    assert shown_prefix(key) == key[:16]
    assert len(digest_of(key.encode(), b"one")) == 32
    assert digest_of(key.encode(), b"one") != digest_of(key.encode(), b"other")
