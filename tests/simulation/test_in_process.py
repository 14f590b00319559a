import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.supercore.task_identity import TaskIdentity

from fedmvp_flwr.simulation.in_process import InProcessGrid, run_in_process


@pytest.fixture
def client_app():
    """Answers with its number, its seed and how often it was asked; the second one fails."""
    app = ClientApp()

    @app.query("who")
    def who(message, context):
        number = context.node_config["partition-id"]
        if number == 1:
            raise ValueError("out of memory")
        asked = int(context.state.get("asked", ConfigRecord({"times": 0}))["times"]) + 1
        context.state["asked"] = ConfigRecord({"times": asked})
        values = {"number": number, "seed": context.run_config["seed"], "asked": asked}
        return Message(RecordDict({"answer": ConfigRecord(values)}), reply_to=message)

    return app


@pytest.fixture(autouse=True)
def _identity(monkeypatch):
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def test_every_client_answers_with_a_context_of_its_own(client_app):
    parts = [{"partition-id": i} for i in range(3)]
    grid = InProcessGrid(client_app, {"seed": 7}, parts)
    nodes = list(grid.get_node_ids())
    for times in (1, 2):
        messages = [Message(RecordDict(), node, "query.who") for node in nodes]
        replies = list(grid.send_and_receive(messages))
        good = [r.content["answer"] for r in replies if not r.has_error()]
        assert [dict(record) for record in good] == [
            {"number": number, "seed": 7, "asked": times} for number in (0, 2)
        ]
        (bad,) = [reply for reply in replies if reply.has_error()]
        assert "out of memory" in bad.error.reason


def test_a_reply_is_fetched_once(client_app):
    grid = InProcessGrid(client_app, {"seed": 1}, [{"partition-id": 0}])
    (node,) = grid.get_node_ids()
    ids = list(grid.push_messages([Message(RecordDict(), node, "query.who")]))
    assert len(list(grid.pull_messages(ids))) == 1
    assert list(grid.pull_messages(ids)) == []


def test_what_flower_has_and_one_process_has_not(client_app):
    grid = InProcessGrid(client_app, {}, [])
    assert list(grid.get_nodes()) == []
    with pytest.raises(RuntimeError, match="no Flower run"):
        _ = grid.run
    with pytest.raises(RuntimeError, match=r"flwr\.app\.Message"):
        grid.create_message()


def test_a_run_hands_settings_to_both_apps_and_passes_errors_on(client_app):
    server_app, seen = ServerApp(), []

    @server_app.main()
    def main(grid, context):
        seen.append((context.run_config["seed"], len(list(grid.get_node_ids()))))
        if context.run_config["seed"] == 9:
            raise ValueError("the run failed")

    run_in_process(server_app, client_app, {"seed": 3}, 4)
    assert seen == [(3, 4)]
    with pytest.raises(ValueError, match="the run failed"):
        run_in_process(server_app, client_app, {"seed": 9}, 2)
