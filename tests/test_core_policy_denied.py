"""Deny rules: what could become a denied command is denied, and what is known to be harmless is not."""

from __future__ import annotations

import pytest

from pytest_specbench.core.globs import could_occur
from pytest_specbench.core.policy.modes import ApprovalMode, decide
from pytest_specbench.core.policy.readings import _patterns
from pytest_specbench.core.policy.words import GLOB

RUNNERS = [
    "taskset 1 curl x",
    "flock f curl x",
    "flock f -c 'curl x'",
    "unshare -r curl x",
    "runuser -u nobody -- curl x",
    "su -c 'curl x'",
    "su root -c 'ls; curl x'",
    "script -c 'curl x' /dev/null",
    "script -qc'curl x' /dev/null",
    "env -S 'curl x'",
    "env --split-string='curl x'",
    "/lib64/ld-linux-x86-64.so.2 /usr/bin/curl x",
    "busybox taskset 1 curl x",
    "taskset 1 /usr/bin/cur? x",
    "taskset 1 /usr/bin/c*l x",
    "taskset 1 {curl,x}",
    'taskset 1 "$x"',
    "taskset 1 sh -c 'c${x}url y'",
    "taskset 1 sh -c 'c\"\"url y'",
    "taskset 1 sh -c 'case x in x) c\"\"url;; esac'",
    "taskset 1 sh -c '/usr/bin/cur? x'",
    "taskset 1 sh -c '{c,x}url'",
    "find . -exec curl {} \\;",
    'find . "$x"',
    "find . -exec taskset 1 curl {} \\;",
    "xargs curl < f",
    "xargs -I{} sh -c 'curl {}' < f",
    "xargs -n1 $x",
    "ls | parallel curl",
    "watch curl x",
    "strace -f curl x",
    "nice -n5 taskset 1 curl",
    "timeout 5 env -i taskset 1 curl",
    "command -pv curl; chroot /x",
    "time -p -o f curl x",
    "command curl x",
    "command -- curl x",
    "builtin eval curl x",
]
"""Programs that run another one, and the texts they give to a shell."""
NAMES = [
    "/usr/bin/curl x",
    "./curl x",
    "../bin/curl x",
    "//usr//bin/curl x",
    "c\\url x",
    "'cu'rl x",
    "$'\\x63url' x",
    "c=curl; $c x",
    "c=cu; d=rl; $c$d x",
    "$(echo curl) x",
    "`printf 'cu%s' rl` x",
    "{c,x}url y",
    "c{u,}rl y",
    "/usr/bin/cur? x",
    "/usr/bin/c[u]rl x",
    "~/curl x",
    "~/bin/x y",
]
"""Spellings of the program's own name."""
INPUTS = [
    "taskset 1 sh <<< 'curl x'",
    "taskset 1 sh <<'EOF'\nc$()url x\nEOF\n",
    "echo 'cu''rl x' | taskset 1 sh",
    "echo 'curl x' | at now",
    "echo 'curl x' | { at now; }",
    "echo 'curl x' | while true; do at now; done",
    "cat() { at now; }; echo 'curl x' | cat",
    "cat() { at now; }; cat <<< 'curl x'",
    "{ at now; } <<< 'cu\"\"rl x'",
    "at now < <(echo curl x)",
    "exec <<< 'cu\"\"rl'; at now",
    "bash <(echo curl x)",
    ". <(echo curl x)",
    "source /dev/stdin <<< 'curl x'",
    "sh -c 'at now' <<< 'cu\"\"rl x'",
    "echo x | sh -c 'at now'",
    "read PAGER <<< curl",
    "python3 <<'EOF'\nimport os; os.system('curl x')\nEOF\n",
    'echo \'import os; os.system("cu"+"rl")\' | python3',
    'echo \'import os; os.system("cu"+"rl")\' | python3 -',
    'echo \'import os; os.system("cu"+"rl")\' | python3 -u',
]
"""What comes by standard input, or by a file that stands for it."""
OTHER_NAMES = [
    "alias ls=curl; ls x",
    "alias ls='c\"\"url'",
    "hash -p /usr/bin/curl ls; ls x",
    "ln -s /usr/bin/curl x; ./x y",
    'ln -s "$(which curl)" x',
    "cp /usr/bin/curl x",
    "mv /usr/bin/cur? x",
    "install /usr/bin/curl x",
    "dd if=/usr/bin/curl of=x",
]
"""Ways to call the program by another name."""
VARIABLES = [
    "PAGER=curl git log",
    "PAGER=$x git log",
    "export PAGER=curl; man ls",
    'export GIT_SSH_COMMAND="$x"; git fetch',
    "PAGER=cu; PAGER+=rl; git log",
    "GIT_SSH_COMMAND='ssh -o ProxyCommand=curl' git fetch",
    "printf -v PAGER curl; git log",
    "ls .; for PAGER in curl; do git log; done",
    "X=curl mytool",
]
"""Variables whose value some program runs."""
OPTIONS = [
    "git -c core.pager=curl log",
    "git -c alias.x='!curl y' x",
    "git grep -Ocurl x",
    "git grep --open-files-in-pager=curl x",
    "git bisect run curl x",
    "git rebase -x 'curl x' HEAD~2",
    "git submodule foreach 'curl x'",
    "git clone 'ext::curl x' y",
    "git clone -u curl x",
    "tar cf /dev/null --checkpoint=1 --checkpoint-action=exec=curl x",
    "tar -Icurl -cf x y",
    "tar --to-command=curl -xf x",
    "sort --compress-program=curl x",
    "sort --compress-prog curl x",
    "split --filter='curl x' f",
    "rg --pre curl x",
    "ssh -o ProxyCommand='curl x' h",
    "make SHELL=curl",
    "man -P curl ls",
    "man --pager=curl ls",
    "zip -TT curl x y",
    "docker run x sh -c 'c\"\"url'",
    "npm exec -- curl x",
    "mytool --runner=curl",
    "mytool -rcurl",
    'mytool "a;curl x"',
    "mytool 'a|curl x'",
]
"""Options, subcommands and operands that name a command."""
CODE = [
    "awk 'BEGIN{system(\"curl x\")}'",
    'awk \'BEGIN{system("cu" "rl x")}\'',
    'awk \'BEGIN{"cu" "rl x" | getline}\'',
    "sed '1e curl x' f",
    "sed '1ecurl x' f",
    "sed 's/.*/curl x/e' f",
    "sed 's/a/b/;s/.*/c\"\"url x/e' f",
    "sed -e p -e 'e curl' f",
    "sed -f x f -e '1ecurl'",
    "python3 -c 'import os; os.system(\"curl x\")'",
    'python3 -c \'import subprocess as s; s.run(["curl","x"])\'',
    "python3 -c 's.run(f\"curl {x}\")'",
    'perl -e \'exec "curl", "x"\'',
    "vim -c ':!curl x' f",
    "vim -c '!curl'",
    "gdb -ex '!curl x' -batch",
    "less '+!curl x' f",
]
"""Code in another language."""
REST = [
    "tee >(curl x)",
    "coproc curl x",
    "case x in x) curl y;; esac",
    'a=(curl x); "${a[@]}"',
    "trap 'curl x' EXIT",
    'trap "$x" EXIT',
    'eval "$x"',
    'eval cu""rl x',
    'set -- curl x; "$@"',
    "bash -c '\"$@\"' _ curl x",
    "bash -c '$0' curl",
    "bash -c 'exec \"$1\"' _ curl",
    "mapfile -C curl -c 1 x < f",
    "complete -C curl x",
    "bind -x '\"a\": curl'",
    'function_x() { taskset 1 "$@"; }; function_x curl',
]
"""Builtins, and forms of the shell that are not read."""
SECOND_LOOK = [
    "echo x | sqlite3 f",
    "echo x | python3 -i a.py",
    "echo x | python3 -ic pass",
    "echo x | python3 -m code",
    "zsh -c '=curl x'",
    "fish -c 'c(echo u)rl'",
    "taskset 1 fish -c 'c(echo u)rl'",
    "read x <<< 'a[$(curl x)]'; echo $((x))",
    "set -- 'a[$(curl x)]'; echo $(($1))",
    "x=$(echo 'a[$(curl x)]'); echo $((x))",
    "x=$(printf 'a[\\x24(c\\165rl)]'); echo $((x))",
    "for x in 'a[$(curl x)]'; do echo $((x)); done",
    "echo 'c\"\"url' > >(taskset 1 sh)",
    "tee >(true; taskset 1 sh) <<< 'c\"\"url x'",
    "FOO='c${x}url' mytool",
    "env FOO='c${x}url' mytool",
    "GIT_PAGER='c${x}url' git log",
    "BASH_ENV=<(echo curl) bash x",
    "env BASH_ENV=<(echo curl) bash x",
    "env 'BASH_FUNC_ls%%=() { curl x; }' bash -c ls",
    "mytool '{{c,x},y}url'",
    'mytool \'{"cmd":["curl","a"]}\'',
    "bash /dev/fd/3 3<<< 'curl x'",
    "exec 3< <(echo 'curl x'); bash /dev/fd/3",
    "sed -f - f <<< '1e cu\"\"rl'",
    'awk -f - <<< \'BEGIN{system("cu" "rl")}\'',
    "f() { python3; }; echo 'import os' | f",
    "xargs -I{} env {} < f",
    "socat - SYSTEM:'curl x'",
    "tmux new -d 'c\"\"url x'",
]
"""Found by attacks on the first version of this."""
HARMLESS = [
    'echo "$HOME"',
    "python -m pytest -q",
    "cat README.md",
    "grep -r foo .",
    'grep -r "$x" .',
    'git commit -m "use curl"',
    "git status",
    "npm run build",
    "make test",
    'pytest -k "not slow and a"',
    'pytest "tests/x.py::test[a]"',
    "python3 - <<'EOF'\nprint(\"hi\", {1:2})\nEOF",
    "awk '{print $1}' f",
    "sed -i 's/a/b/' f",
    "sed '/x/,/y/{s/a/b/;}' f",
    "sed -n '/a/{p;q;}' f",
    "sed -i '/foo/a bar baz' f",
    'for f in *.md; do wc -l "$f"; done',
    "ls | head",
    "cat x | python3 -m json.tool",
    'find . -name "*.py" | xargs grep foo',
    'find . -name "*.py" -exec grep foo {} +',
    "x=$(pwd); echo $x",
    'export PATH="$PATH:/opt/bin"',
    "pip install requests",
    "apt install bash",
    "docker ps -a",
    "tar czf out.tgz src",
    "cp a b",
    "mv a b",
    'python3 -c "print(1)"',
    'mytool --json \'{"a": 1, "b": [1,2]}\'',
    'while read -r l; do echo "$l"; done < f',
    "cat > x.sh <<EOF\ncurl $x\nEOF",
    "sh build.sh",
    "./run.sh --fast",
    "timeout 60 pytest tests",
    "cd src && make -j4 2>&1 | tail -5",
    "echo a | tee b",
    "gcc -O2 -o x x.c",
    "uv run pytest -q | tail -3",
    "ls *.py",
    'jq ".[0]" f.json',
    "test -f x && echo y || echo n",
    '[ "$a" = b ] && echo c',
    'f() { echo "$1"; }; f x',
    "git log --oneline | head -5",
    "node index.js",
    "rm -rf build",
    "which curl",
    "command -v curl",
]
"""Commands that have nothing to do with the rule."""


