import pytest
from flwr.supercore import sql_mixin
from sqlalchemy import create_engine, event, text

from fedmvp_flwr.deploy.superlink import wait_longer


@pytest.fixture
def busy_timeout(tmp_path):
    """What a connection of Flower's has, as Flower opens it."""
    engines = []

    def ask():
        engine = create_engine(f"sqlite:///{tmp_path}/state.db")
        event.listen(engine, "connect", sql_mixin._set_sqlite_pragmas)
        engines.append(engine)
        with engine.connect() as connection:
            return connection.execute(text("PRAGMA busy_timeout")).scalar()

    yield ask
    for engine in engines:
        engine.dispose()


def test_flowers_database_is_waited_for(busy_timeout, monkeypatch):
    before = sql_mixin.SQLITE_PRAGMAS
    monkeypatch.setattr(sql_mixin, "SQLITE_PRAGMAS", before)  # undone at the end
    assert busy_timeout() == 5000
    wait_longer()
    assert busy_timeout() == 60_000
    assert dict(sql_mixin.SQLITE_PRAGMAS) == dict(before) | {"busy_timeout": "60000"}
