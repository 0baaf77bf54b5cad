"""`bankbook simulate`: a scenario in virtual time, or random banks under random faults.

Decides exit statuses: of a scenario those of `run`; of seeds 0 where nothing was violated, else 1.
Proof: tests/cli/test_simulate.py.
"""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bankbook.cli import options
from bankbook.cli.ending import BAD_INPUT, COULD_NOT_RUN, VIOLATION, fail
from bankbook.cli.report import print_json, progress_console, telling
from bankbook.cli.run import (
    CarriedOut,
    Plan,
    finish,
    judged,
    plan_for,
    recorder_for,
    remove_stale_history,
    what_is_there,
)
from bankbook.client import BankbookError
from bankbook.client.bank import DEFAULT_TIMEOUT_S
from bankbook.core.ports import Genesis
from bankbook.core.types import Money
from bankbook.scenario.branches import CLUSTER, BankOptions
from bankbook.scenario.execute import ask_everywhere, execute, record_ends
from bankbook.scenario.json_text import BadFileError
from bankbook.scenario.output import OutputError, remove_stale, render, write_whole
from bankbook.scenario.parse import read_scenario
from bankbook.server.config import AccountMode, Delay
from bankbook.server.tasks import first_of
from bankbook.simulation.clock import VirtualLoop, run_in_virtual_time
from bankbook.simulation.faults import ALL_FAULTS, FaultKind
from bankbook.simulation.promises import ViolationError
from bankbook.simulation.run import SimulationReport, SimulationSettings, quiet
from bankbook.simulation.run import simulate as simulate_seed
from bankbook.simulation.world import Terms, World


def _faults(_ctx: click.Context, _param: click.Parameter, text: str | None) -> frozenset[FaultKind]:
    if text is None:
        return ALL_FAULTS
    names = [name.strip() for name in text.split(",") if name.strip() not in ("", "none")]
    for name in names:
        if name not in set(FaultKind):
            known = ", ".join(FaultKind)
            raise click.BadParameter(f"there is no fault {name!r}; there are {known}; or none")
    return frozenset(FaultKind(name) for name in names)


@click.command()
@click.argument("input_path", metavar="[INPUT]", required=False, type=click.Path(path_type=Path))
@click.option("--seeds", type=click.IntRange(1), metavar="N", help="Try N random banks, one for each seed.")
@click.option(
    "--first", type=click.IntRange(0), default=0, show_default=True, metavar="SEED", help="Of --seeds."
)
@click.option(
    "--faults",
    metavar="KIND,...",
    callback=_faults,
    help="What may go wrong under --seeds, such as crash,partition; or none.  [default: everything]",
)
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Of --seeds: write down, line by line, what happened under the first seed that fails.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="SEED",
    help="Of INPUT: all chance comes from it.",
)
@options.output_option
@options.history_option
@options.opening_balance_option
@options.accounts_option
@options.delay_option
@options.hold_limit_option
@options.json_option
def simulate(  # noqa: PLR0913, PLR0917  (one for each option)
    input_path: Path | None,
    seeds: int | None,
    first: int,
    faults: frozenset[FaultKind],
    trace_path: Path | None,
    seed: int,
    output_path: Path,
    history_path: Path | None,
    opening_balance: Money | None,
    accounts: AccountMode,
    delay: Delay,
    hold_limit_us: int,
    as_json: bool,
) -> None:
    """Carry out INPUT in virtual time, or let random banks live through random faults.

    Everything is in one thread of one process, and the same for the same seed: the branches are real, their
    network, clocks and disks are not. With INPUT it says and writes what `bankbook run` does, at once. With
    --seeds, each bank is held against its books all the time; of one that breaks a promise, the seed is
    told. Exit status: 0 done, and nothing was violated; 1 a violation; 2 bad input; 3 it could not run.
    """
    if (input_path is None) == (seeds is None):
        raise click.UsageError("name a scenario, or --seeds N, and not both")
    if input_path is not None:
        options_of_bank = BankOptions(accounts=accounts, delay=delay, hold_limit_us=hold_limit_us)
        paths = Paths(input_path, output_path, history_path)
        _simulate_scenario(paths, opening_balance, options_of_bank, seed, as_json)
    assert seeds is not None, "one of the two was given"
    _explore(range(first, first + seeds), SimulationSettings(faults=faults), trace_path, as_json)


# A scenario.


class Paths(NamedTuple):
    """Where a scenario is, and where what comes of it goes."""

    input: Path
    output: Path
    history: Path | None


def _simulate_scenario(
    paths: Paths,
    opening_balance: Money | None,
    bank: BankOptions,
    seed: int,
    as_json: bool,
) -> NoReturn:
    input_path, output_path, history_path = paths
    try:
        remove_stale(output_path, input_path=input_path)
        remove_stale_history(history_path, input_path, output_path)
        scenario = read_scenario(input_path, opening_balance=opening_balance)
    except BadFileError as error:
        fail(str(error), BAD_INPUT, as_json)
    plan = replace(plan_for(scenario, bank), history_path=history_path)
    loop = VirtualLoop()
    try:
        with quiet():
            done = run_in_virtual_time(loop, _carry_out(loop, plan, bank, seed, output_path))
        report = judged(done, plan, output_path)
    except ViolationError as error:
        fail(f"{error} ({what_is_there(output_path)})", VIOLATION, as_json)
    except (BankbookError, OutputError, OSError) as error:
        fail(f"{error} ({what_is_there(output_path)})", COULD_NOT_RUN, as_json)
    finish(report, as_json)


