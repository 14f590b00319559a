import platform
from importlib.metadata import PackageNotFoundError, version

from fedmvp_flwr.base import versions as module


def test_versions_are_those_that_are_installed():
    found = module.versions()
    assert found["python"] == platform.python_version()
    assert found["flwr"] == version("flwr")
    assert found["torch"] == version("torch")


def test_what_is_not_installed_is_left_out(monkeypatch):
    def without_ray(name):
        if name == "ray":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(module, "version", without_ray)
    found = module.versions()
    assert "ray" not in found
    assert found["numpy"] == "1.0"
