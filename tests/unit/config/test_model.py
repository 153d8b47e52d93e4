"""The typed model: what it declares, the schema says too."""

import dataclasses
import pickle
import subprocess
import sys

import pytest

from was.config import model
from was.config.model import AppPool, Binding, PathSettings


def test_a_pool_made_by_hand_is_the_pool_of_an_empty_entry(home):
    """The defaults in the dataclasses are the schema's, for pools and all that is in them."""
    loaded = home.server()
    assert loaded.config.app_pools["p"] == AppPool(name="p")


def test_sites_and_server_sections_have_the_defaults_of_the_schema(home):
    """Limits, log and web limits of a site that says nothing; only paths depend on the home."""
    config = home.server().config
    (site,) = config.sites
    logs = str(home.folder / "logs")
    assert site.limits == model.SiteLimits()
    assert site.log_file == model.LogFile(directory=logs)
    assert config.web_limits == model.WebLimits()


def test_path_settings_have_the_defaults_of_the_schema(home, at):
    """Each section that the built-in level leaves alone equals its dataclass's defaults."""
    settings = at(home.server())
    for name in (
        "directory_browse",
        "http_logging",
        "http_protocol",
        "server_runtime",
        "anonymous_authentication",
    ):
        default = next(f for f in dataclasses.fields(PathSettings) if f.name == name).default
        assert getattr(settings, name) == default
    bare = dataclasses.replace(settings.static_content, mime_map={})
    assert bare == model.StaticContent()
    assert dataclasses.replace(settings.http_errors, entries=()) == model.HttpErrors()
    filtering = dataclasses.replace(settings.request_filtering, hidden_segments=())
    assert filtering == model.RequestFiltering()


def test_views_are_frozen_and_pickle(home, at):
    """A view cannot be changed and reaches another process equal to what it was."""
    loaded = home.server()
    for value in (loaded.config, at(loaded)):
        assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.config.sites[0].name = "x"


def test_where_something_is_written_is_no_part_of_its_value():
    """Moving a line is no change of configuration."""
    assert Binding(line=1, file="a") == Binding(line=2, file="b")


def test_every_name_of_the_model_is_there():
    """__all__ promises nothing that does not exist."""
    assert all(hasattr(model, name) for name in model.__all__)


def test_loading_configuration_imports_the_standard_library_only():
    """It is in every worker: nothing of ours but errors, nothing of anyone else, no asyncio."""
    code = (
        "import sys, pathlib; before = set(sys.modules); from was.config.files import load_text;"
        "load_text(b'<configuration/>', pathlib.Path('/nonexistent'));"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = [sys.executable, "-I", "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    ours = [name for name in loaded if name.startswith("was.")]
    assert all(name == "was.errors" or name.startswith("was.config") for name in ours)
    for heavy in ("asyncio", "socket", "subprocess", "zmq", "msgspec", "xml"):
        assert heavy not in loaded
