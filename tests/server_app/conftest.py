import pytest


@pytest.fixture(autouse=True)
def _messages_have_a_sender(task_identity):
    """Every test here sends messages."""
