"""Which addresses are fetched at all: how they are read, which are public, what the user's settings add."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import UsageError
from runner.fetching import Unfetched
from runner.net import guard, urls
from runner.net.failures import Again, NotPublic
from runner.net.guard import Guard, literal, public
from runner.net.transfer import stay_secure
from runner.settings import SETTINGS, Settings


def settings(**values: str) -> Settings:
    return Settings({name: s.default for name, s in SETTINGS.items()} | values, {})


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("http://a.example", "http://a.example/"),
        ("HTTP://A.Example:80/x/../y?q=1#there", "http://a.example/y?q=1"),
        ("https://a.example:443/", "https://a.example/"),
        ("https://a.example:80/", "https://a.example:80/"),
        ("http://bücher.example/ä b?q=ü", "http://xn--bcher-kva.example/%C3%A4%20b?q=%C3%BC"),
        ("http://[2606:4700::1111]:8080/", "http://[2606:4700::1111]:8080/"),
        (" http://a.example/ ", "http://a.example/"),
    ],
)
def test_addresses_have_one_form(text: str, same: str) -> None:
    assert urls.parse(text).text == same
    assert urls.parse(same).text == same


@pytest.mark.parametrize(
    "text",
    [
        "", "a.example", "//a.example/", "http://", "http:///x", "ftp://a.example/", "file:///etc/hostname",
        "data:text/plain,hello", "javascript:alert(1)", "http://user@a.example/", "http://user:word@a.example/",
        "http://a.example\\@b.example/", "http://a.example:0/", "http://a.example:99999/", "http://a.example:x/",
        "http://a b.example/", "http://a%00b.example/", "http://a.example/\nHost: b", "http://a.example/\0",
        "http://[::1%25lo]/", "http://[::1/", "http://\udc80/", "http://a.example/" + "x" * 8000,
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(Unfetched):
        urls.parse(text)


@given(st.text(max_size=40) | st.from_regex(r"https?://[^/]{0,12}(/.{0,12})?", fullmatch=True))
def test_any_text_is_an_address_in_its_one_form_or_refused(text: str) -> None:
    try:
        address = urls.parse(text)
    except Unfetched:
        return
    assert urls.parse(address.text) == address
    assert address.text.isascii() and not set(address.text) & set("\r\n\t #")


def test_links_are_joined_and_checked() -> None:
    base = urls.parse("https://a.example/x/y?z=1")
    assert urls.join(base, "../w?q").text == "https://a.example/w?q"
    assert urls.join(base, "//b.example/").text == "https://b.example/"
    for bad in ("file:///etc/hostname", "//u:p@b.example/", "http://[", "mailto:a@b.example"):
        with pytest.raises(Unfetched):
            urls.join(base, bad)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.0.0.2", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "192.88.99.1",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::",
        "2002:c0a8:101::1", "2001::1", "2001:db8::1", "3fff::1", "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "5f00::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not public(ip_address(address))
    with pytest.raises(NotPublic, match="not a public one"):
        Guard(settings()).addresses(address, 80)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_addresses_that_are_public(address: str) -> None:
    assert public(ip_address(address))
    assert Guard(settings()).addresses(address, 80) == [ip_address(address)]


@pytest.mark.parametrize(
    "host", ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "127.0.0.1.", "1.2.3.4.5", "x.0x7f000001"]
)
def test_addresses_in_odd_writing_are_refused(host: str) -> None:
    with pytest.raises(Unfetched, match="odd way"):
        literal(host)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Each lookup gets the next of the answers; the names that were looked up."""
    asked: list[str] = []
    left = iter(answers)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(left)]

    monkeypatch.setattr(guard.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_every_address_of_a_name_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["8.8.8.8", "8.8.4.4"], ["8.8.8.8", "10.0.0.1"], ["127.0.0.1"])
    guarded = Guard(settings())
    assert guarded.addresses("a.example", 80) == [ip_address("8.8.8.8"), ip_address("8.8.4.4")]
    with pytest.raises(NotPublic, match=r"10\.0\.0\.1 of a\.example"):
        guarded.addresses("a.example", 80)
    with pytest.raises(NotPublic):
        guarded.addresses("a.example", 80)


def test_settings_open_exactly_one_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = Guard(
        settings(allow="127.0.0.1:8765, [::1]:80,box.example:8000", teacher_url="http://10.0.0.9:8000/v1")
    )
    assert guarded.addresses("127.0.0.1", 8765) and guarded.addresses("::1", 80)
    assert guarded.addresses("10.0.0.9", 8000)
    for host, port in [("127.0.0.1", 8766), ("127.0.0.2", 8765), ("::1", 8765), ("10.0.0.9", 80)]:
        with pytest.raises(NotPublic):
            guarded.addresses(host, port)
    resolving(monkeypatch, ["10.0.0.1"], ["10.0.0.1"], ["127.0.0.1"])
    assert guarded.addresses("box.example", 8000) == [ip_address("10.0.0.1")]
    with pytest.raises(NotPublic):
        guarded.addresses("box.example", 8001)
    with pytest.raises(NotPublic):  # another name for an allowed address is not that name
        guarded.addresses("evil.example", 8765)