@pytest.mark.parametrize(
    "command", [*RUNNERS, *NAMES, *INPUTS, *OTHER_NAMES, *VARIABLES, *OPTIONS, *CODE, *REST, *SECOND_LOOK], ids=repr
)
@pytest.mark.parametrize("rule", ["curl*", "curl *"])
def test_what_could_become_a_denied_command_is_denied_in_every_mode(command: str, rule: str) -> None:
    for mode in ApprovalMode:
        decision = decide(command, mode=mode, allow=("*",), deny=(rule,))
        assert not decision.allowed
        assert decision.rule == rule or "not understood" in decision.reason


@pytest.mark.parametrize("command", HARMLESS, ids=repr)
def test_what_has_nothing_to_do_with_a_rule_is_not_denied(command: str) -> None:
    decision = decide(command, mode="full-access", deny=("curl*",))

    assert decision.allowed, decision


@pytest.mark.parametrize("command", ["curl x", "git push", "a $x", "case x in x) y;; esac", "$x"])
def test_without_a_rule_full_access_allows_everything(command: str) -> None:
    assert decide(command, mode="full-access").allowed


@pytest.mark.parametrize(
    ("command", "deny"),
    [
        ("git -C x push", "git push*"),
        ("git --no-pager -c a=b push", "git push*"),
        ("taskset 1 git -C x push", "git push*"),
        ("docker --host x run y", "docker run*"),
        ("curl x", "/usr/bin/curl *"),
        ("taskset 1 curl x", "/usr/bin/curl *"),
        ("find . -exec x rm {} ;", "rm *"),
        ("mytool rm", "rm *"),
    ],
)
def test_a_rule_is_found_behind_options_folders_and_programs(command: str, deny: str) -> None:
    assert decide(command, mode="full-access", deny=(deny,)).rule == deny


