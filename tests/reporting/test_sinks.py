from fedmvp_flwr.reporting.sinks import MultiSink


def test_multi_sink_writes_and_closes_all(tmp_path):
    class Memory:
        def __init__(self):
            self.events, self.closed = [], False

        def write(self, event):
            self.events.append(event)

        def close(self):
            self.closed = True

    first, second = Memory(), Memory()
    sink = MultiSink([first, second])
    sink.write({"event": "x"})
    sink.close()
    assert first.events == second.events == [{"event": "x"}]
    assert first.closed
    assert second.closed