def test_a_default_service_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["127.0.0.1"])
    with pytest.raises(NotPublic):
        Guard(settings()).addresses("gutendex.com", 443)


@pytest.mark.parametrize(
    "allow", ["127.0.0.1", "http://127.0.0.1:80", "a:b", "127.0.0.1:0", "u@h:1", "::1:80"]
)
def test_a_bad_allow_is_said(allow: str) -> None:
    with pytest.raises(UsageError, match="setting allow"):
        Guard(settings(allow=allow))


def test_a_bad_service_address_is_said() -> None:
    with pytest.raises(UsageError, match="setting teacher_url"):
        Guard(settings(teacher_url="localhost:8000"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pace", "0"), ("pace", "-1"), ("pace", "nan"), ("pace", "fast"), ("pace", ""), ("at_once", "inf"),
        ("allow", "foo"), ("allow", "127.0.0.1"), ("gutendex_url", "ftp://a.example"), ("proxy", "socks5://127.0.0.1:1"),
    ],
)  # fmt: skip
def test_settings_that_no_fetch_could_use_are_said_before_there_is_one(name: str, value: str) -> None:
    guard.check(settings())
    with pytest.raises(UsageError, match=f"^setting {name}: "):
        guard.check(settings(**{name: value}))


def test_names_that_cannot_be_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(code: int) -> Any:
        def getaddrinfo(*_: Any, **__: Any) -> None:
            raise socket.gaierror(code, "no")

        return getaddrinfo

    monkeypatch.setattr(guard.socket, "getaddrinfo", fails(socket.EAI_AGAIN))
    with pytest.raises(Again, match="cannot be looked up now"):
        guard.lookup("a.example", 80)
    monkeypatch.setattr(guard.socket, "getaddrinfo", fails(socket.EAI_NONAME))
    with pytest.raises(Unfetched, match=r"no host 'a\.example'"):
        guard.lookup("a.example", 80)


def test_a_label_that_is_too_long_is_no_host() -> None:
    with pytest.raises(Unfetched, match="no host"):
        guard.lookup("x" * 64 + ".example", 80)


def test_behind_a_proxy_what_can_be_checked_is(monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = Guard(settings(proxy="http://user:word@10.0.0.1:3128", allow="127.0.0.1:8765"))
    assert guarded.addresses("10.0.0.1", 3128)
    guarded.behind_proxy("127.0.0.1", 8765)
    for host in ("127.0.0.1", "169.254.169.254", "localhost", "x.localhost", "localhost.", "0x7f.1"):
        with pytest.raises(Unfetched):
            guarded.behind_proxy(host, 80)
    resolving(monkeypatch, ["10.0.0.5"], ["8.8.8.8"])
    with pytest.raises(NotPublic):
        guarded.behind_proxy("inside.example", 80)
    guarded.behind_proxy("outside.example", 80)

    def nothing(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no")

    monkeypatch.setattr(guard.socket, "getaddrinfo", nothing)
    guarded.behind_proxy("only-the-proxy-knows.example", 80)


def test_https_never_falls_back_to_http_unasked() -> None:
    guarded = Guard(settings(allow="127.0.0.1:8765"))
    here = urls.parse("https://www.example.org/a")
    same = stay_secure(here, urls.parse("http://www.example.org/b"), guarded)
    assert same.text == "https://www.example.org/b"
    for there in ("http://example.org/b", "http://www.example.org:8080/b"):
        with pytest.raises(Unfetched, match="plain http"):
            stay_secure(here, urls.parse(there), guarded)
    assert stay_secure(here, urls.parse("http://127.0.0.1:8765/"), guarded).scheme == "http"
    assert stay_secure(urls.parse("http://a.example/"), here, guarded) == here


def test_secrets_are_sent_and_never_shown() -> None:
    secrets = urls.Secrets({"appid": "k/e y+1"}, {"Authorization": "Bearer abcdef"})
    address = secrets.strip(urls.parse("http://a.example/w?q=1&appid=old"))
    assert address.text == "http://a.example/w?q=1"
    assert secrets.sent(address).text == "http://a.example/w?q=1&appid=k%2Fe+y%2B1"
    assert secrets.sent(urls.parse("http://a.example/w")).text == "http://a.example/w?appid=k%2Fe+y%2B1"
    assert secrets.strip(urls.parse("http://a.example/?appid=x")).text == "http://a.example/"
    assert (
        secrets.hide("no k/e y+1, k%2Fe%20y%2B1, k%2Fe+y%2B1 or abcdef here")
        == "no ***, ***, *** or *** here"
    )
    assert secrets.strip(urls.parse("http://b.example/in/abcdef/x")).text == "http://b.example/in/***/x"
