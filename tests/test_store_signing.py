"""Signatures by the real ssh-keygen: nothing but its success, for the person expected, is ever good."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from store_support import BEN, MARA, Person, git, needs, person

from pytest_specbench.cli import main
from pytest_specbench.core.errors import ApprovalRefusedError, BlockedError
from pytest_specbench.core.status import Cause
from pytest_specbench.store.baselines import signing
from pytest_specbench.store.baselines.maintainers import Maintainers, read_maintainers
from pytest_specbench.store.baselines.signers import read_signers
from pytest_specbench.store.baselines.signing import SignatureError, configured_key, intact, principal_of, sign, verify
from pytest_specbench.store.trees import FolderTree

DATA = b'{"what": "an entry"}\n'
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
BAD = f"no good signature of {MARA}: "
"""What is said of a signature in her name that is not good, before the reason."""


@pytest.fixture(scope="module")
def mara(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("mara"), MARA)


@pytest.fixture(scope="module")
def ben(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return person(tmp_path_factory.mktemp("ben"), BEN)


def why_not(
    data: bytes, signature: bytes, signers: str, principal: str = MARA, at: datetime = AT, **more: bytes
) -> str:
    with pytest.raises(SignatureError) as caught:
        verify(data, signature, allowed_signers=signers.encode(), principal=principal, at=at, **more)
    return str(caught.value)


class TestASignature:
    def test_is_good_for_who_made_it(self, mara: Person, ben: Person) -> None:
        signers = (ben.line() + mara.line()).encode()

        verify(DATA, mara.sign(DATA), allowed_signers=signers, principal=MARA, at=AT)
        assert principal_of(DATA, mara.sign(DATA), signers, AT) == MARA
        assert principal_of(DATA, ben.sign(DATA), signers, AT) == BEN
        assert intact(DATA, mara.sign(DATA))

    @pytest.mark.parametrize("data", [b"", b"\0\xff" * 1000, b"x" * 5_000_000], ids=["nothing", "binary", "large"])
    def test_is_of_any_bytes(self, mara: Person, data: bytes) -> None:
        verify(data, mara.sign(data), allowed_signers=mara.line().encode(), principal=MARA, at=AT)

    def test_of_something_else_is_not(self, mara: Person) -> None:
        signature = mara.sign(DATA)

        assert why_not(DATA + b" ", signature, mara.line()).startswith(BAD)
        assert not intact(DATA + b" ", signature)

    def test_of_somebody_else_is_not(self, mara: Person, ben: Person) -> None:
        assert f"its key is {BEN}'s" in why_not(DATA, ben.sign(DATA), mara.line() + ben.line())

    def test_of_nobody_who_is_known_is_not(self, mara: Person, ben: Person) -> None:
        assert "its key is nobody's" in why_not(DATA, ben.sign(DATA), mara.line())
        assert "its key is nobody's" in why_not(DATA, ben.sign(DATA), "")
        with pytest.raises(SignatureError, match="nobody's"):
            principal_of(DATA, ben.sign(DATA), mara.line().encode(), AT)

    def test_for_another_namespace_is_not(self, mara: Person, tmp_path: Path) -> None:
        path = tmp_path / "data"
        path.write_bytes(DATA)
        subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", mara.key, "-n", "git", path], check=True)

        assert why_not(DATA, path.with_name("data.sig").read_bytes(), mara.line()).startswith(BAD)
        assert not intact(DATA, path.with_name("data.sig").read_bytes())

    def test_with_a_key_that_is_for_another_namespace_is_not(self, mara: Person) -> None:
        told = why_not(DATA, mara.sign(DATA), mara.line('namespaces="git"'))

        assert told.startswith(BAD)
        verify(DATA, mara.sign(DATA), allowed_signers=mara.line().encode(), principal=MARA, at=AT)

    @pytest.mark.parametrize(
        "rubbish", [b"", b"garbage", b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"]
    )
    def test_that_is_none_is_not(self, mara: Person, rubbish: bytes) -> None:
        assert why_not(DATA, rubbish, mara.line()).startswith(BAD)
        assert not intact(DATA, rubbish)

    @pytest.mark.parametrize("principal", ["", "*", "mara@example.org,ben@example.org", "m*", "-h", "a b", "a\nb"])
    def test_is_of_no_pattern(self, mara: Person, principal: str) -> None:
        why_not(DATA, mara.sign(DATA), mara.line(), principal)

    def test_is_good_while_its_key_is(self, mara: Person) -> None:
        """Times are UTC's wherever this runs."""
        signers = mara.line('namespaces="specbench",valid-after="20260601110000",valid-before="20260601130000"')
        signature = mara.sign(DATA)

        verify(DATA, signature, allowed_signers=signers.encode(), principal=MARA, at=AT)
        for other in (AT + timedelta(hours=1, seconds=1), AT - timedelta(hours=1, seconds=1)):
            assert why_not(DATA, signature, signers, at=other).startswith(BAD)

    def test_with_a_revoked_key_is_not(self, mara: Person, ben: Person) -> None:
        signature = mara.sign(DATA)

        assert "its key is revoked" in why_not(DATA, signature, mara.line(), revoked=f"{mara.public}\n".encode())
        verify(
            DATA,
            signature,
            allowed_signers=mara.line().encode(),
            principal=MARA,
            at=AT,
            revoked=f"{ben.public}\n".encode(),
        )
        with pytest.raises(SignatureError, match="its key is revoked"):
            principal_of(DATA, signature, mara.line().encode(), AT, f"{mara.public}\n".encode())

    def test_with_a_key_of_several_is_nobodys(self, mara: Person) -> None:
        signers = mara.line().replace(MARA, f"{MARA},{BEN}").encode()

        with pytest.raises(SignatureError, match=f"the key of several: {BEN}, {MARA}"):
            principal_of(DATA, mara.sign(DATA), signers, AT)

    def test_does_not_depend_on_the_environment(
        self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "LC_ALL": "de_DE.UTF-8",
            "LANG": "tr_TR",
            "TZ": "Asia/Tokyo",
            "HOME": str(tmp_path),
            "GIT_DIR": "/x",
        }.items():
            monkeypatch.setenv(name, value)
        signers = mara.line('namespaces="specbench",valid-before="20260601120001"')

        verify(DATA, mara.sign(DATA), allowed_signers=signers.encode(), principal=MARA, at=AT)
        assert why_not(b"", mara.sign(DATA), mara.line()).startswith(BAD)


