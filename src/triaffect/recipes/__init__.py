"""How a network is trained, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triaffect.io.exports import lazy_exports

if TYPE_CHECKING:
    from triaffect.recipes.config import Recipe, Stage
    from triaffect.recipes.load import load_recipe, recipe_hash, shipped_recipes

__all__ = ["Recipe", "Stage", "load_recipe", "recipe_hash", "shipped_recipes"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "config": ["Recipe", "Stage"],
        "load": ["load_recipe", "recipe_hash", "shipped_recipes"],
    },
)
