"""Recipes: read, checked, and looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from runner.api.common import Name, folder_of, told, trust_store, trusted
from runner.api.tables import table
from runner.errors import OK, MirepoixError, Problem, safe

if TYPE_CHECKING:
    from runner.load import Loaded
    from runner.unset import Unset
    from runner.workspace import Workspace

Trust = Literal["paths", "store", "trackers"]
"""What only the person who runs a recipe may allow: `paths` outside the workspace, `trackers` that a recipe sends to,
and a `store` that somebody else made to be believed."""


@dataclass(frozen=True, eq=False, repr=False)
class Recipe:
    """A checked recipe, with all that it extends.

    `path` is the file and `folder` the workspace, as they were named; `loaded` and `place` are what lower modules take:
    the typed recipe with every default is `loaded.recipe`.
    """

    path: Path
    folder: Path
    loaded: Loaded
    place: Workspace

    @property
    def name(self) -> str:
        """The name of its run: `runs/NAME/`."""
        return self.loaded.recipe.name

    @property
    def description(self) -> str:
        return self.loaded.recipe.description

    @property
    def workspace(self) -> Path:
        """The folder of data, runs and the store; absolute."""
        return self.place.root

    @property
    def values(self) -> dict[str, Any]:
        """What takes effect, as data: the recipe laid over what it extends. Defaults do not stand in it."""
        data: dict[str, Any] = self.loaded.document.data
        return data

    @property
    def yaml(self) -> str:
        """The same as YAML."""
        from runner.yaml12 import dump

        return dump(self.values)

    @cached_property
    def who(self) -> dict[str, str]:
        """Which file and line set each key: `mix.weights.twain` → `twain.yaml:12`."""
        return self.loaded.who

    @cached_property
    def licences(self) -> dict[str, list[str]]:
        """Licence → what of the recipe is under it; what is not known before the run is said to be so."""
        from runner.licences import licences

        return licences(self.loaded.recipe, self.place)

    @cached_property
    def terms(self) -> list[str]:
        """What those licences ask of whoever uses the data or the model: a sentence each."""
        from runner.licences import terms

        return terms(self.licences)

    @cached_property
    def unset(self) -> list[Unset]:
        """Services that the recipe asks and that no setting of yours names: `.step` and `.what`, a sentence."""
        from runner.unset import of_recipe

        return of_recipe(self.loaded)

    @cached_property
    def warnings(self) -> list[Problem]:
        """Gates that no result on so many prompts could pass, each at its place."""
        from runner.provable import unprovable

        return unprovable(self.loaded, self.place)

    def __getitem__(self, key: str) -> Any:
        """A value by its path, as `who` names it: `recipe["mix.weights.twain"]`, `recipe["sources[0].name"]`.

        Raises KeyError, which says the nearest one that is there.
        """
        from runner.wording import nearest

        found: Any = self.values
        for part in key.replace("[", ".").replace("]", "").split("."):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (LookupError, TypeError, ValueError):
                raise KeyError(f"nothing sets {key!r}{nearest(key, self.who)}") from None
        return found

    def __repr__(self) -> str:
        return safe(f"<Recipe {self.name} of {self.path}: {len(self.who)} keys set>")

    def _repr_html_(self) -> str:
        rows = [(key, _short(self[key]), place) for key, place in self.who.items()]
        return table(("key", "value", "set in"), rows, repr(self)[1:-1])


def _short(value: Any) -> str:
    from runner.shown import cut

    return cut(str(value), 160)


@told
def load(path: Name, workspace: Name = ".", trust: Collection[Trust] = ()) -> Recipe:
    """Read and check a recipe: a file, or the name of one that is shipped (`quickstart.yaml`).

    Files that the recipe names lie in `workspace`. Raises RecipeError, whose `problems` are all that is wrong, each
    with `file`, `line` and `column` (from 1; 0 means the whole file), `where` and `what`; UsageError where there is no
    such file or folder; NeedsTrust for what `trust` has to allow.
    """
    from runner.load import load_recipe, located
    from runner.workspace import Workspace

    folder, allowed = folder_of(workspace), trusted(trust, get_args(Trust))
    if "store" in allowed:
        trust_store(folder)
    # Jobs run in the workspace: a relative path would mean another place to them.
    place = Workspace(folder.resolve(), allowed)
    return Recipe(Path(path), folder, load_recipe(located(Path(path)), place), place)


def loaded(recipe: Recipe | Name, workspace: Name = ".", trust: Collection[Trust] = ()) -> Recipe:
    """A recipe as it is; a file's name as `load` reads it. `workspace` and `trust` are those of a file's name."""
    return recipe if isinstance(recipe, Recipe) else load(recipe, workspace, trust)


@dataclass(frozen=True)
class Checked:
    """A file that was checked: the recipe, or else what is wrong with it. `problems` has places where there are any."""

    path: Path
    recipe: Recipe | None
    error: MirepoixError | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def exit(self) -> int:
        """What `recipe check` exits with: 0, 2 for a wrong recipe, 4 for one that needs trust."""
        return OK if self.error is None else self.error.exit_code


def check(paths: Iterable[Name], workspace: Name = ".", trust: Collection[Trust] = ()) -> Iterator[Checked]:
    """Check recipes, one after the other. Raises nothing of what is wrong with them: it is told of each."""
    for path in paths:
        try:
            yield Checked(Path(path), load(path, workspace, trust))
        except MirepoixError as e:
            yield Checked(Path(path), None, e, list(getattr(e, "problems", [])))
