"""SSH signatures, by `ssh-keygen -Y` with the namespace `specbench`. Nothing but its success is ever taken for good."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pytest_specbench.core.errors import SpecbenchError
from pytest_specbench.core.git import git
from pytest_specbench.store.baselines.maintainers import PRINCIPAL

NAMESPACE = "specbench"
SIGN_TIMEOUT_SEC = 120
"""A hardware key waits for a touch."""
VERIFY_TIMEOUT_SEC = 30
OLDEST = "OpenSSH 8.9 or newer"

_NEEDED_TO_SIGN = ("HOME", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER", "SSH_SK_HELPER", "XDG_RUNTIME_DIR")
_TOO_OLD = re.compile(
    r"^usage:|illegal option|unknown option|unsupported (?:operation|option)|invalid option",
    re.IGNORECASE | re.MULTILINE,
)
_LITERAL = re.compile(r"(?:key::)?((?:ssh|ecdsa|sk)-\S+ +[A-Za-z0-9+/=]+.*)", re.DOTALL)
"""A public key in place of a path, as git's user.signingkey may be."""


class SignatureError(SpecbenchError):
    """A signature cannot be made, or is not good."""


def sign(data: bytes, key: str) -> bytes:
    """The armoured signature of `data`. `key` is the path of a private key, or of a public one whose private half an
    agent or the file beside it holds, or a public key itself. Nothing is ever asked: a key with a passphrase needs an
    agent.
    """
    with _folder() as folder:
        literal = _LITERAL.fullmatch(key.strip())
        if literal:
            (folder / "key.pub").write_text(literal[1] + "\n", "utf-8")
        path = folder / "key.pub" if literal else Path(os.path.expanduser(key)).absolute()  # noqa: PTH111 - no home
        if not path.is_file():
            raise SignatureError(
                f"there is no key {key}", expected="the path of an SSH key", hint="ssh-keygen -t ed25519"
            )
        given = folder / "data"
        given.write_bytes(data)
        by_agent = ["-U"] if literal else []
        done = _ssh_keygen(
            ["-Y", "sign", "-f", str(path), "-n", NAMESPACE, *by_agent, str(given)],
            timeout=SIGN_TIMEOUT_SEC,
            environment={name: os.environ[name] for name in _NEEDED_TO_SIGN if name in os.environ},
        )
        made = given.with_name("data.sig")
        if done.returncode or not made.is_file():
            raise SignatureError(f"{key} cannot sign: {_why_not(done.stderr)}", hint="ssh-add KEY, then once more")
        return made.read_bytes()


def verify(
    data: bytes,
    signature: bytes,
    *,
    allowed_signers: bytes,
    principal: str,
    at: datetime,
    revoked: bytes | None = None,
) -> None:
    """Raises SignatureError unless `signature` is one that `principal` made of `data`, with a key that
    `allowed_signers` (OpenSSH's format) gives them for the time `at`, and that is not among the `revoked` keys
    (public keys, one a line, or an OpenSSH key revocation list).
    """
    if not PRINCIPAL.fullmatch(principal):
        raise SignatureError(f"{principal!r} names nobody who could sign", expected="a name such as mara@example.org")
    with _folder(allowed=allowed_signers, signature=signature, revoked=revoked) as folder:
        arguments = ["-Y", "verify", "-f", "allowed", "-I", principal, "-n", NAMESPACE, "-s", "signature"]
        if revoked is not None:
            arguments += ["-r", "revoked"]
        done = _ssh_keygen([*arguments, _time(at)], folder=folder, given=data)
        good = f'Good "{NAMESPACE}" signature for {principal} with '.encode()
        if done.returncode == 0 and done.stdout.startswith(good):
            return
        raise SignatureError(f"no good signature of {principal}: {_why_bad(folder, done, principal, at)}")


def principal_of(
    data: bytes, signature: bytes, allowed_signers: bytes, at: datetime, revoked: bytes | None = None
) -> str:
    """Whose signature of `data` it is. Raises SignatureError unless it is a good one, of exactly one principal."""
    with _folder(allowed=allowed_signers, signature=signature) as folder:
        found = _principals(folder, at)
    if len(found) != 1:
        whose = f"the key of several: {', '.join(found)}" if found else "nobody's"
        raise SignatureError(
            f"the key that signed is {whose} by the allowed signers at {at:%Y-%m-%d %H:%M}",
            expected=f'a line such as: mara@example.org namespaces="{NAMESPACE}" ssh-ed25519 AAAA...',
            hint="add the public key to allowed_signers in the baseline folder, in a change of its own",
        )
    verify(data, signature, allowed_signers=allowed_signers, principal=found[0], at=at, revoked=revoked)
    return found[0]


