"""What is put in place once for many worlds, and only when the first of them needs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import ClassVar, Self


class Installation(ABC):
    """A context manager; nested ones of one class share one installation, which the outermost takes away.

    A derived class is one kind of it, and says in `_install` what that is.
    """

    _held: ClassVar[list[Installation]]

    def __init_subclass__(cls) -> None:
        cls._held = []

    def __init__(self) -> None:
        self._undo: ExitStack | None = None

    def __enter__(self) -> Self:
        self._held.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._held.remove(self)
        if self._undo is not None:
            self._undo.close()
            self._undo = None

    @classmethod
    def present(cls) -> Self:
        """The one that nested ones share.

        Raises:
            RuntimeError: outside of every block of this class.
        """
        for each in cls._held:
            assert isinstance(each, cls)
            return each
        raise RuntimeError(f"this is done inside `with {cls.__name__}():`")

    @classmethod
    def install(cls) -> None:
        """Put everything in place, if it is not, for all blocks of this class.

        Raises:
            RuntimeError: outside of every block of this class.
        """
        cls.present().put_in_place()

    def put_in_place(self) -> None:
        """Put everything in place for this block: whole or not at all, whatever interrupts it."""
        if self._undo is None:
            with ExitStack() as undo:
                self._install(undo)
                self._undo = undo.pop_all()

    @abstractmethod
    def _install(self, undo: ExitStack) -> None:
        """Do it, and note with each step what takes it away."""