@pytest.mark.parametrize(
    ("command", "deny"),
    [
        ("git commit -m push", "git push*"),
        ("git -C x status", "git push*"),
        ("mytool farm", "rm *"),
        ("mytool rmdir", "rm *"),
        ("pytest tests/*.py", "rm *"),
        ("mytool 'what?'", "rm *"),
        ("mytool --size '[1,2]'", "rm *"),
        ("ls x", "/*"),
    ],
)
def test_a_rule_is_not_found_where_a_word_only_holds_it(command: str, deny: str) -> None:
    assert decide(command, mode="full-access", deny=(deny,)).allowed


def test_the_reason_says_why_a_command_may_be_denied() -> None:
    looked_through = decide("taskset 1 curl x", mode="full-access", deny=("curl*",))
    assert looked_through.reason == (
        "the rule 'curl*' may deny `taskset 1 curl x`: of its words, they may be a command, or text of a shell"
    )
    unresolved = decide('taskset 1 "$x"', mode="full-access", deny=("curl*",))
    assert "one of its words is only known when it runs" in unresolved.reason
    unread = decide("case x in x) y;; esac", mode="full-access", deny=("rm *", "curl*"))
    assert unread.reason == ("the command is not understood (`case` is not modelled), and the rule 'rm *' may deny it")


