"""An entry is text that every store can keep: UTF-8, and nothing else that a JSON reader might take."""

import pytest

from bankbook.core.encoding import EntryDamagedError, decode_entry

ENTRY = (
    '{"origin":[1,7],"seq":1,"clock":0,"after":[],"customer":"c",'
    '"records":[{"kind":"deposit","postings":[["a",5]]}]%s}'
)


def test_utf8_beside_the_known_fields_is_kept_as_it_came() -> None:
    encoded = (ENTRY % ',"note":"Zürich"').encode()
    assert decode_entry(encoded).encoded == encoded


@pytest.mark.parametrize(
    "encoded",
    [
        (ENTRY % "").encode("utf-16"),
        (ENTRY % "").encode("utf-8-sig"),
        (ENTRY % ',"note":"\ud800"').encode(errors="surrogatepass"),
        (ENTRY % ',"note":"ü"').encode("latin-1"),
    ],
    ids=["UTF-16", "a byte order mark", "half a surrogate pair", "Latin-1"],
)
def test_a_peer_sends_an_entry_in_another_encoding_and_it_is_refused(encoded: bytes) -> None:
    with pytest.raises(EntryDamagedError, match="not an entry"):
        decode_entry(encoded)
