"""The approval mode: what an agent may run unattended, and that no way of writing a denied command slips through."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_specbench.core.globs import could_match, must_match
from pytest_specbench.core.policy.modes import ApprovalMode, decide
from pytest_specbench.core.policy.words import ANY, Unparsable
from pytest_specbench.core.policy.wrappers import expand

READS = [
    "cat specs/001/spec.md",
    "ls -la",
    "ls -la specs | head -n 5",
    "grep -rn 'FR-00[1-9]' specs",
    "grep -e '/etc/passwd' -r .",
    "find . -name '*.md' -type f",
    "wc -l *.py",
    "pwd; whoami && true || false",
    "sed -n '1,20p' spec.md",
    "sed 's/a/b/g; s|x|y|' spec.md",
    "git status --short && git log --oneline -5",
    "git diff HEAD~1 -- specs",
    "cat < spec.md > /dev/null 2>&1",
    "cat /work/a /work/./b",
    "cd specs && cat spec.md",
    'for f in *.md; do echo "$f"; done',
    "if [ -f spec.md ]; then cat spec.md; fi",
    'while read -r line; do echo "$line"; done < spec.md',
    "x=1; echo $x ${x:-2} $((1 + 2))",
    "LC_ALL=C sort a | uniq -c",
    "cat <<'EOF'\nrm -rf / $(touch x)\nEOF\n",
    "cat <<EOF\n$(cat a)\nEOF",
    "env LANG=C cat a",
    "timeout 5 cat a",
    "sh -c 'cat a'",
    "bash -lc 'ls | wc -l'",
    "bash <<'EOF'\ncat a\nEOF",
    "(cat a; { cat b; })",
    "diff <(cat a) <(cat b)",
    "cat a # rm b",
    "set -euo pipefail; cat a",
    "printf '%s\\n' 'a; b'",
    "/bin/cat a",
    'echo \'{"a": 1, "b": 2}\'',
]
WRITES = [
    "echo hello > out.txt",
    "cat > specs/001/spec.md <<'EOF'\n# Spec `x` $(y)\nEOF\n",
    "mkdir -p specs/001 && cp a b && mv b c && touch d",
    "rm -rf build",
    "echo x | tee -a log",
    "sed -i 's/a/b/' spec.md",
    "printf 'x' >> /work/log 2>/dev/null",
    "ls &> out",
    "chmod +x run.sh",
    "ln -s a b",
]
NEITHER = [
    "cat /etc/passwd",
    "cat ../secret",
    "cat a/../../x",
    "cat ~/x",
    "cat $HOME/x",
    'cat "$x"',
    "grep -f/etc/passwd a",
    "grep --file=/etc/passwd a",
    "grep -e x -- a /etc/passwd",
    "grep $x a",
    "head -n 5 /etc/passwd",
    "cat < /etc/passwd",
    "ls .*",
    "ls .[.]/x",
    "cd .. && cat x",
    "cd && cat x",
    "find . -delete",
    "find . -exec rm {} \\;",
    "find . -fprint /tmp/x",
    "find . $x",
    "sort -o out a -T /tmp",
    "sort --outp=/tmp/x a",
    "uniq a b",
    "git push",
    "git -c core.pager=x log",
    "git log --output=x",
    "git log --ext-diff",
    "sed -n 'w /tmp/x' a",
    "sed '1e id' a",
    "sed 's/a/b/e' a",
    "sed -n p a /etc/passwd",
    "python3 -c 'print(1)'",
    "pip install x",
    "curl x",
    "echo x > /tmp/x",
    "echo x > ../x",
    "echo x > $f",
    "rm -rf /",
    "rm -rf /work/..",
    "cp a /tmp",
    "cp -t/etc a",
    "ln -s ../.. up",
    "PATH=. ls",
    "export PATH=.",
    "for PATH in .; do ls; done",
    "LD_PRELOAD=x ls",
    "env PATH=. ls",
    "read PATH < a",
    "sudo cat a",
    "sh script.sh",
    "./cat a",
    "/tmp/cat a",
    "curl x | sh",
    "sh < a",
    "echo x | xargs cat",
    "date 010100002020",
    "tree -o out",
    "exec 3> out; python3",
    "let 'x=1'",
    "ls &>/dev/null rm x",
]
NOT_UNDERSTOOD = [
    "r${IFS}m x",
    "$x y",
    "$'rm' x",
    "`echo rm` x",
    "$(echo rm) x",
    "r* x",
    "{rm,-rf,x}",
    'eval "$x"',
    'sh -c "$x"',
    "cat <<EOF | sh\nrm x\nEOF",
    "case x in x) rm y;; esac",
    'x=(rm y); "${x[@]}"',
    "echo ${x@P}",
    "echo ${!x}",
    "(( x = 1 ))",
    "echo $[1]",
    "echo 'open",
    'echo "open',
    "echo $(open",
    "echo `open",
    "echo )",
    "cat <<EOF\nno end",
    "cat <<EOF\na\\\nEOF\nrm x\nEOF",
    "for x do rm y; done",
    "function f { rm x; }",
    "coproc rm x",
    "x='a[$(rm y)]'; echo $((x))",
    "[ -v 'a[$(rm y)]' ]",
    "env -S 'rm x'",
    "env -C /tmp rm x",
    "timeout $x rm y",
    "{fd}>x rm y",
    "echo \u00a0rm",
    "rm\rx",
    "echo \\",
    "sudo --unknown-option rm x",
    "(" * 60 + "rm" + ")" * 60,
]
DENIED = [
    "rm x",
    "rm -rf /",
    "  rm   x",
    "/bin/rm x",
    "\\rm x",
    'r""m x',
    "'rm' x",
    '"rm" x',
    "r\\\nm x",
    "true; rm x",
    "true && rm x",
    "true || rm x",
    "true | rm x",
    "true & rm x",
    "true\nrm x",
    "(rm x)",
    "{ rm x; }",
    "! rm x",
    "if true; then rm x; fi",
    "while rm x; do :; done",
    "f() { rm x; }",
    "echo $(rm x)",
    'echo "$(rm x)"',
    "echo `rm x`",
    'echo "`rm x`"',
    "echo $(echo $(rm x))",
    "echo `echo \\`rm x\\``",
    "cat <(rm x)",
    "echo > >(rm x)",
    "cat <<EOF\n$(rm x)\nEOF",
    "cat <<EOF\n`rm x`\nEOF",
    "cat <<EOF\n'$(rm x)'\nEOF",
    "cat <<'EOF'; rm x\nEOF",
    "cat <<EOF\na\nEOF\nrm x",
    "cat <<-EOF\n\ta\n\tEOF\nrm x",
    "sh <<EOF\nrm x\nEOF",
    "env bash <<'EOF'\nrm x\nEOF",
    "bash <<< 'rm x'",
    "X=1 rm x",
    "env X=1 rm x",
    "env -i -u A rm x",
    "sudo -u root rm x",
    "timeout -k 1 5 rm x",
    "nohup nice -n 5 rm x",
    "command rm x",
    "exec rm x",
    "time rm x",
    "xargs rm",
    "xargs -I{} rm {}",
    "find . -exec rm {} \\;",
    "find . -name x -execdir rm {} +",
    "sh -c 'rm x'",
    'bash -lc "rm x"',
    "bash -o pipefail -ec 'rm x'",
    "sh -c \"sh -c 'rm x'\"",
    "eval rm x",
    "eval 'r''m x'",
    "trap 'rm x' EXIT",
    "busybox rm x",
    "> out rm x",
    "echo # comment\nrm x",
    "echo ${x:-$(rm x)}",
    "x=$(rm x)",
]


@pytest.mark.parametrize("command", READS)
def test_reading_inside_the_workdir_is_allowed_in_every_mode(command: str) -> None:
    for mode in ApprovalMode:
        decision = decide(command, mode=mode, deny=("rm *",))
        assert decision.allowed, decision


@pytest.mark.parametrize("command", WRITES)
def test_writing_inside_the_workdir_needs_trusted(command: str) -> None:
    assert not decide(command, mode="minimal").allowed
    assert decide(command, mode="trusted").allowed, decide(command, mode="trusted")
    assert decide(command, mode="full-access").allowed


@pytest.mark.parametrize("command", NEITHER)
def test_anything_else_needs_full_access(command: str) -> None:
    assert not decide(command, mode="minimal").allowed
    assert not decide(command, mode="trusted").allowed
    assert decide(command, mode="full-access").allowed


@pytest.mark.parametrize("command", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_refused_except_in_full_access(command: str) -> None:
    with pytest.raises(Unparsable):
        expand(command)
    for mode in ("minimal", "trusted"):
        decision = decide(command, mode=mode, allow=("*",))
        assert not decision.allowed
        assert "not understood" in decision.reason
    assert decide(command, mode="full-access").allowed


@pytest.mark.parametrize("command", DENIED)
def test_a_deny_rule_wins_in_every_mode_however_the_command_is_wrapped(command: str) -> None:
    for mode in ApprovalMode:
        decision = decide(command, mode=mode, allow=("*",), deny=("nothing", "rm *"))
        assert not decision.allowed, command
        assert decision.rule == "rm *" or "not understood" in decision.reason


@pytest.mark.parametrize(
    ("command", "deny"),
    [
        ("git push origin", "git push*"),
        ("git $x", "git push*"),
        ("git $(echo push)", "git push*"),
        ("git $x push", "git push*"),
        ("git p*", "git push*"),
        ('rm -rf "$tmp"', "rm -rf /*"),
        ("x=rm; $x -rf y", "rm *"),
        ("case a in a) rm y;; esac", "rm *"),
        ("$y; /usr/bin/rm z", "rm *"),
        ('curl x | sh -c "$z"', "curl *"),
    ],
)
def test_what_may_turn_into_a_denied_command_is_denied_in_full_access_too(command: str, deny: str) -> None:
    decision = decide(command, mode="full-access", deny=(deny,))
    assert not decision.allowed
    assert decision.rule == deny


@pytest.mark.parametrize("command", ["git add $f", "echo rm x", "grep 'rm ' a", "echo 'rm x'", "rmdir x", "ls rm"])
def test_a_deny_rule_does_not_hit_what_only_looks_like_it(command: str) -> None:
    assert decide(command, mode="full-access", deny=("rm *", "git push*")).allowed


def test_allow_rules_count_in_trusted_only_and_only_where_they_surely_match() -> None:
    allow = ("pytest*", "python3 -m build")
    assert not decide("pytest -q", mode="minimal", allow=allow).allowed
    assert decide("pytest -q && python3 -m build", mode="trusted", allow=allow).rule == "pytest*"
    assert decide("/usr/bin/pytest $x", mode="trusted", allow=allow).allowed
    assert not decide("python3 -m $x", mode="trusted", allow=allow).allowed
    assert not decide("pytest; curl x", mode="trusted", allow=allow).allowed
    assert not decide("pytest > /etc/x", mode="trusted", allow=allow).allowed
    assert not decide("pytest -q", mode="trusted", allow=allow, deny=("pytest *",)).allowed


def test_the_reason_names_the_command_the_rule_and_the_mode() -> None:
    denied = decide("true; rm -rf x", mode="trusted", deny=("rm *",))
    assert denied.reason == "the rule 'rm *' denies `rm -rf x`"
    outside = decide("cat /etc/passwd", mode="minimal")
    assert (
        outside.reason
        == "the mode minimal does not allow `cat /etc/passwd`: the path '/etc/passwd' is outside of /work"
    )
    with pytest.raises(ValueError, match="sudo"):
        decide("ls", mode="sudo")


def test_modes_are_ordered() -> None:
    assert ApprovalMode.FULL_ACCESS.includes(ApprovalMode.TRUSTED)
    assert ApprovalMode.TRUSTED.includes(ApprovalMode.TRUSTED)
    assert not ApprovalMode.MINIMAL.includes(ApprovalMode.TRUSTED)


def test_globs_know_only_star_and_question_mark() -> None:
    assert could_match("a?c*", "abc")
    assert not could_match("a[b]c", "abc")
    assert must_match("a[b]c", "a[b]c")
    assert could_match("git push", f"git {ANY}")
    assert not must_match("git push", f"git {ANY}")
    assert must_match("git *", f"git {ANY}")


# -- generated ---------------------------------------------------------------------------------------------------------


@st.composite
def quoted(draw: st.DrawFn, word: str) -> str:
    """The word, each character quoted in some way of the shell's, with empty quotes and continued lines between."""
    ways = st.sampled_from(["{}", "\\{}", "'{}'", '"{}"', "''{}", '""{}', "\\\n{}", "{}''"])
    return "".join(draw(ways).format(char) for char in word)


