import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fedmvp_flwr.base.jsonl import JsonlSink
from fedmvp_flwr.config import RunConfig

COLOURS = ("crimson", "golden", "violet", "white")
FORMS = ("bell", "star", "lily", "aster", "poppy", "crown")
CLASS_NAMES = [f"{colour} {form}" for colour in COLOURS for form in FORMS]
CONDITIONS = {"complete": 0.86, "image-only": 0.71, "text-only": 0.6}

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Parses a page strictly: every element that opens must close, in order."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.texts, self._open = [], [], []
        self.feed(self.source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append((data, tuple(self._open)))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def sections(self):
        return [attributes["id"] for attributes in self.all("section")]

    @property
    def text(self):
        return " ".join(" ".join(data for data, _ in self.texts).split())


class SyntheticRun:
    """Writes what a run would leave behind: 10 clients, 24 classes, 30 rounds by default."""

    def __init__(self, out, rounds=30, clients=10, class_names=CLASS_NAMES, **config):
        self.out = Path(out)
        self.rounds, self.clients, self.class_names = rounds, clients, class_names
        self.config = RunConfig.from_run_config(
            {"num-server-rounds": rounds, "out-dir": "runs/demo", **config}
        ).to_run_config()
        self.rng = np.random.default_rng(7)
        self.sink = JsonlSink(self.out / "metrics.jsonl")
        self.scores = {}

    def event(self, event, /, **values):
        self.sink.write({"event": event, **{k.replace("_", "-"): v for k, v in values.items()}})

    def start(self):
        versions = {"python": "3.11.9", "flwr": "1.41.0", "torch": "2.14.1"}
        self.event("run-start", config=self.config, versions=versions, class_names=self.class_names)

    def phase(self, name, seconds=None):
        self.event("phase", name=name, status="start")
        if seconds is not None:
            self.event("phase", name=name, status="end", seconds=seconds)

    def prepare(self, names=None):
        self.phase("completion", 71.4)
        for client in range(self.clients):
            share = self.rng.dirichlet([0.5] * len(self.class_names))
            labels = self.rng.multinomial(150, share)
            completions = {
                "image": {"made": 40, "reused": 20, "rejected": 4 + client % 3},
                "text": {"made": 50, "reused": 10, "rejected": 1},
            }
            none = {name: dict.fromkeys(counts, 0) for name, counts in completions.items()}
            self.event(
                "client",
                partition_id=client,
                samples=150,
                complete=30,
                missing={"image": 60, "text": 60},
                labels=labels,
                completions=none if self.config["completion"] == "none" else completions,
                gate_threshold=0.18 + 0.01 * client,
                seconds={"completion": 5.1, "features": 1.7},
                name=(names or {}).get(client),
            )
        self.phase("probe", 12.9)

    def round(self, number, rejected=()):
        clients = sorted(self.rng.choice(self.clients, max(self.clients // 2, 2), replace=False))
        size = len(clients)
        graph = self.config["method"] == "fedmvp"
        progress = 1 - math.exp(-number / 8)
        noise = self.rng.uniform(0, 0.2 * (1.1 - progress), (size, size))
        similarity = 1 - (noise + noise.T) / 2
        np.fill_diagonal(similarity, 1.0)
        importance = similarity.sum(1) / similarity.sum()
        weights = importance if graph else np.full(size, 1 / size)
        parts = {
            "supervised": 3.2 - 2.4 * progress,
            "matching": (7.4 - 1.5 * progress) * graph,
            "margin": (0.4 - 0.2 * progress) * graph,
            "auxiliary": (6.1 - 3 * progress) * graph,
        }
        self.event(
            "round",
            round=number,
            clients=clients,
            weights=weights,
            importance=importance if graph else None,
            similarity=similarity if graph else None,
            train={"loss": sum(parts.values()), **parts},
            bytes={"up": 1_318_220, "down": 1_318_220},
            seconds={"train": 3.1 + self.rng.normal(0, 0.2), "aggregate": 0.4},
            rejected=list(rejected),
        )
        if number % 5 == 0 or number == self.rounds:
            self.evaluate(number, progress)

    def evaluate(self, number, progress):
        plain = {k: top * progress + 0.02 for k, top in CONDITIONS.items()}
        completed = {k: plain[k] + 0.04 * progress for k in ("image-only", "text-only")}
        self.scores = {
            "accuracy": plain,
            "macro-f1": {k: v - 0.02 for k, v in plain.items()},
            "accuracy-with-completion": completed,
            "macro-f1-with-completion": {k: v - 0.02 for k, v in completed.items()},
        }
        self.event("evaluation", round=number, where="server", **self.scores)
        self.event("evaluation", round=number, where="clients", **self.scores)

    def finish(self, status="completed", **more):
        self.phase("evaluation", 4.2)
        self.event("run-end", status=status, **more)
        self.sink.close()
        result = {
            "status": status,
            **more,
            **self.scores,
            "bytes": {"upload-per-client-round": 1_318_220, "download-per-client-round": 1_318_220},
            "seconds": {"completion": 71.4, "probe": 12.9, "training": 121.0, "total": 214.0},
            "config": self.config,
            "hashes": {"split": "ab" * 32, "masks": "cd" * 32},
        }
        (self.out / "result.json").write_text(json.dumps(result))

    def complete(self):
        """Write a whole run with completions."""
        self.start()
        self.prepare()
        self.event("phase", name="training", status="start")
        self.evaluate(0, 0.0)
        for number in range(1, self.rounds + 1):
            lost = [{"client": 3, "reason": "the array 'head.weight' holds NaN"}]
            self.round(number, lost if number == 4 else ())
        self.event("phase", name="training", status="end", seconds=121.0)
        self.completions()
        self.finish()
        return self.out

    def completions(self, count=8):
        """Write completed samples: flowers, and texts about them."""
        folder = self.out / "completions"
        folder.mkdir(exist_ok=True)
        rows = []
        for index in range(count):
            colour = ("#c4304a", "#e0a820", "#8a5fd0", "#dddde8")[index % 4]
            save_flower(folder / f"{index}.png", colour, 5 + index % 3)
            to_image = index % 2 == 0
            if to_image:
                save_flower(folder / f"{index}-made.png", colour, 5 + (index + 1) % 3)
            rows.append({
                "key": f"sample-{index}",
                "class-name": self.class_names[index % len(self.class_names)],
                "source": "text" if to_image else "image", "original-image": f"{index}.png",
                "original-text": f"a flower with {5 + index % 3} striped petals and a dark centre",
                "generated-image": f"{index}-made.png" if to_image else None,
                "generated-text": None if to_image else "a flower with five round petals",
                "similarity": 0.31 - 0.02 * index, "accepted": index != 5,
            })  # fmt: skip
        (folder / "index.json").write_text(json.dumps({"completions": rows}))


def save_flower(path, colour, petals):
    image = Image.new("RGB", (64, 64), "#4d7f4a")
    draw = ImageDraw.Draw(image)
    for k in range(petals):
        x, y = (
            32 + 16 * math.cos(2 * math.pi * k / petals),
            32 + 16 * math.sin(2 * math.pi * k / petals),
        )
        draw.ellipse((x - 11, y - 11, x + 11, y + 11), fill=colour)
    draw.ellipse((25, 25, 39, 39), fill="#46301e")
    image.save(path)


@pytest.fixture
def new_run(tmp_path):
    """Factory of runs in an empty folder."""

    def make(**settings):
        return SyntheticRun(tmp_path, **settings)

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Folder of a completed run of the usual size; do not change it."""
    return SyntheticRun(tmp_path_factory.mktemp("finished")).complete()


@pytest.fixture(scope="session")
def parse():
    """Parser of a page, strict about its elements."""
    return Page
