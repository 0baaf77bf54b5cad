"""How durations and delays are written."""

import pytest

from bankbook.cli.options import DelayType
from bankbook.scenario.durations import DURATION_MAX_US, parse_duration_us
from bankbook.server.config import Delay


@pytest.mark.parametrize(
    ("text", "duration_us"),
    [
        ("0", 0),
        ("0s", 0),
        ("2", 2_000_000),
        ("2s", 2_000_000),
        (" 2 s ", 2_000_000),
        ("1.5s", 1_500_000),
        ("0.1s", 100_000),
        ("0.000001s", 1),
        ("500ms", 500_000),
        ("7us", 7),
        ("2m", 120_000_000),
        ("2h", 7_200_000_000),
        ("7d", DURATION_MAX_US),
        ("10080m", DURATION_MAX_US),
    ],
)
def test_a_duration(text: str, duration_us: int) -> None:
    assert parse_duration_us(text) == duration_us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "-1s",
        "+1s",
        "1.s",
        ".5s",
        "1e3s",
        "2w",
        "2 seconds",
        "1,5s",
        "2s2s",
        "0x2s",
        "nan",
        "inf",
        "1_0s",
    ],
)
def test_what_is_no_duration_is_answered_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write one like 2s, 500ms, 1\.5s or 2m"):
        parse_duration_us(text)


def test_an_option_may_take_longer_durations_and_says_which() -> None:
    assert parse_duration_us("366d", 366 * 24 * 3600 * 1_000_000) == 366 * 24 * 3600 * 1_000_000
    with pytest.raises(ValueError, match="longer than 366 days"):
        parse_duration_us("367d", 366 * 24 * 3600 * 1_000_000)


@pytest.mark.parametrize("text", ["10081m", "604801s", "9" * 400 + "s"])
def test_a_duration_longer_than_a_week_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a week"):
        parse_duration_us(text)


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("2s", Delay(2_000_000, 2_000_000)),
        ("0.5s..2s", Delay(500_000, 2_000_000)),
        ("500ms .. 2", Delay(500_000, 2_000_000)),
        ("1s..1s", Delay(1_000_000, 1_000_000)),
    ],
)
def test_a_delay_is_a_duration_or_a_range(text: str, delay: Delay) -> None:
    assert DelayType()(text) == delay


@pytest.mark.parametrize("text", ["..", "1s..", "..1s", "2s..1s", "1s...2s", "1s-2s", "1s..2s..3s"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(Exception, match=r"is not a duration|ends before it begins"):
        DelayType()(text)