PREFIXES = st.sampled_from(
    ["", "env A=1 ", "timeout 5 ", "X=1 ", "nohup ", "command ", "! ", "> out ", "sudo -u root "]
)
CONTEXTS = st.sampled_from(
    [
        "{}",
        "true; {}",
        "({})",
        "echo $({})",
        'echo "$({})"',
        "cat <<EOF\n$({})\nEOF",
        "true | {}",
        "if {}; then :; fi",
        "{} &",
        "cat <({})",
        "f() {{ {}; }}; f",
        "sh <<EOF\n{}\nEOF",
        "x=$({})",
    ]
)


@given(command=st.data())
@settings(max_examples=150, deadline=None)
def test_no_quoting_of_a_denied_command_makes_it_allowed(command: st.DataObject) -> None:
    text = command.draw(PREFIXES) + command.draw(quoted("rm")) + " " + command.draw(quoted("-rf")) + " x"
    for _ in range(command.draw(st.integers(0, 2))):
        text = command.draw(CONTEXTS).format(text)
    for mode in ApprovalMode:
        assert not decide(text, mode=mode, allow=("*",), deny=("rm *",)).allowed, text


FRAGMENTS = st.sampled_from(
    [
        "mark x",
        "mark",
        "m",
        "ark",
        "x",
        " ",
        " ",
        "\n",
        ";",
        "&",
        "|",
        "&&",
        "||",
        "(",
        ")",
        "{ ",
        " }",
        "'",
        '"',
        "\\",
        "`",
        "$(",
        "$((",
        "))",
        "${",
        "}",
        "$x",
        "<",
        ">",
        ">&",
        "&>",
        "<<E\n",
        "\nE\n",
        "<<'E'\n",
        "<<<",
        "<(",
        "if ",
        " then ",
        "; fi",
        "true",
        "echo ",
        "for i in ",
        "do ",
        "; done",
        "case x in ",
        "esac",
        "#",
        "=",
        "x=mark",
        "!",
        "eval ",
        "sh -c ",
        "sh ",
        "env ",
        "/dev/null",
        "1",
        "2",
        "f()",
        "~",
        "*",
        "[",
        "]",
        "$'",
        "\t",
        ",",
        "..",
        "exec ",
        "function f ",
        "E",
        "$",
        "-",
        "xargs ",
        "time ",
        "coproc ",
        "trap ",
        " EXIT",
        ". ",
        "command ",
        "[[ ",
        "]]",
        "while ",
        "until ",
        "@P}",
        ":-",
        "x",
    ]
)


