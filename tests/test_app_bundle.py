"""What Flower ships to every node: our code, no weights, no tests, small."""

import io
import re
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # starts processes


ROOT = Path(__file__).resolve().parents[1]
MAX_BUNDLE_BYTES = 1_000_000  # Flower's own limit is ten times this
OF_COMMAND_LINE = ("cli", "comparison", "pretraining", "quality", "simulation")


@pytest.fixture(scope="module")
def bundle():
    from flwr.cli.build import build_fab_from_disk

    content = build_fab_from_disk(ROOT)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        yield content, archive.namelist()


def test_holds_library_and_apps(bundle):
    _, names = bundle
    for name in (
        "pyproject.toml",
        "fedmvp_flwr/__init__.py",
        "fedmvp_flwr/aggregation/strategy.py",
        "fedmvp_flwr/data/sources/flora.py",
        "client_app/app.py",
        "server_app/app.py",
    ):
        assert name in names
    library = ROOT / "fedmvp_flwr"
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in library.rglob("*.py")
        if path.relative_to(library).parts[0] not in OF_COMMAND_LINE
    }
    assert sources <= set(names), "Flower left a module out (folders named lib, build, env vanish)"


def test_the_apps_import_nothing_of_the_command_line():
    """What is not in the bundle: looked for in the text, since imports may stand in functions."""
    parts = "|".join(name.removesuffix(".py") for name in OF_COMMAND_LINE)
    pattern = re.compile(rf"(from|import) fedmvp_flwr\.({parts})\b")
    for folder in ("fedmvp_flwr", "client_app", "server_app"):
        for path in (ROOT / folder).rglob("*.py"):
            place = path.relative_to(ROOT / folder).parts[0]
            if folder != "fedmvp_flwr" or place not in OF_COMMAND_LINE:
                assert not pattern.search(path.read_text()), path


def test_holds_nothing_else(bundle):
    content, names = bundle
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"fedmvp_flwr", "client_app", "server_app", ".info"}
    endings = {Path(name).suffix for name in names if not name.startswith(".info")}
    assert endings <= {".py", ".toml", ".md", ""}
    assert not any(name.split("/")[1] in OF_COMMAND_LINE for name in names if name.count("/"))
    assert len(content) < MAX_BUNDLE_BYTES


def test_defaults_of_the_app_are_those_of_the_library():
    import tomllib

    from fedmvp_flwr import RunConfig

    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert table == RunConfig.of().to_run_config()
