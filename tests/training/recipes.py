"""Shipped recipes made small enough for a test."""

from triaffect.recipes.load import load_recipe

SMALL = {
    "paper": (
        "net.lstm=8",
        "net.trunk=[16, 8]",
        "net.head=[8, 8]",
        "net.discriminator=[8, 4]",
        "data.window.span=20",
        "data.window.hop=5",
    ),
    "light_face": ("net.widths=[8, 8]", "net.blocks=[1, 1]", "net.features=8"),
    "default": ("net.width=16", "net.head=8", "net.discriminator=[8, 4]"),
}


def small(name, *overrides):
    """A shipped recipe with a small network and few epochs."""
    recipe = load_recipe(name)
    epochs = [f"{stage}.epochs=2" for stage in recipe.stages]
    sizes = SMALL[recipe.net.kind]
    return load_recipe(name, [*sizes, *epochs, "data.batch_size=64", *overrides])