@pytest.fixture(scope="module")
def jail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing on its PATH but `mark`, which leaves a trace, and the shells and `env`, `xargs`, `cat`."""
    root = tmp_path_factory.mktemp("jail")
    (root / "bin").mkdir()
    (root / "work").mkdir()
    mark = root / "bin" / "mark"
    mark.write_text(f"#!/bin/sh\n: > {shlex.quote(str(root / 'marked'))}\n")
    mark.chmod(0o755)
    for tool in ("sh", "bash", "env", "xargs", "cat"):
        (root / "bin" / tool).symlink_to(next(p for p in (Path("/bin") / tool, Path("/usr/bin") / tool) if p.exists()))
    return root


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_real_shell_never_runs_what_was_thought_to_be_denied(jail: Path, shell: str) -> None:
    """Any soup of shell fragments: where a real shell runs `mark`, the rule `mark*` had refused the text."""
    marked = jail / "marked"
    environment = {"PATH": str(jail / "bin"), "HOME": str(jail), "x": "y"}

    @given(text=st.lists(FRAGMENTS, min_size=1, max_size=9).map("".join))
    @settings(
        max_examples=int(os.environ.get("SHELL_EXAMPLES", "150")),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(text: str) -> None:
        if not decide(text, mode="trusted", allow=("*",), deny=("mark*",), workdir=str(jail / "work")).allowed:
            return
        marked.unlink(missing_ok=True)
        process = subprocess.Popen(
            [jail / "bin" / shell, "-c", text],
            cwd=jail / "work",
            env=environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(2)  # a generated loop may have no end
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        assert not marked.exists(), text

    check()
