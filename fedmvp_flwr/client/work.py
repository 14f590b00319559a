"""What a client does for a message, besides the message: find its data, prepare, keep the result.

Heavy libraries are imported by `prepare` alone.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.errors import ConfigError, DataError, FedMVPError
from fedmvp_flwr.base.samples import Dataset
from fedmvp_flwr.client.data import ClientData
from fedmvp_flwr.client.prepared_file import load_client, save_client
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.config.node import Node

if TYPE_CHECKING:
    from fedmvp_flwr.foundation.bundle import FoundationModels

import ctypes
import gc

_CLIENTS_IN_MEMORY = 2  # an actor of a simulation serves several clients in turn, a node one
_KINDS = re.compile(r"^\s*(\d+ x [^:\n]+):", re.MULTILINE)  # the lines of `Findings`

_logger = logging.getLogger(__name__)


def node_dataset(node: Node, data: DataSettings, classes: Sequence[str]) -> Dataset:
    """The data set that a node takes its samples from: its own folder, or the run's.

    Raises:
        DataError: it cannot be used; a label is none of the run's classes.
        ConfigError: the run leaves the data to the nodes, and this one has none.
    """
    if node.data_path is not None:
        from fedmvp_flwr.data.sources.folder import load_folder

        return load_folder(node.data_path, data, node.cache_dir, classes)
    from fedmvp_flwr.data.sources.registry import load_dataset, source_of

    if source_of(data.dataset)[0].at_nodes:
        raise ConfigError(
            f"dataset='{data.dataset}', but this node has no data-path. Start it with "
            "--node-config 'data-path=\"/folder\"'."
        )
    dataset = load_dataset(data, node.cache_dir)
    if tuple(classes) != dataset.class_names:
        raise DataError(
            f"The server's {len(classes)} classes are not those of dataset='{data.dataset}' "
            f"({len(dataset.class_names)}): give all the same data set."
        )
    return dataset


def prepare_node(config: RunConfig, node: Node, classes: Sequence[str]) -> ClientData:
    """Complete and encode the node's samples and keep the result for the messages to come.

    Raises:
        FedMVPError: the data, a model or a folder cannot be used.
    """
    from fedmvp_flwr.client.preparation import prepare_client

    dataset = node_dataset(node, config.data, classes)
    data = prepare_client(dataset, node.own(config), node, _models(node.own(config)))
    save_client(config, node, classes, data)
    give_back()  # what the encoders' activations took
    return data


def client_data(config: RunConfig, node: Node, classes: Sequence[str]) -> ClientData:
    """The node's features: from memory, from disk, or, where both fail, prepared now."""
    return _client_data(config, node, tuple(classes))


@lru_cache(maxsize=_CLIENTS_IN_MEMORY)
def _client_data(config: RunConfig, node: Node, classes: tuple[str, ...]) -> ClientData:
    data = load_client(config, node, classes)
    if data is None:
        _logger.warning("Nothing prepared for these settings: the samples are prepared now.")
        data = prepare_node(config, node, classes)
        release_models()
    return data


@lru_cache(maxsize=1)
def _models(config: RunConfig) -> "FoundationModels":
    from fedmvp_flwr.completion.registry import frozen_models

    return frozen_models(config, str(resolve_device(config.run.device)))


def release_models() -> None:
    """Let go of the frozen models: none is in memory while training."""
    if _models.cache_info().currsize:
        _models.cache_clear()
        give_back()


@contextmanager
def discreet(node: Node) -> Iterator[None]:
    """Replace any error by what the server may know of it: Flower sends it an error's text.

    Of a node's own folder that is what kind of thing is wrong, and how often: names of files and
    samples stay in the node's log.

    Raises:
        DataError: in the place of an error at a node with a folder of its own.
    """
    try:
        yield
    except Exception as error:
        if node.data_path is None:
            raise
        _logger.error("%s", error, exc_info=None if isinstance(error, FedMVPError) else error)
        kinds = ", ".join(_KINDS.findall(str(error)))
        raise DataError(
            f"{type(error).__name__}{f' ({kinds})' if kinds else ''}: its data or settings cannot "
            "be used; its own log says why"
        ) from None


def give_back() -> None:
    """Return what freed tensors and models leave behind in the allocator.

    The C library keeps freed memory for later; a client that has just prepared its samples needs
    far less from then on, and other clients of the machine could use it. Does nothing on systems
    without glibc.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
