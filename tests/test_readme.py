"""Every command and every code block of the README, executed in the order in which a reader types them.

What differs from run to run (times, process ids, ports) is folded before outputs are compared; nothing
else is.
"""

import doctest
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ports import free_port_base

from bankbook.scenario.parse import parse_scenario

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PORT_BASE_IN_README = 50050


class Block(NamedTuple):
    language: str
    text: str


class Command(NamedTuple):
    line: str
    output: str


def own_bank_section() -> str:
    """Return the section whose branches run while the reader types on."""
    text = README.read_text(encoding="utf-8")
    start = text.index("## A bank of your own\n")
    return text[start : text.index("\n## ", start)]


def blocks(language: str, text: str | None = None) -> list[Block]:
    if text is None:
        text = README.read_text(encoding="utf-8").replace(own_bank_section(), "")
    found = [Block(*match.groups()) for match in _BLOCK.finditer(text)]
    return [block for block in found if block.language == language]


def commands(block: Block) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield Command(line, output)


def folded(text: str) -> str:
    """Fold what differs from run to run."""
    text = re.sub(r"process \d+", "process N", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"\bports \d+ to \d+", "ports PORT to PORT", text)
    text = re.sub(r"\b\d\.[0-9a-f]{8}-\d+-\d+\b", "RESERVATION", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "YYYY-MM-DD HH:MM:SS", text)
    text = re.sub(r"\b\d+\.\d+ s", "T s", text)
    text = re.sub(r"\b\d{6,}\b", "MICROSECONDS", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: what the README's commands need, and nothing else."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)
        os.utime(folder / name, (0, 0))  # older than what is installed: make has nothing to install
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """A reader's environment once the virtual environment is active; no make around it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    path = f"{ROOT / '.venv' / 'bin'}:{kept['PATH']}"
    return kept | {"PATH": path}


@pytest.fixture
def port_base() -> int:
    """Three free ports begin after it; the README's own may be taken."""
    return free_port_base(3)


@pytest.fixture
def branches(reader: Path, environment: dict[str, str], port_base: int) -> Iterator[str]:
    """The branches of the README's first block, at free ports; what they said until they were ready."""
    (command,) = commands(blocks("console")[0])
    line = [*command.line.split(), "--port-base", str(port_base)]
    with subprocess.Popen(line, cwd=reader, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in command.output.splitlines()]
            yield "".join(said)
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(30)
    assert status == 0


def with_ports(text: str, port_base: int) -> str:
    for branch in (1, 2):
        text = text.replace(str(_PORT_BASE_IN_README + branch), str(port_base + branch))
    return text


def test_the_branches_say_that_they_are_ready(branches: str) -> None:
    (command,) = commands(blocks("console")[0])
    assert folded(branches) == folded(command.output)


@pytest.mark.usefixtures("branches")
def test_a_stale_read_happens_without_the_token_and_not_with_it(port_base: int) -> None:
    (block,) = blocks("pycon")
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(FoldingChecker(), verbose=False)
    test = parser.get_doctest(with_ports(block.text, port_base), {}, "README", str(README), 0)
    assert len(test.examples) == 9
    told: list[str] = []
    runner.run(test, out=told.append)
    assert not runner.failures, "".join(told)


class FoldingChecker(doctest.OutputChecker):
    def check_output(self, want: str, got: str, _optionflags: int) -> bool:
        return folded(want) == folded(got)


@pytest.mark.usefixtures("branches")
def test_the_program_prints_what_the_readme_says(
    reader: Path, environment: dict[str, str], port_base: int
) -> None:
    (program,), (expected,) = blocks("python"), blocks("text")
    script = reader / "program.py"
    script.write_text(with_ports(program.text, port_base), encoding="utf-8")
    ran = subprocess.run(
        ["python", str(script)],
        cwd=reader,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == expected.text


def test_every_other_command_prints_what_the_readme_says(reader: Path, environment: dict[str, str]) -> None:
    count = 0
    for block in blocks("console")[1:]:
        for command in commands(block):
            ran = subprocess.run(
                ["bash", "-c", command.line],
                cwd=reader,
                env=environment,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert ran.returncode == 0, f"{command.line}\n{ran.stdout}{ran.stderr}"
            if command.output:
                assert folded(ran.stdout) == folded(command.output), command.line
            count += 1
    assert count == 6


def test_a_bank_of_ones_own_does_what_the_readme_says(
    environment: dict[str, str], port_base: int, tmp_path: Path
) -> None:
    branches, customers = blocks("console", own_bank_section())
    env = environment | {"XDG_STATE_HOME": str(tmp_path / "state")}

    def typed(command: Command) -> str:
        ran = subprocess.run(
            ["bash", "-c", command.line],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return ran.stdout

    init, up = commands(branches)
    on_free_ports = init._replace(line=f"{init.line} --port {port_base}")
    assert folded(typed(on_free_ports)) == folded(init.output)
    with subprocess.Popen(
        up.line.split(), cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = "".join(process.stdout.readline() for _ in up.output.splitlines())
            assert folded(said) == folded(up.output)
            for command in commands(customers):
                assert folded(typed(command)) == folded(command.output), command.line
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(30)
    assert status == 0


def test_the_scenario_of_the_readme_can_be_run(
    reader: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (block,) = blocks("json")
    scenario = parse_scenario(block.text, source="README")
    assert len(scenario.customers) == 2
    path = tmp_path / "readme.json"
    path.write_text(block.text, encoding="utf-8")
    ran = subprocess.run(
        ["bankbook", "run", str(path), "-o", str(tmp_path / "out.json")],
        cwd=reader,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_test_command_is_what_continuous_integration_runs() -> None:
    (block,) = blocks("sh")
    assert block.text.strip() == "make test"
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").rstrip().endswith(block.text.strip())


def test_every_test_that_a_module_names_as_its_proof_is_there() -> None:
    missing = [
        f"{module.relative_to(ROOT)}: {proof}"
        for module in (ROOT / "src").rglob("*.py")
        for proof in re.findall(r"tests/[\w/]+(?:\.py|/)", module.read_text(encoding="utf-8"))
        if not (ROOT / proof).exists()
    ]
    assert missing == []


def test_every_file_that_a_page_links_to_is_there() -> None:
    pages = [README, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    missing = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert missing == []