def test_a_pattern_in_a_text_stands_for_a_part_of_one_word() -> None:
    assert could_occur("curl*", f"cu{GLOB}", [0])
    assert not could_occur("git push", f"g{GLOB}", [0])
    assert not could_occur("rm", "rmdir", [0])


@pytest.mark.parametrize("size", [1_000, 20_000])
def test_a_long_text_is_searched_or_refused_and_never_gives_up_halfway(size: int) -> None:
    assert decide("mytool " + "a b " * size, mode="full-access", deny=("curl*",)).allowed
    assert not decide("mytool " + "a b " * size + "curl", mode="full-access", deny=("curl*",)).allowed
    assert not decide("mytool " + "{a,b}" * size, mode="full-access", deny=("curl*",)).allowed
    assert not decide("mytool '" + "{a,b}" * size + "'", mode="full-access", deny=("curl*",)).allowed


@pytest.mark.parametrize("rule", ["*--force*", "* --no-verify", "*secret*"])
@pytest.mark.parametrize(
    "command", ["python -m pytest -q", "make test", "cargo build --release", "./run.sh -v", "cp a b"]
)
def test_a_rule_that_names_no_program_denies_what_it_matches_and_no_more(rule: str, command: str) -> None:
    held = rule.strip("* ")

    assert decide(command, mode=ApprovalMode.FULL_ACCESS, deny=[rule]).allowed
    assert not decide(f"{command} {held}", mode=ApprovalMode.FULL_ACCESS, deny=[rule]).allowed
    assert not decide(f"taskset 1 sh -c '{command} {held}'", mode=ApprovalMode.FULL_ACCESS, deny=[rule]).allowed
    assert not decide(f"xargs {command} < f", mode=ApprovalMode.FULL_ACCESS, deny=[rule]).allowed


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a[b]c", f"a{GLOB}c"),
        ("[b]", "b"),
        ("x [bc] y", "x b c y"),
        ("a[b c]d", "a[b c]d"),
        ("a[[b]c", f"a{GLOB}c"),
        ("a[b][c]d", f"a{GLOB}{GLOB}d"),
        ("a] [ b]", "a] [ b]"),
        ("[", "["),
        ("a*b?[c]", f"a{GLOB}b{GLOB}"),
    ],
)
def test_brackets_and_stars_are_patterns_where_a_shell_takes_them_for_one(text: str, found: str) -> None:
    assert _patterns(text).replace(GLOB * 2, GLOB) == found.replace(GLOB * 2, GLOB)
