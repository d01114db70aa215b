"""Scenario files: what loads, and how each mistake is told, with its place and the nearest valid name."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest
import yaml
from parity_support import git
from pydantic import ValidationError

from pytest_specbench.core.errors import ScenarioError
from pytest_specbench.core.yaml_text import parse
from pytest_specbench.scenarios.loader import LoadedScenario, check_unique, find_scenarios, load_scenario
from pytest_specbench.scenarios.model import Scenario

MINIMAL = """\
scenario_id: hello
display_name: Say hello
command_path: /hello
owner_rotation: team
registry_version: demo==1.0
instruction: Write hello.txt
success_artifacts:
  - path: hello.txt
"""


def write(folder: Path, text: str | bytes, name: str = "a.scenario.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(folder: Path, more: str | bytes = "", **options: object) -> LoadedScenario:
    text = MINIMAL + textwrap.dedent(more) if isinstance(more, str) else more
    return load_scenario(write(folder, text), **options)  # type: ignore[arg-type]


def problems(folder: Path, more: str | bytes, **options: object) -> list[str]:
    """`line: key: message | expected` of every problem of the minimal scenario with `more` after it."""
    with pytest.raises(ScenarioError) as caught:
        load(folder, more, **options)
    assert caught.value.problems
    found = []
    for problem in caught.value.problems:
        assert problem.where is not None
        place = problem.where.removeprefix(f"{folder / 'a.scenario.yaml'}:")
        found.append(f"{place}: {problem.message} | {problem.expected}")
        assert "pydantic" not in str(problem).lower()
        assert "https://" not in str(problem)
        assert not any(words in str(problem) for words in pydantics(folder))
    return found


def pydantics(folder: Path) -> list[str]:
    """What pydantic says of the file, in its own words."""
    try:
        Scenario.model_validate(parse((folder / "a.scenario.yaml").read_bytes()).data)
    except ValidationError as error:
        return [each["msg"] for each in error.errors()]
    return []


def test_a_minimal_file_loads_with_the_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path)

    assert loaded.scenario.scenario_id == "hello"
    assert loaded.scenario.runner.network.agent == "none"
    assert loaded.scenario.metrics_tracked == ("runtime_ms", "peak_memory_mb", "exit_status", "success")
    assert (loaded.path, loaded.folder) == (tmp_path.resolve() / "a.scenario.yaml", tmp_path.resolve())


def test_where_names_the_file_as_it_was_given_the_line_and_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tmp_path)
    monkeypatch.chdir(tmp_path)

    loaded = load_scenario(Path("a.scenario.yaml"))

    assert loaded.where("instruction") == "a.scenario.yaml:6: instruction"
    assert loaded.where("success_artifacts", 0, "path") == "a.scenario.yaml:8: success_artifacts[0].path"
    assert loaded.where("runner", "cpus") == "a.scenario.yaml:1: runner.cpus"
    assert loaded.where() == "a.scenario.yaml:1"


def test_short_metric_names_and_one_network_for_all_phases_are_accepted(tmp_path: Path) -> None:
    load(tmp_path, "metrics_tracked: [memory, success, exit_status, steps]\nthresholds: {steps: 0}\n")
    scenario = load(tmp_path, "metrics_tracked: [runtime, memory]\nrunner: {network: bridge}\n").scenario

    assert scenario.metrics_tracked == ("runtime_ms", "peak_memory_mb")
    assert set(scenario.runner.network.model_dump().values()) == {"bridge"}


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + MINIMAL.encode()).scenario.scenario_id == "hello"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("instrution: x\n", "9: instrution: unknown key 'instrution'"),
        ("runner: {cpu: 2}\n", "9: runner.cpu: unknown key 'cpu'"),
        ("runner:\n  network:\n    agnt: none\n", "11: runner.network.agnt: unknown key 'agnt'"),
        ("model:\n  name: x\n  prices: {input: 1, output: 2, cahed: 1}\n", "11: model.prices.cahed: unknown key"),
        ("verification: {command: 'true', file: x}\n", "9: verification.file: unknown key 'file'"),
        ("limits: {step: 1}\n", "9: limits.step: unknown key 'step'"),
        ("allow: {comands: []}\n", "9: allow.comands: unknown key"),
        ("deadlines: {agent_secs: 1}\n", "9: deadlines.agent_secs: unknown key"),
        ("agent: {nam: x}\n", "9: agent.nam: unknown key"),
        ("prerequisites: [f]\nfixtures: {f: {type: git, brnch: x}}\n", "10: fixtures.f.brnch: unknown key"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_at_any_depth(tmp_path: Path, more: str, told: str) -> None:
    found = problems(tmp_path, more)

    assert found[0].startswith(told)
    assert "the nearest is '" in found[0]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("trials: '3'\n", "9: trials: '3' is text, not a whole number | a whole number, without quotes"),
        ("trials: 2.5\n", "9: trials: 2.5 is a number with a fraction, not a whole number"),
        ("trials: true\n", "9: trials: true is the value true, not a whole number"),
        ("trials: 0\n", "9: trials: 0 is too small | at least 1"),
        ("trials:\n", "9: trials: has no value | a whole number"),
        ("runner: {cpus: many}\n", "9: runner.cpus: 'many' is text, not a number"),
        ("runner: 3\n", "9: runner: 3 is a number, not a mapping | a mapping with the keys image"),
        ("runner: {image: 3}\n", "9: runner.image: 3 is read as a number, not as text | quotes round it: '3'"),
        ("runner: {workdir: /a/../b}\n", "9: runner.workdir: '/a/../b' is not accepted"),
        (
            "environment: {A: 1.10}\n",
            "9: environment.A: 1.10 is read as a number, not as text | quotes round it: '1.10'",
        ),
        ("environment: {A-B: x}\n", "9: environment.A-B: 'A-B' has the wrong form | a variable's name"),
        ("subject: [agnt]\n", "9: subject[0]: 'agnt' is not known here | one of agent, model"),
        ("subject: []\n", "9: subject: has too few entries | at least 1"),
        ("subject: agent\n", "9: subject: is text, not a list | a list"),
        ("approval_mode: ful-access\n", "9: approval_mode: 'ful-access' is not known here | one of minimal"),
        ("runner: {network: nne}\n", "9: runner.network: 'nne' is not known here | one of none, bridge; the nearest"),
        ("thresholds: {runtme: 1}\n", "9: thresholds.runtme: 'runtme' is not known here | one of runtime_ms"),
        (
            "metrics_tracked: [success, steps]\n",
            (
                "9: metrics_tracked[1]: nothing would judge 'steps': it has no threshold | "
                "a threshold for it, in percent, under `thresholds`, for example `steps: 20`"
            ),
        ),
        ("thresholds: {runtime: 1, runtime_ms: 2}\n", "9: thresholds: is not accepted | each name once"),
        ("metrics_tracked: [runtime, runtime_ms]\n", "9: metrics_tracked: is not accepted | each name once"),
        ("agent: {name: x, options: {a: [1]}}\n", "9: agent.options.a: is a list, not text | text or a whole number"),
        ("solution: ../x\n", "9: solution: '../x' is not accepted | a relative path that stays inside"),
        (
            "prerequisites: [f]\nfixtures: {f: {source: x}}\n",
            "10: fixtures.f.type: is missing | one of files, spec-kit",
        ),
        ("prerequisites: [f]\nfixtures: {f: {type: file}}\n", "10: fixtures.f.type: 'file' is not known here"),
        ("prerequisites: [f]\nfixtures: {f: {type: files, files: x}}\n", "10: fixtures.f.source: is missing | File or"),
        ("secrets: [A]\nenvironment: {A: x}\n", "1: A is both in secrets and in environment"),
        (
            "model: {name: m, parameters: {timeout: 30}}\n",
            (
                "9: model.parameters.timeout: 'timeout' is not accepted | what the provider takes, such as "
                "temperature; `request_timeout_sec` beside it says how long"
            ),
        ),
        ("model: {name: m, parameters: {mock_response: x}}\n", "9: model.parameters.mock_response: 'mock_response' is"),
        ("model: {name: m, parameters: {stream: true}}\n", "9: model.parameters.stream: 'stream' is not accepted"),
        ("terminal_size: [1, 40]\n", "9: terminal_size[0]: 1 is too small | at least 20"),
    ],
)
def test_a_wrong_value_is_told_in_a_sentence(tmp_path: Path, more: str, told: str) -> None:
    assert problems(tmp_path, more)[0].startswith(told)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("solution: yes\n", "yes is read as true or false by YAML | quotes round it, 'yes'"),
        ("x: 017\n", "017 is read as a number by YAML | quotes round it, '017'"),
        ("x: 1_000\n", "1_000 is read as a number"),
        ("x: 12:30\n", "12:30 is read as a number"),
        ("x: .inf\n", ".inf is read as a number"),
        ("x: 2026-11-22\n", "2026-11-22 is read as a date by YAML | quotes round it"),
        ("on: x\n", "the key 'on' is not read as text by YAML | a name; in quotes: 'on'"),
        ("3: x\n", "the key '3' is not read as text"),
        ("? [a]\n: x\n", "a list or a mapping is used as a key"),
        ("x: !!python/object:os.system y\n", "has the tag !!python/object:os.system"),
        ("x: !mine {a: b}\n", "has the tag !mine"),
        ('x: "a\\0b"\n', "holds a NUL character"),
        ("x: &a [1]\ny: *a\n", "uses a YAML anchor or alias"),
        ('x: {"a":&a [1],"b":*a }\n', "uses a YAML anchor or alias"),
        ('x: {"a":*a }\n', "uses a YAML anchor or alias"),
        ("x: {<<: {a: b}}\n", "uses a YAML merge key"),
        ("trials: 1\ntrials: 2\n", "the key 'trials' is there twice | it once; it is in line 9 already"),
        ("runner: {cpus: 1, cpus: 2}\n", "the key 'cpus' is there twice"),
        ("---\na: b\n", "holds more than one document"),
        ("runner:\n\tcpus: 1\n", "a tab is used where YAML wants spaces"),
        ("x: [1\n", "is not valid YAML"),
        ("x: \x07\n", "holds the control character '\\x07'"),
        ("x: " + "[" * 500_000, "is nested too deeply"),
        ("x: " + "[" * 100 + "]" * 100 + "\n", ""),
    ],
)
def test_what_yaml_would_misread_is_refused(tmp_path: Path, more: str, told: str) -> None:
    found = problems(tmp_path, more)

    assert any(told in problem for problem in found)
    assert int(found[0].split(":")[0]) > 0


def test_what_the_parser_refuses_is_told_in_its_words_and_with_what_would_be_right(tmp_path: Path) -> None:
    more = "x: a: b\n"
    with pytest.raises(yaml.MarkedYAMLError) as theirs:
        yaml.compose(MINIMAL + more, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    right = "text that holds ': ' in quotes, and keys in line with each other"
    assert problems(tmp_path, more) == [f"9: is not valid YAML: {theirs.value.problem} | {right}"]


@pytest.mark.parametrize("form", ["a{0}: &a{0} [*a{1}, *a{1}]\n", '"a{0}":&a{0} {{"l":*a{1} ,"r":*a{1} }},'])
def test_an_alias_bomb_costs_nothing(tmp_path: Path, form: str) -> None:
    names = "".join(form.format(n, n - 1) for n in range(1, 60))
    bomb = f'x: {{"a0":&a0 "x",{names}}}\n' if form.endswith(",") else f"a0: &a0 [x, x]\n{names}"

    assert "uses a YAML anchor or alias" in problems(tmp_path, bomb)[0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- a\n", "holds a list | a mapping with the keys of a scenario"),
        (b"hello\n", "holds text"),
        (b"scenario_id: a\nx: \xff\n", "is not UTF-8 text"),
        (MINIMAL.encode("utf-16"), "is not UTF-8 text"),
        (b"#" * 1_000_001, "is larger than 1 MB"),
    ],
)
def test_a_file_that_is_no_document_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    assert told in problems(tmp_path, content)[0]


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """\
        trials: 0
        trials: 1
        prerequisites: [tre]
        fixtures:
          tree: {type: files, sorce: x}
        solution: nowhere.sh
        zzz: on
        """,
    )

    assert [problem.split(":")[0] for problem in found] == ["10", "11", "13", "13", "13", "14", "15"]


def test_a_scenario_that_checks_nothing_is_refused(tmp_path: Path) -> None:
    text = MINIMAL.partition("success_artifacts")[0]

    assert "checks nothing cannot fail" in problems(tmp_path, text.encode())[0]
    assert load(tmp_path, (text + "verification: {command: 'true'}\n").encode()).scenario.verification is not None


def test_every_prerequisite_is_a_fixture_and_every_fixture_a_prerequisite(tmp_path: Path) -> None:
    found = problems(tmp_path, "prerequisites: [tre]\nfixtures:\n  tree: {type: git}\n")

    assert found == [
        "9: prerequisites[0]: no fixture is called 'tre' | tree; the nearest is 'tree'",
        "11: fixtures.tree: the fixture 'tree' is not used | its name in prerequisites, or no such fixture",
    ]


def test_the_names_of_checks_are_looked_at_when_they_are_known(tmp_path: Path) -> None:
    more = (MINIMAL + "  - {path: a, check: jsn}\n  - {path: b, check: 'mine:check'}\n").encode()

    assert load(tmp_path, more)
    assert problems(tmp_path, more, known_checks=["json", "yaml"]) == [
        "9: success_artifacts[1].check: no check is called 'jsn' | one of json, yaml; the nearest is 'json'"
    ]


NAMING = {
    "solution": "solution: {}\n",
    "verification.files": "verification: {{command: 'true', files: {}}}\n",
    "model.name": "model: {{name: 'replay:{}'}}\n",
    "fixtures.f.source": "prerequisites: [f]\nfixtures: {{f: {{type: files, source: {}}}}}\n",
}


@pytest.mark.parametrize("key", NAMING)
def test_what_is_named_must_lie_beside_the_scenario_without_links(tmp_path: Path, key: str) -> None:
    (tmp_path / "outside").write_text("x")
    folder = tmp_path / "benchmarks"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("x")
    git(folder, "init", "-q")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "door").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")

    def told(path: str) -> str:
        found = problems(folder, NAMING[key].format(path))
        assert len(found) == 1
        assert f": {key}: " in found[0]
        return found[0]

    assert load(folder, NAMING[key].format("inner/file"))
    assert "the nearest is 'file'" in told("inner/fle")
    assert "symbolic link" in told("link")
    assert "symbolic link" in told("door/outside")
    assert "neither a file nor a folder" in told("pipe")
    fixture = key.startswith("fixtures")
    assert ("outside of the scenario's repository" if fixture else "stays inside its folder") in told("../outside")
    assert ("a relative path" if fixture else "stays inside its folder") in told("/etc/passwd")


@pytest.mark.parametrize("key", ["verification.files", "fixtures.f.source"])
def test_a_folder_is_looked_through(tmp_path: Path, key: str) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    assert "holds no file" in problems(tmp_path, NAMING[key].format("tree"))[0]

    (tmp_path / "tree" / "deep" / "file").write_text("x")
    assert load(tmp_path, NAMING[key].format("tree"))

    (tmp_path / "tree" / "deep" / "link").symlink_to("file")
    assert "holds a symbolic link, 'deep/link'" in problems(tmp_path, NAMING[key].format("tree"))[0]


def test_a_solution_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()

    assert "'tree' is a folder | a file" in problems(tmp_path, "solution: tree\n")[0]


@pytest.mark.parametrize("name", ["a.yaml", "scenario.yaml", "a.scenario.json"])
def test_the_name_says_that_it_is_a_scenario(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match="not named like a scenario file"):
        load_scenario(write(tmp_path, MINIMAL, name))

    assert load_scenario(write(tmp_path, MINIMAL, "a.scenario.yml"))


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.scenario.yaml")
    (tmp_path / "folder.scenario.yaml").mkdir()

    for name in ("pipe", "folder", "nowhere"):
        with pytest.raises(ScenarioError, match=r"is not a file|cannot be read") as caught:
            load_scenario(tmp_path / f"{name}.scenario.yaml")
        assert len(caught.value.problems) == 1


def test_scenario_files_are_found_in_a_fixed_order_each_once(tmp_path: Path) -> None:
    for name in ("b/x.scenario.yaml", "a.scenario.yml", "b/a.scenario.yaml", ".git/n.scenario.yaml", "b/other.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(MINIMAL)
    first = tmp_path / "b" / "x.scenario.yaml"

    found = find_scenarios([first, tmp_path])

    assert found == [first, tmp_path / "a.scenario.yml", tmp_path / "b" / "a.scenario.yaml"]


@pytest.mark.parametrize("name", ["empty", "nowhere", "file.yaml"])
def test_a_path_without_scenarios_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.yaml").write_text("")

    with pytest.raises(ScenarioError, match=name):
        find_scenarios([tmp_path / name])


def test_an_id_belongs_to_one_file(tmp_path: Path) -> None:
    one = load_scenario(write(tmp_path, MINIMAL))
    two = load_scenario(write(tmp_path, "# moved down\n" + MINIMAL, "b.scenario.yaml"))

    check_unique([one, one])
    with pytest.raises(ScenarioError) as caught:
        check_unique([one, two])

    assert str(caught.value.problems[0].where).endswith("b.scenario.yaml:2: scenario_id")
    assert "a.scenario.yaml:1: scenario_id" in str(caught.value)
