"""Where the items of a workload are computed: in processes of this machine, or on a cluster.

A `Workload` says what there is to do, an `Engine` where it is done: `Processes` here,
`triaffect.io.cluster.RayCluster` on many machines. Results come in the order of the items and do
not depend on the engine.
"""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from triaffect.io.workers import WorkerPool

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workload(ABC, Generic[Item, Result]):
    """Work on many items, which is sent to the processes that do it, as are items and results.

    Attributes:
        packages: Packages whose version may change its results, beside those of
            `triaffect.io.cluster.DECIDING`.
    """

    packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def start(self, is_cancelled: Callable[[], bool]) -> Callable[[Item], Result]:
        """Prepare a process, once; networks are loaded here.

        Args:
            is_cancelled: Returns whether the results are no longer needed.

        Returns:
            The function of an item. What is wrong with an item is part of its result.

        Raises:
            TriaffectError: Nothing can be computed here.
        """

    @abstractmethod
    def died(self, item: Item) -> Result:
        """Make the result of an item whose process died of it, each time it was tried.

        Args:
            item: The item.
        """

    @abstractmethod
    def pack(self) -> Mapping[str, bytes]:
        """Read the files of this machine that another one needs to `start`.

        Returns:
            Content by a name in which slashes stand for folders.

        Raises:
            TriaffectError: One is missing, incomplete or changed.
        """

    @abstractmethod
    def on_node(self, packed: Path, output: Path) -> Workload[Item, Result]:
        """Return the same work for another machine, on which this is called.

        Args:
            packed: Folder with the files of `pack`, there until it has started.
            output: Folder for what the items leave; it need not exist.

        Raises:
            TriaffectError: The machine lacks what has to be there.
        """

    @abstractmethod
    def folder(self, item: Item) -> Path:
        """Name the folder that a node's files of an item are copied from, and here to.

        Folders in it are copied too; empty files are not.

        Args:
            item: The item. Its folder is emptied before each try.
        """

    def finish(self, item: Item, result: Result) -> None:
        """Use the files of an item that were copied from a node into its `folder`.

        Args:
            item: The item.
            result: Its result, which is about to be passed on.
        """


class Engine(Protocol):
    """Computes the items of a workload."""

    def results(self, workload: Workload[Item, Result], items: Sequence[Item]) -> Generator[Result]:
        """Compute items; close the iterator to stop early.

        An item that kills its process is tried again, and has the result `Workload.died` in the
        end; it does not stop the others.

        Args:
            workload: What they have in common.
            items: The items.

        Yields:
            A result for each item, in their order.

        Raises:
            TriaffectError: Nothing can be computed there.
        """


@dataclass(frozen=True)
class Processes:
    """Computes in processes; `Engine` says how.

    Attributes:
        jobs: How many; 1 computes in this one.
    """

    jobs: int = 1

    def results(self, workload: Workload[Item, Result], items: Sequence[Item]) -> Generator[Result]:
        """Compute items and yield their results in order; see `Engine.results`."""
        return WorkerPool(workload.start, workload.died).results(items, self.jobs)


def machine_name() -> str:
    """Name this machine, or container, in a message."""
    return f"the machine {platform.node()}"
