"""The report of `fedmvp quality`: one JSON file and one self-contained HTML page with pictures."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmvp_flwr.base.files import write_atomic, write_json
from fedmvp_flwr.quality.image_distances import LEAST_FOR_FRECHET, LEAST_FOR_KID
from fedmvp_flwr.quality.measure import Quality
from fedmvp_flwr.quality.pairs import real_image, thumbnail
from fedmvp_flwr.reporting.text import DASH

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_CHARACTERS = 240
_MEASURES: dict[str, str] = {
    "true-similarity": "similarity of the true pairs",
    "image-similarity": "similarity of made images with their texts",
    "text-similarity": "similarity of made texts with their images",
    "image-to-true-image": "cosine of made with true images",
    "rouge-l": "ROUGE-L of made with true texts",
    "token-match": "token match of made with true texts",
    "true-image-agrees": "label agreement of true images",
    "image-agrees": "label agreement of made images",
    "true-text-agrees": "label agreement of true texts",
    "text-agrees": "label agreement of made texts",
    "frechet": "Fréchet distance of made to true images",
    "frechet-of-real": "Fréchet distance among true images",
    "kid": "KID of made to true images",
    "kid-of-real": "KID among true images",
}
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
body{color:#1c1d1f}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;text-align:left}
th{border-bottom:2px solid #999}td{border-bottom:1px solid #ddd;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}.scroll{overflow-x:auto}
.small{font-size:.85em}.small td,.small th{padding:.25rem .35rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(21rem,1fr));gap:1rem}
.pair{border:1px solid #ddd;border-radius:6px;padding:.7rem}.pair img{width:9rem;margin-right:.4rem}
.made{color:#0072b2}small{color:#5a5d63}
@media(prefers-color-scheme:dark){body{background:#161719;color:#e6e6e6}td,.pair{border-color:#333}}
"""


def write_quality(out: Path, results: Mapping[str, Quality]) -> tuple[Path, Path]:
    """Write `quality.json` and `quality.html` into a folder; return both paths.

    Args:
        out: the folder, made if absent.
        results: what was measured, by prompt template (or way of completion).
    """
    path, page = out / "quality.json", out / "quality.html"
    write_json(
        path,
        {name: result.numbers | {"rows": list(result.rows)} for name, result in results.items()},
    )
    write_atomic(page, _page(results).encode())
    return path, page


def _page(results: Mapping[str, Quality]) -> str:
    names = list(results)
    overall = [
        [title, *(_value(results[name].numbers["overall"].get(key)) for name in names)]
        for key, title in _MEASURES.items()
    ]
    counts = {results[name].numbers["pairs"] for name in names}
    parts = [
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Quality of completions</title><style>{_STYLE}</style>",
        "<h1>Quality of completions</h1>",
        f"<p>{'/'.join(map(str, sorted(counts)))} complete pairs, held out and completed anyway. "
        "Similarity: "
        f"{escape(str(results[names[0]].numbers['similarity']))}. Label agreement: a linear probe "
        "on the frozen features of the other real pairs; none where a class has one pair alone. "
        "Fréchet distances: between halves of the pairs. Of one class, KID is told from "
        f"{LEAST_FOR_KID} pairs on and the Fréchet distance from {LEAST_FOR_FRECHET}. A dash "
        "stands for what was not measured.</p>",
        _table(["measure", *names], overall),
    ]
    for name in names:
        parts += _section(name, results[name])
    return "\n".join(parts)


def _section(name: str, result: Quality) -> list[str]:
    gates = result.numbers["gate"]
    measures = [key for key in _MEASURES if key in next(iter(result.numbers["per-class"].values()))]
    classes = [
        [group, str(means["pairs"]), *(_value(means[key]) for key in measures)]
        for group, means in result.numbers["per-class"].items()
    ]
    return [
        f"<h2>{escape(name)}</h2><h3>What the gate would let through</h3>",
        _table(list(gates[0]), [[_value(row[key]) for key in gates[0]] for row in gates]),
        "<h3>By class</h3>",
        _table(["class", "pairs", *(_MEASURES[key] for key in measures)], classes, small=True),
        f"<h3>The first {len(result.pairs)} pairs</h3><div class=grid>",
        *(_pair(result, row) for row in range(len(result.pairs))),
        "</div>",
    ]


def _pair(result: Quality, row: int) -> str:
    pair, values = result.pairs[row], result.rows[row]
    images = [_image(real_image(pair), "true image")]
    if pair.image is not None:
        images.append(_image(pair.image, "made image"))
    marks = ", ".join(
        f"{title} {_value(values[key])}"
        for key, title in (
            ("image-similarity", "image"),
            ("text-similarity", "text"),
            ("rouge-l", "ROUGE-L"),
        )
    )
    return (
        f"<div class=pair><small>{escape(values['key'])} · {escape(values['class'])}</small><br>"
        f"{''.join(images)}<p>{_text(pair.sample.text)}</p>"
        f"<p class=made>{_text(pair.text)}</p><small>{marks}</small></div>"
    )


def _text(text: str | None) -> str:
    text = text or ""
    return escape(text[:_MOST_CHARACTERS] + ("…" if len(text) > _MOST_CHARACTERS else ""))


def _image(image: "Image", title: str) -> str:
    buffer = io.BytesIO()
    thumbnail(image).save(buffer, format="PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<img alt='{title}' title='{title}' src='data:image/png;base64,{data}'>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, small: bool = False) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{'' if place == 0 else ' class=n'}>{escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    kind = " class=small" if small else ""
    return f"<div class=scroll><table{kind}><tr>{head}</tr>{body}</table></div>"


def _value(value: Any) -> str:  # noqa: ANN401 - a JSON number or None
    return DASH if value is None else f"{value:.3g}"
