"""What a workspace's store holds, and what of it nobody needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.api.common import Name, folder_of, told

if TYPE_CHECKING:
    from runner.store.garbage import Waste


@dataclass(frozen=True)
class Collected:
    """What was removed, or would be, and how much each folder of the store holds then: things, and bytes."""

    waste: list[Waste]
    held: dict[str, tuple[int, int]]

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(w.size for w in self.waste)


@told
def collect(workspace: Name = ".", *, days: float = 0, dry: bool = False) -> Collected:
    """Remove what no run of this workspace needs from its store and nobody has used for so many days; `dry` only says
    what. May be used while others run. Raises UsageError, NeedsTrust."""
    from runner.store import Store
    from runner.store.garbage import collect as swept
    from runner.store.garbage import use

    store = Store(folder_of(workspace))
    waste = swept(store, days=days, dry=dry)
    return Collected(waste, use(store))
