"""What may stand in a bank.toml, and what is said of one that is wrong."""

import re
from pathlib import Path

import pytest

from bankbook.server.bank_file import (
    _DEFAULTS,
    BankFile,
    BankFileError,
    BranchPlace,
    new_bank_file,
    parse_bank_file,
    read_bank_file,
)

PATH = Path("/somewhere/bank.toml")

TWO = """
cluster = "ours"
[[branch]]
id = 2
address = "127.0.0.1:7002"
[[branch]]
id = 1
address = "127.0.0.1:7001"
"""


def parsed(text: str) -> BankFile:
    return parse_bank_file(text.encode(), PATH)


def complaint(text: str) -> str:
    with pytest.raises(BankFileError) as refusal:
        parsed(text)
    message = str(refusal.value)
    assert message.startswith(str(PATH)), "it names the file"
    return message.removeprefix(str(PATH)).removeprefix(": ")


def test_the_least_that_a_bank_needs() -> None:
    bank = parsed(TWO)
    assert bank.cluster == "ours"
    assert bank.addresses == {1: "127.0.0.1:7001", 2: "127.0.0.1:7002"}
    assert list(bank.addresses) == [1, 2], "in ascending order, however they stand in the file"
    assert (bank.hold_limit_us, bank.key_retention_days, bank.drain_us) == (30_000_000, 30, 5_000_000)
    assert bank.log_retention_days is None
    assert bank.configs(Path("data"))[0].settings().log_retention_us is None
    assert (bank.durable, bank.currency, bank.token_key_path, bank.log_level) == (0, "", None, "info")


def test_every_setting() -> None:
    bank = parsed(
        TWO.replace("id = 1\n", 'id = 1\nlisten = "0.0.0.0:07001"\n')
        + """
[defaults]
currency = "EUR"
durable = 1
hold_limit_s = 1.5
key_retention_days = 7
log_retention_days = 8
drain_s = 0
token_key_file = "secret/token.key"
log_level = "error"
"""
    )
    assert bank.places[0] == BranchPlace(bank.places[0].branch, "127.0.0.1:7001", "0.0.0.0:7001")
    assert (bank.hold_limit_us, bank.key_retention_days, bank.drain_us) == (1_500_000, 7, 0)
    assert bank.log_retention_days == 8
    assert (bank.durable, bank.currency, bank.log_level) == (1, "EUR", "error")
    assert bank.token_key_path == Path("/somewhere/secret/token.key"), "beside the file that names it"


def test_an_address_may_be_a_name_or_of_the_sixth_version() -> None:
    bank = parsed(
        TWO.replace("127.0.0.1:7001", "branch-1.bank.example:80").replace("127.0.0.1:7002", "[::1]:65535")
    )
    assert bank.addresses == {1: "branch-1.bank.example:80", 2: "[::1]:65535"}


@pytest.mark.parametrize(
    ("line", "place", "expected"),
    [
        ('clutser = "x"', "clutser", "no such setting; there are cluster, branch, defaults"),
        ("[defaults]\ncurency = 'EUR'", "[defaults] curency", "no such setting"),
        ("[defaults]\nhold_limit_s = '30s'", "[defaults] hold_limit_s", "expected seconds"),
        ("[defaults]\nhold_limit_s = 0", "[defaults] hold_limit_s", "above 0"),
        ("[defaults]\nhold_limit_s = true", "[defaults] hold_limit_s", "expected seconds"),
        ("[defaults]\nhold_limit_s = nan", "[defaults] hold_limit_s", "expected seconds"),
        ("[defaults]\nhold_limit_s = 1e99", "[defaults] hold_limit_s", "at most a week"),
        ("[defaults]\ndrain_s = -1", "[defaults] drain_s", "0 or more"),
        ("[defaults]\nkey_retention_days = 0", "[defaults] key_retention_days", "from 1 to"),
        ("[defaults]\nlog_retention_days = 29", "[defaults] log_retention_days", "write at least 30"),
        ("[defaults]\nkey_retention_days = 1.5", "[defaults] key_retention_days", "whole number"),
        ("[defaults]\ndurable = 2", "[defaults] durable", "of which there are 1; write 0 to 1"),
        ("[defaults]\ndurable = -1", "[defaults] durable", "from 0 to"),
        ("[defaults]\ncurrency = 978", "[defaults] currency", "expected a name"),
        ("[defaults]\nlog_level = 'loud'", "[defaults] log_level", "one of debug, info, warning, error"),
        ("[defaults]\ntoken_key_file = ''", "[defaults] token_key_file", "name of a file"),
        ("[[branch]]\nid = 1\naddress = 'a:1'", "[[branch]] 3, id", "branch 1 stands here twice"),
        ("[[branch]]\nid = 3\naddress = '127.0.0.1:07001'", "[[branch]] 3, address", "is branch 1's already"),
        ("[[branch]]\nid = 0\naddress = 'a:1'", "[[branch]] 3, id", "from 1 to 256"),
        ("[[branch]]\nid = '3'\naddress = 'a:1'", "[[branch]] 3, id", "found '3'"),
        ("[[branch]]\nid = true\naddress = 'a:1'", "[[branch]] 3, id", "found True"),
        ("[[branch]]\nid = 3", "[[branch]] 3, address", "it is missing"),
        ("[[branch]]\naddress = 'a:1'", "[[branch]] 3, id", "it is missing"),
        ("[[branch]]\nid = 3\naddress = 'a'", "[[branch]] 3, address", '"host:port"'),
        ("[[branch]]\nid = 3\naddress = 'a:0'", "[[branch]] 3, address", '"host:port"'),
        ("[[branch]]\nid = 3\naddress = 'a:65536'", "[[branch]] 3, address", '"host:port"'),
        ("[[branch]]\nid = 3\naddress = 'a b:1'", "[[branch]] 3, address", '"host:port"'),
        ("[[branch]]\nid = 3\naddress = '::1:7000'", "[[branch]] 3, address", '"host:port"'),
        ("[[branch]]\nid = 3\naddress = 'a:1'\nport = 1", "[[branch]] 3, port", "id, address, listen"),
        ("[branches]", "branches", "no such setting"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(line: str, place: str, expected: str) -> None:
    text = TWO.replace("\n[[branch]]", f"\n{line}\n[[branch]]", 1) if "[" not in line else f"{TWO}\n{line}"
    told = complaint(text)
    assert told.startswith(f"{place}: "), told
    assert expected in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "cluster: it is missing"),
        ('cluster = "ours"', "has 1 to 256 branches; here are 0"),
        ('cluster = "ours"\nbranch = 3', "each written [[branch]]; found 3"),
        ('cluster = "ours"\n[branch]\nid = 1', "each written [[branch]]"),
        (f"defaults = 1\n{TWO}", "written [defaults]; found 1"),
        (TWO.replace('"ours"', '"../ours"'), "cluster: expected a name"),
        (TWO.replace('"ours"', "7"), "found 7"),
        (TWO.replace('"ours"', f'"{"x" * 500}"'), "xxx..."),
        ('cluster = "ours\nx = 1', "at line 1, column"),
        ('cluster = "a"\ncluster = "b"\nx = 1', "at line 2"),
        ("a = " + "[" * 5000, "is not TOML"),
    ],
)
def test_a_file_that_is_no_bank(text: str, expected: str) -> None:
    told = complaint(text)
    assert expected in told
    assert len(told) < 300


