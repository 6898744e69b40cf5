"""Secrets are found in every spelling that servers and libraries give them, and covered byte for byte."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from runner import scrub
from runner.settings import load

KEYS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="*\x00"), min_size=scrub.LEAST, max_size=60
)
AROUND = st.binary(max_size=7)


@given(KEYS, AROUND, AROUND)
@example("s3cr3t/k+y=", b"Bearer ", b"\r\n")
@example("a\"b\\c&<d>'", b"", b"")
def test_no_spelling_of_a_secret_stays(key: str, before: bytes, after: bytes) -> None:
    assume(key.lower() not in scrub.NO_SECRETS)
    scrubber, raw = scrub.Scrubber([key]), key.encode()
    encoded = [base64.b64encode, base64.urlsafe_b64encode]
    whole = [encode(before + raw + after) for encode in encoded]
    said = [raw, raw.hex().encode(), html.escape(key).encode()]
    said += [how(key, safe="").encode() for how in (quote, quote_plus)]
    said += [
        json.dumps(key)[1:-1].encode(),
        json.dumps(json.dumps(key))[3:-3].encode(),
        repr(key)[1:-1].encode(),
    ]
    for told in said:
        text = before + told + after
        clean = scrubber.data(text)
        assert len(clean) == len(text) and told not in clean
    for text in whole:
        clean = scrubber.data(text)
        assert len(clean) == len(text) and b"*" in clean
        kept = base64.b64decode(clean.translate(bytes.maketrans(b"*-_", b"A+/")))
        # At the edges one byte of it may share a character with what stands beside it; no more is told.
        assert raw[1:-1] not in kept


def test_what_is_short_or_a_word_that_local_servers_take_is_no_secret() -> None:
    scrubber = scrub.Scrubber(["", "abc", "EMPTY", "ollama", "lm-studio"])
    assert not scrubber
    assert scrubber.text("ollama says abc") == "ollama says abc"


def test_text_with_what_is_no_unicode_comes_through() -> None:
    scrubber = scrub.Scrubber(["s3cr3t-key"])
    assert scrubber.text("\ud800 s3cr3t-key é") == "\ud800 ********** é"


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.integers(1, 40), max_size=12))
def test_a_stream_is_clean_however_it_is_cut(before: bytes, after: bytes, cuts: list[int]) -> None:
    whole = before + b"canary-0123456789" + after + b"canary-0123456789"
    pieces, at = [], 0
    for cut in [*cuts, len(whole)]:
        pieces.append(whole[at : at + cut])
        at += cut
    scrubber = scrub.Scrubber(["canary-0123456789"])
    assert b"".join(scrubber.stream(pieces)) == scrubber.data(whole)


def test_a_file_is_cleaned_in_place_and_gone_on_with_where_it_has_grown(tmp_path: Path) -> None:
    path, scrubber = tmp_path / "log", scrub.Scrubber(["canary-0123456789"])
    with path.open("ab", buffering=0) as log:
        log.write(b"one canary-0123456789 two cana")
        node = path.stat().st_ino
        at = scrubber.file(path)
        assert path.read_bytes() == b"one ***************** two cana"
        log.write(b"ry-0123456789 three")
        scrubber.file(path, at)
    assert path.read_bytes() == b"one ***************** two ***************** three"
    assert path.stat().st_ino == node


def test_a_large_file_is_cleaned_across_the_pieces_it_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub, "PIECE", 100)
    path, scrubber = tmp_path / "log", scrub.Scrubber(["canary-0123456789"])
    for shift in range(0, 130, 7):
        path.write_bytes(b"x" * shift + b"canary-0123456789" + b"y" * 90 + b"canary-0123456789")
        scrubber.file(path)
        assert path.read_bytes() == b"x" * shift + b"*" * 17 + b"y" * 90 + b"*" * 17


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("canary-0123456789")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "log").symlink_to(tmp_path / "mine")
    scrubber = scrub.Scrubber(["canary-0123456789"])
    scrubber.folder(tmp_path / "in")
    with pytest.raises(OSError):
        scrubber.file(tmp_path / "in" / "log")
    assert (tmp_path / "mine").read_text() == "canary-0123456789"


def test_which_values_are_secret(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(
        'judge_key = "from-the-file"\nproxy = "http://me:pass%2Fword@proxy:80"\n'
    )
    (tmp_path / "key").touch()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password of-netrc\n")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "token").write_text("hf_in_a_file\n")
    environ = {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hub"),
        "MIREPOIX_SETTINGS": str(tmp_path / "settings.toml"),
        "MIREPOIX_ENDPOINT_KEYS": "one=key-of-one, two=key=of-two",
        "MIREPOIX_HUB_TOKEN": "hf_of_settings",
        "MIREPOIX_CONTACT": "me@example.org",
        "HF_TOKEN": "hf_of_libraries",
        "WANDB_API_KEY": "of-wandb",
        "AWS_ACCESS_KEY_ID": "AKIA0000",
        "https_proxy": "user:of-proxy@proxy:3128",
        "SSH_KEY": str(tmp_path / "key"),
        "SORT_KEY": "created",
        "WANDB_KEY": "created",
        "PATH": "/usr/bin",
        "TOKENIZERS_PARALLELISM": "false",
    }
    wanted = {
        "from-the-file", "pass%2Fword", "pass/word", "key-of-one", "key=of-two", "hf_of_settings", "hf_of_libraries",
        "of-wandb", "AKIA0000", "of-proxy", "of-netrc", "hf_in_a_file", "created",
    }  # fmt: skip
    assert scrub.secrets(environ) == wanted
    assert scrub.secrets({"HOME": str(tmp_path / "none")}, load(environ)) == {
        "from-the-file", "pass%2Fword", "pass/word", "key-of-one", "key=of-two", "hf_of_settings",
    }  # fmt: skip


def test_a_settings_file_that_cannot_be_read_hides_no_variable(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "MIREPOIX_SETTINGS": str(tmp_path / "none"),
        "HF_TOKEN": "hf_of_libraries",
    }
    assert scrub.secrets(environ) == {"hf_of_libraries"}