def intact(data: bytes, signature: bytes) -> bool:
    """Whether `signature` is one of `data`, whoever made it and whatever became of the key since."""
    with _folder(signature=signature) as folder:
        done = _ssh_keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", "signature"], folder=folder, given=data)
        return done.returncode == 0 and done.stdout.startswith(f'Good "{NAMESPACE}" signature with '.encode())


def configured_key(repository: Path) -> str | None:
    """The SSH key that git is configured to sign with here; None where it is not, or signs by other means."""
    if git(repository, "config", "--get", "gpg.format").out.strip() != b"ssh":
        return None
    return os.fsdecode(git(repository, "config", "--type=path", "--get", "user.signingkey").out.strip()) or None


@contextmanager
def _folder(**files: bytes | None) -> Iterator[Path]:
    """A private temporary folder with these files."""
    with tempfile.TemporaryDirectory(prefix="specbench-sign-") as name:
        folder = Path(name)
        for file, content in files.items():
            if content is not None:
                (folder / file).write_bytes(content)
        yield folder


def _ssh_keygen(
    arguments: Sequence[str],
    *,
    folder: Path | None = None,
    given: bytes | None = None,
    timeout: float | None = None,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen without a terminal: it can ask nobody. Times are UTC's.

    Raises SignatureError where it cannot work, which says nothing of any signature.
    """
    try:
        done = subprocess.run(
            ["ssh-keygen", *arguments],
            cwd=folder,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "LC_ALL": "C",
                "TZ": "UTC",
                "SSH_ASKPASS_REQUIRE": "never",
                **(environment or {}),
            },
            # An empty input stands for itself: without one there is /dev/null.
            stdin=subprocess.DEVNULL if given is None else None,
            input=given,
            capture_output=True,
            timeout=timeout or VERIFY_TIMEOUT_SEC,
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError:
        raise SignatureError(
            "ssh-keygen is not installed", expected=OLDEST, hint="install OpenSSH's client, for example openssh-client"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SignatureError(f"ssh-keygen cannot be run: {error}", expected=OLDEST) from None
    if done.returncode and not _has_name():
        raise SignatureError(
            f"ssh-keygen works for no user without a name, and the user id {os.getuid()} has none here",
            expected="an entry for it in the user database, as images that run under any id make when they start",
            hint=f"echo 'specbench:x:{os.getuid()}:0::/tmp:/bin/sh' >> /etc/passwd, or run as another user",
        )
    return done


def _has_name() -> bool:
    """Whether this process's user has an entry in the user database."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


def _time(at: datetime) -> str:
    return f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}"


def _principals(folder: Path, at: datetime) -> list[str]:
    done = _ssh_keygen(["-Y", "find-principals", "-s", "signature", "-f", "allowed", _time(at)], folder=folder)
    _refuse_old(done.stderr)
    if done.returncode:
        return []
    return sorted({name for line in done.stdout.decode("utf-8", "replace").split() for name in line.split(",")})


def _why_bad(folder: Path, done: subprocess.CompletedProcess[bytes], principal: str, at: datetime) -> str:
    """What ssh-keygen found wrong, in our words."""
    said = _lines(done.stderr)
    _refuse_old(done.stderr)
    if "parse signature" in said or "armor" in said or "incomplete" in said:
        return "the signature is no SSH signature"
    if "namespace does not match" in said:
        return f"it was made for another namespace than {NAMESPACE!r}"
    if "incorrect signature" in said:
        return "it is of something else: what was signed, or the signature, was altered"
    if "revoked" in said.lower():
        return "its key is revoked"
    if "expired" in said or "not yet valid" in said or "not permitted" in said:
        return said.removeprefix("allowed:")
    whose = _principals(folder, at)
    if whose and principal not in whose:
        return f"its key is {', '.join(whose)}'s"
    if not whose:
        return f"its key is nobody's by the allowed signers at {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if (folder / "revoked").exists():
        return "its key is revoked"
    return said or "ssh-keygen gives no reason"


def _why_not(stderr: bytes) -> str:
    """Why ssh-keygen could not sign, in our words."""
    said = _lines(stderr)
    _refuse_old(stderr)
    if "passphrase" in said:
        return "it is protected by a passphrase, and no agent holds it"
    if "UNPROTECTED" in said or "too open" in said:  # such a key is passed over, and then said not to be found
        return "others may read it: chmod 600"
    if "No private key found" in said or "agent" in said.lower():
        return f"no agent holds its private half ({said})"
    return said or "ssh-keygen gives no reason"


def _refuse_old(stderr: bytes) -> None:
    if _TOO_OLD.search(stderr.decode("utf-8", "replace")):
        raise SignatureError("ssh-keygen is too old to sign and verify", expected=OLDEST, hint="ssh -V")


def _lines(stderr: bytes) -> str:
    text = stderr.decode("utf-8", "replace").replace("\r", "")
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