def test_more_branches_than_a_bank_can_have() -> None:
    rows = "".join(f'[[branch]]\nid = {n}\naddress = "a:{n}"\n' for n in range(1, 258))
    assert "here are 257" in complaint(f'cluster = "ours"\n{rows}')


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, expected in (
        (tmp_path / "bank.toml", "write one with `bankbook init`"),
        (tmp_path, "Is a directory"),
        (tmp_path / "latin", "byte 11 is not UTF-8"),
        (tmp_path / "large", "is it a bank.toml?"),
    ):
        if path.name == "latin":
            path.write_bytes(b'cluster = "\xe4"')
        if path.name == "large":
            path.write_bytes(b"#" * 1_000_001)
        with pytest.raises(BankFileError) as refusal:
            read_bank_file(path)
        assert expected in str(refusal.value)
        assert str(path) in str(refusal.value)


@pytest.mark.parametrize("branches", [1, 3, 256])
def test_a_new_file_can_be_read_and_so_can_its_suggestions(branches: int) -> None:
    text = new_bank_file("ours", "127.0.0.1", 7000, branches)
    bank = parsed(text)
    assert bank.cluster == "ours"
    assert bank.addresses == {number: f"127.0.0.1:{7000 + number}" for number in range(1, branches + 1)}
    suggested = parsed(
        "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines())
    )
    defaults = parsed(TWO)
    assert suggested.hold_limit_us == defaults.hold_limit_us, "what is suggested is what holds anyway"
    assert suggested.key_retention_days == defaults.key_retention_days
    assert (suggested.drain_us, suggested.durable) == (defaults.drain_us, defaults.durable)
    assert (suggested.currency, suggested.token_key_path) == ("EUR", Path("/somewhere/token.key"))


def test_the_branches_are_configured_alike_and_apart(tmp_path: Path) -> None:
    (tmp_path / "token.key").write_bytes(b"0123456789abcdef0123456789abcdef\n")
    path = tmp_path / "bank.toml"
    path.write_text(TWO + '[defaults]\ntoken_key_file = "token.key"\nlog_level = "error"\n')
    bank = read_bank_file(path)
    first, second = bank.configs(tmp_path / "data", tmp_path / "log")
    assert (first.branch, second.branch) == (1, 2)
    assert first.genesis == second.genesis
    assert first.genesis.opening_balance is None, "accounts are opened one by one"
    assert (first.data, second.data) == (tmp_path / "data" / "branch-1", tmp_path / "data" / "branch-2")
    assert (first.listen, second.listen) == ("127.0.0.1:7001", "127.0.0.1:7002")
    assert first.token_key == second.token_key == b"0123456789abcdef0123456789abcdef"
    assert (first.log_level, first.log_file) == ("error", tmp_path / "log")
    assert bank.config_of(2, tmp_path / "data", tmp_path / "log") == second
    with pytest.raises(BankFileError, match="there is no branch 3; there are 1, 2"):
        bank.config_of(3, tmp_path)


@pytest.mark.parametrize(("key", "expected"), [(None, "openssl rand -hex 32 >"), (b"short", "has 5 bytes")])
def test_a_key_that_cannot_sign_is_refused(tmp_path: Path, key: bytes | None, expected: str) -> None:
    path = tmp_path / "bank.toml"
    path.write_text(TWO + '[defaults]\ntoken_key_file = "token.key"\n')
    if key is not None:
        (tmp_path / "token.key").write_bytes(key)
    with pytest.raises(BankFileError) as refusal:
        read_bank_file(path).configs(tmp_path)
    assert expected in str(refusal.value)
    assert "token_key_file" in str(refusal.value)


def test_every_setting_is_explained_and_the_example_can_be_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "bank.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `\[defaults\]` `(\w+)` \|", page, re.MULTILINE))
    assert documented == set(_DEFAULTS)
    example = re.search(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert example is not None
    assert parsed(example[1]).currency == "EUR"