async def _carry_out(
    loop: VirtualLoop, plan: Plan, options_of_bank: BankOptions, seed: int, output_path: Path
) -> CarriedOut:
    scenario = plan.scenario
    genesis = Genesis(CLUSTER, scenario.branches, scenario.opening_balance)
    terms = Terms(genesis, options_of_bank.delay, options_of_bank.hold_limit_us)
    world = World(loop, seed, terms, recorder_for(plan, lambda: 1000 * loop.now_us))
    return await first_of(_carry_out_at(world, plan, output_path), _fails(world.failed))


async def _carry_out_at(world: World, plan: Plan, output_path: Path) -> CarriedOut:
    for branch in world.branches.values():
        assert branch.life is not None, "it was started"
        await branch.life.driver.joined()
    async with world.client("customers", DEFAULT_TIMEOUT_S) as bank:
        began_s = world.loop.time()
        runs = await execute(plan.scenario, bank, plan.accounts, plan.timeout_s)
        elapsed_s = world.loop.time() - began_s
        text = render(run.results() for run in runs)
        write_whole(output_path, text)
        agreement = await ask_everywhere(plan.scenario, bank, plan.accounts, plan.settle_s)
        await record_ends(bank, agreement)
    return CarriedOut(runs, text, agreement, elapsed_s)


async def _fails(failed: asyncio.Future[None]) -> NoReturn:
    await failed
    raise AssertionError("it only ever fails")


# Seeds.


def _explore(seeds: range, settings: SimulationSettings, trace_path: Path | None, as_json: bool) -> NoReturn:
    began_s = time.monotonic()
    totals: dict[str, Counter[str]] = {"counts": Counter(), "judged": Counter(), "outcomes": Counter()}
    virtual_s, failed = 0.0, list[SimulationReport]()
    console = progress_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for seed in progress.track(seeds, description="seeds"):
            report = simulate_seed(seed, settings)
            virtual_s += report.virtual_s
            for name, total in totals.items():
                total.update(getattr(report, name))
            if report.violation is not None:
                failed.append(report)
                click.echo(f"bankbook: {_in_words(report)}", err=True)
    if failed and trace_path is not None:
        again = simulate_seed(failed[0].seed, replace(settings, keeps_trace=True))
        trace_path.write_text("".join(again.trace), encoding="utf-8")
    _tell(seeds, failed, totals, virtual_s, time.monotonic() - began_s, as_json)
    sys.exit(VIOLATION if failed else 0)


def _as_json(report: SimulationReport) -> dict[str, object]:
    assert report.violation is not None, "it failed"
    promise, words = report.violation
    return {"seed": report.seed, "promise": promise, "violation": words}


def _in_words(report: SimulationReport) -> str:
    assert report.violation is not None, "it failed"
    return (
        f"seed {report.seed}: {report.violation.promise}: {report.violation}\n"
        f"          again: bankbook simulate --seeds 1 --first {report.seed} --trace trace.txt"
    )


def _tell(
    seeds: range,
    failed: list[SimulationReport],
    totals: dict[str, Counter[str]],
    virtual_s: float,
    elapsed_s: float,
    as_json: bool,
) -> None:
    prefix = "fault "
    faults = {
        name.removeprefix(prefix): number
        for name, number in sorted(totals["counts"].items())
        if name.startswith(prefix)
    }
    operations, counts = totals["outcomes"].total(), totals["counts"]
    if as_json:
        print_json(
            {
                "seeds": len(seeds),
                "first": seeds.start,
                "failed": [_as_json(each) for each in failed],
                "operations": operations,
                "outcomes": dict(sorted(totals["outcomes"].items())),
                "messages": counts["sent"],
                "commits": counts["commit"],
                "faults": faults,
                "judged": dict(sorted(totals["judged"].items())),
                "virtual_s": round(virtual_s, 3),
                "elapsed_s": round(elapsed_s, 3),
            }
        )
        return
    with telling() as out:
        for subject, words in (
            ("seeds", f"{len(seeds)}, from {seeds.start}: {len(failed)} failed"),
            ("asked", f"{operations} operations, {counts['sent']} messages, {counts['commit']} commits"),
            ("faults", ", ".join(f"{number} {name}" for name, number in faults.items()) or "none"),
            ("judged", ", ".join(f"{number} {name}" for name, number in sorted(totals["judged"].items()))),
            ("time", f"{virtual_s:.0f} s simulated in {elapsed_s:.1f} s"),
        ):
            out.print(f"{subject:11}{words}", soft_wrap=True, highlight=False)
