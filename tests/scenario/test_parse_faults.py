"""Faults in a file: what they mean, and every way to get them wrong."""

import pytest

from bankbook.scenario.faults import CommitFault, CrashPoint, Fault, FaultKind
from bankbook.scenario.parse import ScenarioError, parse_scenario

FILE = (
    '[{"id":1,"type":"branch","balance":5},{"id":2,"type":"branch","balance":5},'
    '{"id":"ada","type":"customer","events":[]},{"type":"faults","faults":[%s]}]'
)


def parse(faults: str) -> tuple[Fault, ...]:
    return parse_scenario(FILE % faults, source="input.json").faults


def test_a_fault_of_each_kind() -> None:
    text = (
        '{"kind":"delay","delay":"50ms..1.5s"},{"kind":"loss","percent":10,"for":"2s"},'
        '{"kind":"partition","at":"1s","for":"2s","branches":[1]},'
        '{"kind":"broken-stream","at":"1s","branches":[2,1]},'
        '{"kind":"customer-cut-off","branches":[1],"customer":"ada","direction":"answers"},'
        '{"kind":"crash-point","branches":[2],"point":"between write and sync","for":"3s"},'
        '{"kind":"commit-failure","branches":[2],"how":"in doubt and kept"},'
        '{"kind":"clock-jump","branches":[1,2],"by":"-90s"},{"kind":"pause","branches":[1],"for":"1s"}'
    )
    assert parse(text) == (
        Fault(FaultKind.DELAY, delay_us=(50_000, 1_500_000)),
        Fault(FaultKind.LOSS, 0, 2_000_000, percent=10),
        Fault(FaultKind.PARTITION, 1_000_000, 2_000_000, (1,)),  # type: ignore[arg-type]
        Fault(FaultKind.BROKEN_STREAM, 1_000_000, None, (2, 1)),  # type: ignore[arg-type]
        Fault(FaultKind.CUSTOMER_CUT_OFF, branches=(1,), customer="ada", is_to_customer=True),  # type: ignore[arg-type]
        Fault(FaultKind.CRASH_POINT, 0, 3_000_000, (2,), point=CrashPoint.BEFORE_SYNC),  # type: ignore[arg-type]
        Fault(FaultKind.COMMIT_FAILURE, branches=(2,), how=CommitFault.DOUBTFUL_KEPT),  # type: ignore[arg-type]
        Fault(FaultKind.CLOCK_JUMP, branches=(1, 2), by_us=-90_000_000),  # type: ignore[arg-type]
        Fault(FaultKind.PAUSE, 0, 1_000_000, (1,)),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("7", "fault 1: this must be an object that describes a fault, not 7"),
        ('{"at":"1s"}', "`kind` is missing"),
        ('{"kind":"crahs"}', 'not "crahs". Did you mean crash?'),
        ('{"kind":"crash"}', "`branches` is missing"),
        ('{"kind":"crash","branches":[]}', "`branches` is empty. Name at least one"),
        ('{"kind":"crash","branches":[3]}', "there is no branch 3; there are 1, 2"),
        ('{"kind":"crash","branches":[1,1]}', "names one of them twice"),
        ('{"kind":"crash","branches":1}', "`branches` must be an array of branches' numbers, not 1"),
        ('{"kind":"crash","branches":[1],"at":"soon"}', "`at`: 'soon' is not a duration"),
        ('{"kind":"loss"}', "`percent` is missing"),
        ('{"kind":"loss","percent":0}', "`percent` must be a share in percent, from 1 to 100, not 0"),
        ('{"kind":"loss","percent":5,"branches":[1]}', "unknown field `branches`"),
        ('{"kind":"delay","delay":"2s..1s"}', "`delay` ends before it begins"),
        ('{"kind":"delay","delay":"2"}{', "this is not JSON"),
        ('{"kind":"delay","delay":"long"}', "`delay`: 'long' is not a duration"),
        ('{"kind":"partition","branches":[1,2]}', "between some branches and all others; here are no others"),
        ('{"kind":"broken-stream","branches":[1]}', "a stream is between two branches"),
        ('{"kind":"clock-jump","branches":[1],"by":"--1s"}', "`by`: '-1s' is not a duration"),
        ('{"kind":"clock-jump","branches":[1],"by":"1s","for":"1s"}', "unknown field `for`"),
        ('{"kind":"crash-point","branches":[1],"point":"late"}', "must be one of before the write, between"),
        ('{"kind":"commit-failure","branches":[1]}', "`how` is missing"),
        ('{"kind":"customer-cut-off","branches":[1]}', "`customer` is missing"),
        ('{"kind":"customer-cut-off","branches":[1],"customer":"ada"}', "`direction` is missing"),
        (
            '{"kind":"customer-cut-off","branches":[1],"customer":"bob","direction":"requests"}',
            "there is no customer bob",
        ),
    ],
)
def test_a_fault_that_is_none(fault: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=r"^input\.json: ") as refused:
        parse(fault)
    assert words in str(refused.value)
