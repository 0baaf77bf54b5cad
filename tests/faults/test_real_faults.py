"""Real branches under every kind of real fault, judged by what their customers were asked and told.

BANKBOOK_FAULT_SECONDS says for how long things go wrong in a round (15), BANKBOOK_FAULT_ROUNDS how many rounds
there are, each with a bank and a seed of its own (1; `make soak`: 15 of a minute); BANKBOOK_SEED is the first one's.
"""

import os
import time
from pathlib import Path

import pytest
from faults.round import Round, kinds_here

from bankbook.checkers import Kind as Verdict

SECONDS = float(os.environ.get("BANKBOOK_FAULT_SECONDS", "15"))
ROUNDS = int(os.environ.get("BANKBOOK_FAULT_ROUNDS", "1"))
SEED = int(os.environ.get("BANKBOOK_SEED", time.time_ns() % 1_000_000))

# Not so short that no connection is given up, not so long that nobody gets anything done.
LONGEST_S = max(2.5, min(SECONDS / 5, 12.0))


@pytest.mark.timeout(240 + 2 * SECONDS)
@pytest.mark.parametrize("number", range(ROUNDS))
async def test_whatever_goes_wrong_every_promise_is_put_to_the_test_and_kept(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    this = Round(SEED + number, SECONDS, LONGEST_S, tmp_path)
    try:
        told = await this.run()
        print(told.report.in_words(), told.struck, told.outcomes)
        assert told.report.kind is Verdict.PASS, told.report.in_words()
        assert {each.name: each.kind for each in told.report.verdicts if each.kind is not Verdict.PASS} == {}
        assert told.bugs == []
        assert set(told.struck) == set(kinds_here())
    except BaseException:
        print(this.in_words())
        raise
