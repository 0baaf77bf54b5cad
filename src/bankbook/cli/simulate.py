"""`bankbook simulate`: a scenario in virtual time, or random banks under random faults.

Decides exit statuses: of a scenario those of `run`; of seeds 0 where nothing was violated, else 1.
Proof: tests/cli/test_simulate.py.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn

import click
from click.core import ParameterSource

from bankbook.cli import options
from bankbook.cli.ending import BAD_INPUT, COULD_NOT_RUN, VIOLATION, end_like_ctrl_c, fail
from bankbook.cli.explore import Exploration, explore
from bankbook.cli.report import RunReport
from bankbook.cli.run import (
    CarriedOut,
    Plan,
    demand_suitable,
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
from bankbook.scenario.checker import Kind, Verdict
from bankbook.scenario.execute import ask_everywhere, execute, record_ends
from bankbook.scenario.faults import FaultKind
from bankbook.scenario.json_text import BadFileError
from bankbook.scenario.output import OutputError, remove_stale, render, write_whole
from bankbook.scenario.parse import read_scenario
from bankbook.server.config import AccountMode, Delay
from bankbook.server.tasks import first_of
from bankbook.simulation.clock import VirtualLoop, run_in_virtual_time
from bankbook.simulation.faults import ALL_FAULTS
from bankbook.simulation.jobs import jobs_usual
from bankbook.simulation.promises import ViolationError
from bankbook.simulation.run import SimulationSettings, perform, quiet
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
    "--jobs",
    type=click.IntRange(1),
    default=jobs_usual,
    metavar="N",
    help="Of --seeds: in so many processes.  [default: the processors there are]",
)
@click.option("--keep-going", is_flag=True, help="Of --seeds: do not stop at the first seed that fails.")
@options.duration_option(
    "shrink-for",
    "2m",
    "Of --seeds: how long to look for a smaller scenario that fails, too; 0s: not at all.",
)
@click.option(
    "--shrunk",
    "shrunk_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Of --seeds: where that scenario goes.  [default: bankbook-seed-SEED.json]",
)
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write down, line by line, what happened; of --seeds, under the first seed that fails.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="SEED",
    help="Of INPUT: all chance comes from it.",
)
@click.option(
    "--long-ago",
    "has_past",
    is_flag=True,
    help="Of INPUT: there are entries of long before the first customer comes, which are dropped meanwhile.",
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
    jobs: int,
    keep_going: bool,
    shrink_for_us: int,
    shrunk_path: Path | None,
    trace_path: Path | None,
    seed: int,
    has_past: bool,
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
    network, clocks and disks are not. With INPUT it says and writes what `bankbook run` does, at once, and
    does to the bank what INPUT says goes wrong. With --seeds, each bank is held against its books all the
    time; of one that breaks a promise, the seed is told, and the smallest scenario file that is found to
    break it, too. Exit status: 0 done, and nothing was violated; 1 a violation; 2 bad input; 3 it could not
    run.
    """
    if (input_path is None) == (seeds is None):
        raise click.UsageError("name a scenario, or --seeds N, and not both")
    _refuse_what_says_nothing(click.get_current_context(), of_seeds=seeds is not None)
    if input_path is not None:
        bank = BankOptions(accounts=accounts, delay=delay, hold_limit_us=hold_limit_us)
        paths = Paths(input_path, output_path, history_path, trace_path)
        _simulate_scenario(paths, opening_balance, bank, seed, has_past, as_json)
    assert seeds is not None, "one of the two was given"
    settings = SimulationSettings(faults=faults)
    wanted = Exploration(
        range(first, first + seeds), settings, jobs, keep_going, shrink_for_us / 1e6, shrunk_path, trace_path
    )
    end_like_ctrl_c()
    explore(wanted, as_json)


_OF_SEEDS = {"first", "faults", "jobs", "keep_going", "shrink_for_us", "shrunk_path"}
_OF_EITHER = {"input_path", "seeds", "trace_path", "as_json"}


def _refuse_what_says_nothing(context: click.Context, *, of_seeds: bool) -> None:
    """Raise click.UsageError for an option that belongs to the other way to simulate."""
    for param in context.command.params:
        name = str(param.name)
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and name not in _OF_EITHER and (name in _OF_SEEDS) != of_seeds:
            instead = "; the first of --seeds is --first SEED" if name == "seed" else ""
            whose = "a scenario" if of_seeds else "--seeds"
            raise click.UsageError(f"{max(param.opts, key=len)} is of {whose}{instead}")


# A scenario.


class Paths(NamedTuple):
    """Where a scenario is, and where what comes of it goes."""

    input: Path
    output: Path
    history: Path | None
    trace: Path | None


def _simulate_scenario(
    paths: Paths,
    opening_balance: Money | None,
    bank: BankOptions,
    seed: int,
    has_past: bool,
    as_json: bool,
) -> NoReturn:
    input_path, output_path, history_path, trace_path = paths
    try:
        remove_stale(output_path, input_path=input_path)
        remove_stale_history(history_path, input_path, output_path)
        scenario = read_scenario(input_path, opening_balance=opening_balance)
        demand_suitable(scenario, bank.accounts, input_path)
    except BadFileError as error:
        fail(str(error), BAD_INPUT, as_json)
    plan = replace(plan_for(scenario, bank), history_path=history_path)
    try:
        if scenario.is_plain and trace_path is None and not has_past:
            report = _as_run_does(plan, bank, seed, output_path)
        else:
            report = _held_against_books(plan, bank, seed, has_past, output_path, trace_path)
    except ViolationError as error:
        promise, words = error.violation
        fail(f"{promise}: {words} ({what_is_there(output_path)})", VIOLATION, as_json)
    except (BankbookError, OutputError, OSError) as error:
        fail(f"{error} ({what_is_there(output_path)})", COULD_NOT_RUN, as_json)
    finish(report, as_json)


def _held_against_books(
    plan: Plan, bank: BankOptions, seed: int, has_past: bool, output_path: Path, trace_path: Path | None
) -> RunReport:
    """Carry out what the original system cannot, under its faults, every answer being judged at once.

    Raises ViolationError, OutputError, OSError.
    """
    scenario = plan.scenario
    done = perform(
        scenario,
        seed,
        delay=bank.delay,
        hold_limit_us=bank.hold_limit_us,
        keeps_trace=trace_path is not None,
        has_past=has_past,
        record=lambda now_ns: recorder_for(plan, now_ns),
    )
    write_whole(output_path, render(run.results() for run in done.runs))
    if trace_path is not None:
        write_whole(trace_path, "".join(done.report.trace))
    if done.report.violation is not None:
        raise ViolationError.of(done.report.violation)
    judged = done.report.judged.total()
    verdict = Verdict(Kind.PASS, f"Every commit and answer was held against the books: {judged} times.")
    return RunReport(
        done.runs,
        verdict,
        done.agreement,
        len(scenario.branches),
        output_path,
        done.elapsed_s,
        plan.history_path,
    )


def _as_run_does(plan: Plan, bank: BankOptions, seed: int, output_path: Path) -> RunReport:
    loop = VirtualLoop()
    with quiet():
        done = run_in_virtual_time(loop, _carry_out(loop, plan, bank, seed, output_path))
    return judged(done, plan, output_path)


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
