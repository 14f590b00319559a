import threading
import time

import httpx

from reliability.stops import row_of_stop

CONFIRM = "https://link/v1/fleet/confirm-message-received"
WHOLE, LACKING = {"clients": [0, 1, 2]}, {"clients": [0, 1]}


def test_a_node_confirms_no_message_while_it_is_held(rogue, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        httpx.Client, "send", lambda c, request, **o: seen.append(request.url.path) or _answer()
    )
    rogue.install_hold(str(tmp_path))
    (tmp_path / "hold").touch()
    with httpx.Client() as client:
        client.post("https://link/v1/fleet/pull-object")
        thread = threading.Thread(target=client.post, args=(CONFIRM,))
        thread.start()
        while not (tmp_path / "held").exists():
            time.sleep(0.01)
        assert seen == ["/v1/fleet/pull-object"]
        (tmp_path / "hold").unlink()
        thread.join()
    assert seen[1:] == ["/v1/fleet/confirm-message-received"]


def _answer():
    return httpx.Response(200)


def test_the_run_after_a_stopped_one_must_be_quick_and_whole():
    status = "finished:completed"
    good = row_of_stop(status, [], [LACKING, WHOLE], 80.0, 2)
    assert good.as_it_must_be
    assert good.rounds_lost == "0 (1 without its reply)"
    assert "started 2 times" in good.happened
    assert not row_of_stop(status, [], [WHOLE], 1000.0, 1).as_it_must_be, "it waited"
    assert not row_of_stop(status, [], [WHOLE, LACKING], 80.0, 2).as_it_must_be, "never whole"
    assert not row_of_stop("finished:failed", ["no"], [WHOLE], 80.0, 2).as_it_must_be
    assert not row_of_stop(status, [], [], 80.0, 2).as_it_must_be
