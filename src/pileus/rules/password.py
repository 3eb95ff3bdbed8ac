"""Passwords: how they are hashed, and how a user proves itself by one, at a bounded rate.

`PasswordChecks.user` is the place where a name and a password become a user; `verbs/directory.py` has another one,
which asks a directory. `Authority` makes the caller of the user that they return.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pileus.model import bounds
from pileus.model.errors import InvalidValue, Throttled
from pileus.model.user import User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pileus.model.directory import UserDirectory
    from pileus.rules.core import Core

SHORTEST = 8
"""Characters of a password that a person chooses, at least (NIST SP 800-63B, 3.1.1.2)."""

AGAIN = 3.0
"""Seconds after which one more password of a user is looked at, when too many were wrong."""

PATIENCE = 5.0
"""Seconds for which a request waits until fewer passwords are looked at."""

_CHOSEN = PasswordHasher()
"""RFC 9106's second recommended option: 64 MiB, three passes, four lanes."""

_RANDOM = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
"""For passwords of 144 random bits, at which nobody guesses: what makes guessing slow would slow us alone, by 0.25 s
and 64 MiB for each user and each login. A hash says what it was made with, so older ones, and dearer ones, are good."""

_DUMMIES = tuple(hasher.hash("the password of a user that does not exist") for hasher in (_CHOSEN, _RANDOM))
"""A hash by each hasher, for names without a user, and for the time that a wrong password takes."""


def hash_random(password: str) -> str:
    """Return the hash of a password that was drawn at random."""
    return _RANDOM.hash(password)


def check_chosen(password: str) -> None:
    """Raise InvalidValue for a person's password that is too short or too long."""
    most = bounds.USER_PASSWORD.most
    if not SHORTEST <= len(password) <= most:
        raise InvalidValue(f"A password has {SHORTEST} to {most} characters.", noun=User.KIND, reason="password")


def matches(hashed: str, password: str) -> bool:
    """Whether this is the password of a hash; False for the empty hash of a user without a password.

    A wrong password takes one comparison by each hasher, whichever made the hash: its time tells nothing of the user.
    """
    if _verified(hashed, password):
        return True
    for dummy in _DUMMIES:
        if _parameters(dummy) != _parameters(hashed):
            _verified(dummy, password)
    return False


def _verified(hashed: str, password: str) -> bool:
    try:
        return _CHOSEN.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _parameters(hashed: str) -> str:
    """The part of a hash before its salt (PHC string format)."""
    return hashed.rpartition("$")[0].rpartition("$")[0]


class PasswordChecks:
    """Hashes and verifies passwords: few at once, for each takes 64 MiB, and few of a user after wrong ones."""

    directory: UserDirectory | None = None
    """The directory that proves users too, if there is one."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._slots = threading.BoundedSemaphore(bounds.PASSWORD_CHECKS.most)
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """The number of wrong passwords, which falls by one in AGAIN seconds, and when that was so, by user name."""

    def user(self, core: Core, name: str, password: str) -> User | None:
        """The user with this name and password; None for any other. Raises Throttled.

        A name that nobody has takes as long as one that somebody has.
        """
        with core.store.read() as tx:
            user = tx.named(User, name) if name else None
        hashed = user.wanted.password if user is not None else ""
        return user if self.right(name, hashed, password) else None

    def right(self, name: str, hashed: str, password: str) -> bool:
        """Whether this is the password of the user `name`, by its hash. Raises Throttled."""
        self.refuse_guesses(name)
        with self._slot():
            # Others were wrong while this one waited.
            self.refuse_guesses(name)
            is_right = len(password) <= bounds.USER_PASSWORD.most and matches(hashed, password)
            if not is_right:
                self.note_wrong(name)
        return is_right

    def hash_chosen(self, password: str) -> str:
        """Return the hash of a password that a person chose. Raises InvalidValue, Throttled."""
        check_chosen(password)
        with self._slot():
            return _CHOSEN.hash(password)

    def refuse_guesses(self, name: str) -> None:
        """Raise Throttled for a user with too many wrong passwords."""
        if self._count(name) >= bounds.WRONG_PASSWORDS.most:
            text = f"Too many wrong passwords of this user: try again in {AGAIN:g} seconds."
            raise Throttled(text, noun=User.KIND, reason="passwords")

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        """Context manager: one of the few hashes at once is made or verified in the block. Raises Throttled."""
        if not self._slots.acquire(timeout=PATIENCE):
            raise Throttled("Too many passwords are looked at: try again.", noun=User.KIND, reason="passwords")
        try:
            yield
        finally:
            self._slots.release()

    def _count(self, name: str) -> float:
        count, at = self._wrong.get(name, (0.0, 0.0))
        return max(0.0, count - (self._monotonic() - at) / AGAIN)

    def note_wrong(self, name: str) -> None:
        """Count a wrong password of a user."""
        with self._lock:
            self._wrong[name] = self._count(name) + 1.0, self._monotonic()
            self._wrong.move_to_end(name)
            if len(self._wrong) > bounds.RATE_KEYS.most:
                self._wrong.popitem(last=False)
