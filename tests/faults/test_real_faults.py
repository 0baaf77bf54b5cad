"""Real branches under every kind of real fault, judged by what their customers asked and were told.

Each round has a bank and a seed of its own. BANKBOOK_FAULT_ROUNDS says how many there are (1; `make soak`:
12), BANKBOOK_FAULT_SECONDS for how long things go wrong in each (15; 60), BANKBOOK_SEED is the first one's.
"""

import os
import time
from pathlib import Path

import pytest
from faults.faults import Kind as Fault
from faults.round import Round, kinds_here
from faults.small_disk import why_no_small_disk

from bankbook.checkers import Kind as Verdict

ROUNDS = int(os.environ.get("BANKBOOK_FAULT_ROUNDS", "1"))
SECONDS = float(os.environ.get("BANKBOOK_FAULT_SECONDS", "15"))
SEED = os.environ.get("BANKBOOK_SEED")

# Of one fault: from what nobody notices to what outlasts every hold and every connection.
LONGEST_S = max(2.5, SECONDS / 4)


@pytest.mark.timeout(240 + 2 * SECONDS)
@pytest.mark.parametrize("place", range(ROUNDS))
async def test_whatever_goes_wrong_every_promise_is_put_to_the_test_and_kept(
    place: int, tmp_path: Path
) -> None:
    seed = place + (time.time_ns() % 1_000_000 if SEED is None else int(SEED))
    this = Round(seed, SECONDS, LONGEST_S, tmp_path)
    try:
        ending = await this.run()
        print(f"\nseed {seed}: {ending.in_words()}")  # noqa: T201
        if why_no_small_disk():
            print(f"  without {Fault.FULL_DISK}: {why_no_small_disk()}")  # noqa: T201
        assert ending.report.kind is Verdict.PASS, ending.report.in_words()
        assert {each.kind for each in ending.report.verdicts} == {Verdict.PASS}, ending.report.in_words()
        assert ending.bugs == []
        assert set(ending.struck) == set(kinds_here())
        assert not ending.outcomes.keys() & NEVER_TOLD
    except BaseException:
        print(f"\n{this.in_words()}")  # noqa: T201
        raise


# What only a customer's mistake, or one of the bank's, can lead to.
NEVER_TOLD = {"INVALID_REQUEST", "INVALID_TOKEN", "KEY_REUSED", "SAME_ACCOUNT", "UNBALANCED", "BALANCE_LIMIT"}