class TestAProgramThatOnlyLooksLikeSshKeygen:
    def fake(self, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
        folder.mkdir()
        (folder / "ssh-keygen").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "ssh-keygen").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def test_and_is_missing_is_told(self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        signature = mara.sign(DATA)
        monkeypatch.setenv("PATH", str(tmp_path))

        assert "ssh-keygen is not installed" in why_not(DATA, signature, mara.line())
        with pytest.raises(SignatureError, match="not installed"):
            mara.sign(DATA)

    @pytest.mark.parametrize(
        "said",
        [
            "unknown option -- Y",
            "ssh-keygen: illegal option -- Y",
            "usage: ssh-keygen [-q]",
            "Invalid option verify-time",
        ],
    )
    def test_and_is_too_old_is_told(
        self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        signature = mara.sign(DATA)
        self.fake(tmp_path / "bin", monkeypatch, f"echo '{said}' >&2; exit 1")

        assert "too old" in why_not(DATA, signature, mara.line())
        with pytest.raises(SignatureError, match="too old"):
            mara.sign(DATA)

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ("Couldn't parse signature: missing header", "the signature is no SSH signature"),
            ("Couldn't verify signature: namespace does not match", "it was made for another namespace"),
            ("Signature verification failed: incorrect signature", "it is of something else"),
            ("the key is revoked", "its key is revoked"),
            ("allowed:1: key has expired", "1: key has expired"),
        ],
    )
    def test_and_refuses_a_signature_is_told_in_our_words_where_we_know_its(
        self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
    ) -> None:
        signature = mara.sign(DATA)
        self.fake(tmp_path / "bin", monkeypatch, f"echo {shlex.quote(said)} >&2; exit 255")

        assert why_not(DATA, signature, mara.line()).startswith(f"{BAD}{told}")

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ('Load key "key": incorrect passphrase supplied to decrypt private key', "it is protected by a passphrase"),
            ('No private key found for public key "key"', "no agent holds its private half"),
            (
                "WARNING: UNPROTECTED PRIVATE KEY FILE!\nNo private key found for public key",
                "others may read it: chmod 600",
            ),
        ],
    )
    def test_and_refuses_to_sign_is_told_in_our_words_where_we_know_its(
        self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
    ) -> None:
        self.fake(tmp_path / "bin", monkeypatch, f"echo {shlex.quote(said)} >&2; exit 255")

        with pytest.raises(SignatureError, match=f"cannot sign: {told}"):
            mara.sign(DATA)

    @pytest.mark.parametrize(
        "script",
        [
            "exit 0",
            f"echo 'Good \"specbench\" signature for {MARA} with ED25519 key'; exit 1",
            f"echo 'Good \"git\" signature for {MARA} with ED25519 key'",
            "echo 'Good \"specbench\" signature for eve@example.org with ED25519 key'",
            f"echo 'x'; echo 'Good \"specbench\" signature for {MARA} with ED25519 key'",
            f"echo 'Good \"specbench\" signature for {MARA}.evil with ED25519 key'",
        ],
    )
    def test_and_does_not_say_what_it_says_is_not_believed(
        self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
    ) -> None:
        signature = mara.sign(DATA)
        self.fake(tmp_path / "bin", monkeypatch, script)

        why_not(DATA, signature, mara.line())

    def test_and_does_not_end_is_ended(self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        signature = mara.sign(DATA)
        self.fake(tmp_path / "bin", monkeypatch, "exec sleep 1000")
        monkeypatch.setattr(signing, "VERIFY_TIMEOUT_SEC", 0.2)

        with pytest.raises(SignatureError, match="ssh-keygen cannot be run: ") as caught:
            verify(DATA, signature, allowed_signers=mara.line().encode(), principal=MARA, at=AT)
        assert isinstance(caught.value.__context__, subprocess.TimeoutExpired)

    def test_and_knows_no_name_of_the_user_says_nothing_of_the_signature(
        self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signature = mara.sign(DATA)
        self.fake(tmp_path / "bin", monkeypatch, "exit 255")

        def unknown(number: int) -> None:
            raise KeyError(number)

        monkeypatch.setattr(pwd, "getpwuid", unknown)

        assert f"the user id {os.getuid()} has none" in why_not(DATA, signature, mara.line())
        with pytest.raises(SignatureError, match="/etc/passwd"):
            intact(DATA, signature)
        with pytest.raises(SignatureError, match="/etc/passwd"):
            sign(DATA, str(mara.key))


class TestSigning:
    def test_with_a_passphrase_and_no_agent_fails_and_asks_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        locked = person(tmp_path, MARA, passphrase="a secret")
        asked = tmp_path / "asked"
        askpass = tmp_path / "askpass"
        askpass.write_text(f"#!/bin/sh\ntouch {asked}\necho 'a secret'\n")
        askpass.chmod(0o755)
        for name, value in {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

        with pytest.raises(SignatureError, match="cannot sign: "):
            locked.sign(DATA)
        assert not asked.exists()

    @pytest.mark.parametrize("key", ["gone", "."])
    def test_with_no_key_says_so(self, tmp_path: Path, key: str) -> None:
        with pytest.raises(SignatureError, match="there is no key"):
            sign(DATA, str(tmp_path / key))

    def test_with_a_file_that_is_no_key_says_so(self, tmp_path: Path) -> None:
        needs("ssh-keygen")
        (tmp_path / "key").write_text("no key")

        with pytest.raises(SignatureError, match="cannot sign"):
            sign(DATA, str(tmp_path / "key"))

    def test_with_a_public_key_that_no_agent_holds_says_so(
        self, mara: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        (tmp_path / "alone.pub").write_text(mara.public)

        with pytest.raises(SignatureError, match="cannot sign"):
            sign(DATA, str(tmp_path / "alone.pub"))
        with pytest.raises(SignatureError, match="cannot sign"):
            sign(DATA, f"key::{mara.public}")

    def test_works_with_an_agent_that_holds_the_key(self, tmp_path: Path, agent: None) -> None:
        """By the public key's file, by the key itself, and by the file of a key with a passphrase."""
        mara = person(tmp_path, MARA)
        subprocess.run(["ssh-add", "-q", mara.key], check=True, capture_output=True, timeout=60)
        mara.key.unlink()
        public = f"{mara.key}.pub"

        for key in (public, mara.public, f"key::{mara.public}"):
            verify(DATA, sign(DATA, key), allowed_signers=mara.line().encode(), principal=MARA, at=AT)

    @pytest.fixture
    def agent(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        needs("ssh-agent")
        needs("ssh-add")
        socket = tmp_path_factory.mktemp("a") / "s"
        running = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()  # it says where it listens as soon as it does
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield
        running.terminate()
        running.communicate(timeout=60)


class TestTheConfiguredKey:
    def test_is_gits_where_it_signs_by_ssh(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        git(tmp_path, "init", "-q")
        assert configured_key(tmp_path) is None
        git(tmp_path, "config", "user.signingkey", "~/.ssh/id")
        assert configured_key(tmp_path) is None
        git(tmp_path, "config", "gpg.format", "ssh")
        assert configured_key(tmp_path) == f"{tmp_path}/.ssh/id"
        git(tmp_path, "config", "user.signingkey", "key::ssh-ed25519 AAAA")
        assert configured_key(tmp_path) == "key::ssh-ed25519 AAAA"
        git(tmp_path, "config", "gpg.format", "openpgp")
        assert configured_key(tmp_path) is None


class TestAllowedSigners:
    def read(self, root: Path, text: str) -> bytes | None:
        (root / "allowed_signers").write_text(text)
        return read_signers(FolderTree(root))

    def test_are_given_as_they_are(self, mara: Person, ben: Person, tmp_path: Path) -> None:
        options = 'namespaces="specbench",valid-before="20270101"'
        text = f"# who may sign\n\n{mara.line()}{ben.line(options)}".replace(
            f"{mara.public}\n", f"{mara.public} a comment\n"
        )

        assert self.read(tmp_path, text) == text.encode()
        assert read_signers(FolderTree(tmp_path / "gone")) is None

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda line: line.replace(MARA, "*@example.org"), "list or a pattern"),
            (lambda line: line.replace(MARA, f"{MARA},{BEN}"), "list or a pattern"),
            (lambda line: line.replace(MARA, '"mara"'), "list or a pattern"),
            (lambda line: line.replace('namespaces="specbench" ', ""), "is not for namespaces"),
            (lambda line: line.replace("specbench", "specbench,git"), "is not for namespaces"),
            (lambda line: line.replace("specbench", "*"), "is not for namespaces"),
            (lambda line: line.replace("namespaces", "cert-authority,namespaces"), "no line of a signer"),
            (lambda line: line.replace("ssh-ed25519", "ssh-rsa"), "no ssh-rsa key"),
            (lambda line: line.replace("AAAA", "A"), "key"),
            (lambda line: line.rpartition(" ")[0], "no line of a signer"),
            (lambda line: "rubbish", "no line of a signer"),
            (lambda line: line + line.replace(MARA, BEN), f"is {MARA}'s already"),
        ],
    )
    def test_are_read_strictly(self, mara: Person, tmp_path: Path, change: object, said: str) -> None:
        with pytest.raises(BlockedError) as caught:
            self.read(tmp_path, "# comment\n" + change(mara.line()))  # type: ignore[operator]

        assert caught.value.cause is Cause.CONFIGURATION
        assert said in str(caught.value)
        line = 3 if "already" in said else 2
        assert str(caught.value).startswith(f"{tmp_path}/allowed_signers:{line}: ")


PEOPLE = [
    "49699333+dependabot[bot]@users.noreply.github.com",
    "miles.o'neill@example.org",
    "jörg@exämple.org",
    "李@x.cn",
]


@pytest.mark.parametrize("name", PEOPLE)
def test_any_address_names_a_person_from_init_to_a_signature(mara: Person, tmp_path: Path, name: str) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "config", "user.email", name], check=True)
    assert main(["init", str(tmp_path)]) == 0
    assert read_maintainers(FolderTree(tmp_path / "baselines")).people == {name: ("maintainers",)}

    signers = replace(mara, name=name).line().encode()
    (tmp_path / "allowed_signers").write_bytes(signers)
    assert read_signers(FolderTree(tmp_path)) == signers
    signature = mara.sign(DATA)
    verify(DATA, signature, allowed_signers=signers, principal=name, at=AT)
    assert principal_of(DATA, signature, signers, AT) == name


@pytest.mark.parametrize("name", ["m*@example.org", '"a b"@example.org', "a,b@example.org", "#a@example.org"])
def test_init_names_nobody_whom_the_loader_would_refuse(tmp_path: Path, name: str) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "config", "user.email", name], check=True)
    assert main(["init", str(tmp_path)]) == 0
    assert read_maintainers(FolderTree(tmp_path / "baselines")).people == {}


