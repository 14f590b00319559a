"""The errors that a user can cause, each with what was found, what was expected, what to do."""


class FedMVPError(Exception):
    """Base class of every error that the library raises on purpose."""


class ConfigError(FedMVPError, ValueError):
    """A run-config key or value is wrong."""


class DataError(FedMVPError, ValueError):
    """A data set, a sample or a mask cannot be used as it is."""


class ModelError(FedMVPError, RuntimeError):
    """A frozen foundation model is missing or does not fit its role."""


class StoreError(FedMVPError, RuntimeError):
    """The feature store cannot be opened or written."""


class RoundError(FedMVPError, RuntimeError):
    """A federated round cannot be finished."""


class TooFewRepliesError(RoundError):
    """Fewer valid replies than a round needs; another attempt may have more."""


class CheckpointError(FedMVPError, RuntimeError):
    """A checkpoint is missing, damaged or belongs to another run."""


class ReportError(FedMVPError, RuntimeError):
    """Metrics cannot be written or read, or a report cannot be made of them."""


class SimulationError(FedMVPError, RuntimeError):
    """Flower's processes could not be started, asked or stopped."""
