"""Which of its texts a sample has, and whether they are valid Unicode."""

from collections.abc import Sequence

from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.config.data import DataSettings


def choose_text(texts: Sequence[str], key: str, data: DataSettings) -> str | None:
    """The text of a sample out of several, by the setting `captions`; None if there is none."""
    if not texts:
        return None
    if data.captions == "joined":
        return " ".join(texts)
    chosen = seed_for(data.data_seed, "caption", key) if data.captions == "sampled" else 0
    return texts[chosen % len(texts)]


def is_encodable(text: str) -> bool:
    """Whether it is valid Unicode: no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
