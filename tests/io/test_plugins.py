"""Objects of other packages: found by entry point or dotted path, refused in one line."""

import pytest

from triaffect.errors import PluginError
from triaffect.io.plugins import Plugin, find_plugin, plugin_names

GROUP = "triaffect.made"
MODULES = {
    "made_whole": "class Box:\n    inner = 5\nVALUE = 3\n",
    "made_broken": "import json\njson.loads('{')\n",
    "made_needs": "import made_nowhere\n",
}


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules on the path."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(folder, entry_points, name="made-package", version="1.2"):
    """What an installed package leaves beside its modules."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[{GROUP}]", *(f"{key} = {path}" for key, path in entry_points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "top_level.txt").write_text("\n".join(MODULES) + "\n")


def test_dotted_paths_load_nested_names(modules):
    assert Plugin("made_whole:VALUE").load("number VALUE") == 3
    assert Plugin("made_whole:Box.inner").load("number inner") == 5
    assert find_plugin(GROUP, "made_whole:VALUE") == Plugin("made_whole:VALUE")


def test_entry_points_are_found_by_name_with_package_and_version(modules):
    install(modules, {"three": "made_whole:VALUE"})
    assert plugin_names(GROUP) == ["three"]
    plugin = find_plugin(GROUP, "three")
    assert plugin == Plugin("made_whole:VALUE", "made-package", "1.2")
    assert plugin.load("number three") == 3
    assert Plugin(**plugin.to_json()) == plugin
    assert find_plugin(GROUP, "four") is None


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (
            Plugin("made_nowhere:VALUE"),
            "expected the number VALUE of `made_nowhere`, got no module made_nowhere; "
            "pip install the package that has it, or add its folder to PYTHONPATH",
        ),
        (
            Plugin("made_nowhere.inner:VALUE", "made-package", "1.2"),
            "expected the number VALUE of `made_nowhere.inner`, got no module made_nowhere; "
            "pip install made-package",
        ),
        (
            Plugin("made_broken:VALUE"),
            "got JSONDecodeError: .*; mend made_broken, which fails on import",
        ),
        (Plugin("made_needs:VALUE"), "got ModuleNotFoundError: No module named 'made_nowhere'"),
        (Plugin("made_whole:NOTHING"), "got a module without NOTHING; check the name"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(modules, plugin, message):
    with pytest.raises(PluginError, match=message) as refused:
        plugin.load("number VALUE")
    assert "\n" not in str(refused.value)
