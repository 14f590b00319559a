import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedmvp_flwr.protocol.messages import (
    CLASS_NAMES,
    PREPARE_ACTION,
    PREPARE_MESSAGE,
    class_names_record,
)


def test_the_message_reaches_the_action_of_its_name():
    app = ClientApp()

    @app.query(PREPARE_ACTION)
    def prepare(message, context):
        return Message(RecordDict({"done": ConfigRecord({"by": "prepare"})}), reply_to=message)

    context = Context(1, 2, {}, RecordDict(), {})
    reply = app(Message(RecordDict(), 2, PREPARE_MESSAGE), context)
    assert dict(reply.content["done"]) == {"by": "prepare"}


@pytest.mark.parametrize("names", [("b", "a"), ("Blümchen", "花 🌸", ""), ()])
def test_class_names_travel_in_their_order(names):
    sent = class_names_record(names)
    back = ConfigRecord.inflate(sent.deflate())
    assert back[CLASS_NAMES] == list(names)