class TestMaintainers:
    def read(self, root: Path, text: str) -> Maintainers:
        (root / "maintainers.yaml").write_text(text)
        return read_maintainers(FolderTree(root))

    def test_act_for_their_rotations(self, tmp_path: Path) -> None:
        found = self.read(
            tmp_path,
            "maintainers:\n  - principal: mara@example.org\n    rotations: [workflow, release]\n"
            "  - {principal: ben, rotations: [workflow]}\n  - {principal: former, rotations: []}\n",
        )

        assert found.people == {"mara@example.org": ("workflow", "release"), "ben": ("workflow",), "former": ()}
        assert found.rotation("mara@example.org", "release") == "release"
        assert found.rotation("ben", None) == "workflow"
        for principal, asked, said in [
            ("eve", None, "eve is no maintainer"),
            ("", "workflow", "is no maintainer"),
            ("former", "workflow", "former is no maintainer"),
            ("ben", "release", "ben is not of the rotation 'release'"),
            ("mara@example.org", None, "of several rotations: workflow, release"),
        ]:
            with pytest.raises(ApprovalRefusedError, match=said):
                found.rotation(principal, asked)

    def test_are_none_where_there_is_no_file(self, tmp_path: Path) -> None:
        assert read_maintainers(FolderTree(tmp_path)).people == {}

    @pytest.mark.parametrize(
        ("text", "line", "said"),
        [
            ("", 1, "is empty"),
            ("- a", 1, "holds a list"),
            ("maintainers: {}", 1, "maintainers: holds a mapping"),
            ("maintainers:\n", 1, "maintainers: holds nothing"),
            ("maintainer: []", 1, "maintainer: is no key that is known here"),
            ("maintainers:\n  - mara", 2, "maintainers[0]: holds text"),
            ("maintainers:\n  - principal: mara\n", 2, "maintainers[0]: lacks the key 'rotations'"),
            ("maintainers:\n  - rotations: [a]\n", 2, "lacks the key 'principal'"),
            ("maintainers:\n  - principal: mara\n    rotations: a\n", 3, "maintainers[0].rotations: holds text"),
            (
                "maintainers:\n  - principal: mara\n    rotations:\n      - a\n      - 1\n",
                5,
                "rotations[1]: 1 is no name",
            ),
            ("maintainers:\n  - principal: mara\n    rotations: [a, a]\n", 3, "'a' is there twice"),
            ("maintainers:\n  - principal: m*\n    rotations: [a]\n", 2, "'m*' names nobody"),
            ("maintainers:\n  - principal: 5\n    rotations: [a]\n", 2, "5 names nobody"),
            ("maintainers:\n  - principal: mara\n    admin: true\n    rotations: [a]\n", 3, "maintainers[0].admin"),
            (
                "maintainers:\n  - {principal: a, rotations: [a]}\n  - {principal: a, rotations: [b]}\n",
                3,
                "is there twice",
            ),
            ("maintainers: []\nmaintainers: []\n", 2, "is there twice"),
            ("maintainers: [\n", 2, "is not valid YAML"),
        ],
    )
    def test_are_read_strictly(self, tmp_path: Path, text: str, line: int, said: str) -> None:
        with pytest.raises(BlockedError) as caught:
            self.read(tmp_path, text)

        assert caught.value.cause is Cause.CONFIGURATION
        assert said in str(caught.value)
        assert f"{tmp_path}/maintainers.yaml:{line}: " in str(caught.value)
