"""The report of `fedmvp quality`: one JSON file and one self-contained HTML page with pictures."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmvp_flwr.base.files import write_atomic, write_json
from fedmvp_flwr.completion.contents import load_image
from fedmvp_flwr.quality.distances import LEAST_FOR_FRECHET, LEAST_FOR_KID
from fedmvp_flwr.quality.measure import Quality
from fedmvp_flwr.quality.pairs import thumbnail
from fedmvp_flwr.reporting.text import DASH

if TYPE_CHECKING:
    from PIL.Image import Image

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
_TEMPLATE = """
{%- macro table(rows, small=false) %}
<div class=scroll><table{% if small %} class=small{% endif %}>
<tr>{% for cell in rows[0] %}<th>{{ cell }}</th>{% endfor %}</tr>
{%- for row in rows[1:] %}
<tr>{% for cell in row %}<td{% if not loop.first %} class=n{% endif %}>{{ cell | short }}</td>
{%- endfor %}</tr>
{%- endfor %}
</table></div>
{%- endmacro %}
{%- macro picture(image, title) %}
{%- if image %}<img alt="{{ title }}" title="{{ title }}" src="{{ image | uri }}">{% endif %}
{%- endmacro -%}
<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>Quality of completions</title><style>
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
</style>

<h1>Quality of completions</h1>
<p>{{ pairs }} complete pairs, held out and completed anyway. Similarity: {{ similarity }}. Label
agreement: a linear probe on the frozen features of the other real pairs; none where a class has one
pair alone. Fréchet distances: between halves of the pairs. Of one class, KID is told from
{{ least_for_kid }} pairs on and the Fréchet distance from {{ least_for_frechet }}. A dash
stands for what was not measured.</p>
{{- table(overall) }}
{%- for part in parts %}
<h2>{{ part.name }}</h2><h3>What the gate would let through</h3>
{{- table(part.gates) }}
<h3>By class</h3>
{{- table(part.classes, small=true) }}
<h3>The first {{ part.pairs | length }} pairs</h3><div class=grid>
{%- for pair, row in part.pairs %}
<div class=pair><small>{{ row.key }} · {{ row.class }}</small><br>
{{- picture(pair.sample | real_image, "true image") }}{{ picture(pair.image, "made image") }}
<p>{{ pair.sample.text | truncate(240, true, "…", 0) }}</p>
<p class=made>{{ (pair.text or "") | truncate(240, true, "…", 0) }}</p>
<small>image {{ row["image-similarity"] | short }}, text {{ row["text-similarity"] | short }},
ROUGE-L {{ row["rouge-l"] | short }}</small></div>
{%- endfor %}
</div>
{%- endfor %}
"""


def write_quality(out: Path, results: Mapping[str, Quality]) -> tuple[Path, Path]:
    """Write `quality.json` and `quality.html` into a folder, made if absent; return both paths.

    The results are by prompt template, or by way of completion.
    """
    path, page = out / "quality.json", out / "quality.html"
    write_json(
        path,
        {name: result.numbers | {"rows": list(result.rows)} for name, result in results.items()},
    )
    write_atomic(page, _page(results).encode())
    return path, page


def _page(results: Mapping[str, Quality]) -> str:
    from jinja2 import Environment, StrictUndefined  # torch needs it, too

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"short": _short, "uri": _uri, "real_image": load_image}
    numbers = [result.numbers for result in results.values()]
    overall = [
        [title, *(part["overall"].get(key) for part in numbers)] for key, title in _MEASURES.items()
    ]
    return environment.from_string(_TEMPLATE).render(
        pairs=numbers[0]["pairs"],
        similarity=numbers[0]["similarity"],
        least_for_kid=LEAST_FOR_KID,
        least_for_frechet=LEAST_FOR_FRECHET,
        overall=[["measure", *results], *overall],
        parts=[_part(name, result) for name, result in results.items()],
    )


def _part(name: str, result: Quality) -> dict[str, Any]:
    """What the page shows of one set of settings; the first row of a table is its heading."""
    gates, classes = result.numbers["gate"], result.numbers["per-class"]
    measured = [key for key in _MEASURES if key in next(iter(classes.values()))]
    return {
        "name": name,
        "gates": [list(gates[0]), *(list(row.values()) for row in gates)],
        "classes": [
            ["class", "pairs", *(_MEASURES[key] for key in measured)],
            *(
                [group, means["pairs"], *map(means.get, measured)]
                for group, means in classes.items()
            ),
        ],
        "pairs": list(zip(result.pairs, result.rows, strict=False)),
    }


def _uri(image: "Image") -> str:
    buffer = io.BytesIO()
    thumbnail(image).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _short(value: float | str | None) -> str:
    if value is None:
        return DASH
    return f"{value:.3g}" if isinstance(value, float) else str(value)
