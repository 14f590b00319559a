"""The page of the report as a Jinja template; everything in it is escaped but the drawings.

It is a module, not an .html file, because the Flower app bundle carries Python files.
"""

MACROS = """
{%- macro table(t, kind="") %}
{%- if t %}
<div class="scroll" role="region" aria-label="{{ t.caption }}" tabindex="0">
<table class="{{ 'numeric' if t.numeric else 'long' }} {{ kind }}">
<caption>{{ t.caption }}</caption>
<thead><tr>{% for cell in t.header %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{%- for row in t.rows %}
<tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{%- endfor %}
</tbody></table></div>
{%- endif %}
{%- endmacro %}
{%- macro plot(p, heading, note="", wide=false) %}
{%- if p %}
<figure{% if wide %} class="wide"{% endif %}>
<figcaption><b>{{ heading }}</b>{% if note %} {{ note }}{% endif %}</figcaption>
{% if wide %}<div class="scroll" role="region" aria-label="{{ heading }}" tabindex="0">{% endif -%}
<svg viewBox="{{ p.view_box }}" role="img" aria-label="{{ p.label }}"
 style="--natural:{{ (p.width * 1.55) | round | int }}px">{{ p.svg | safe }}</svg>
{%- if wide %}</div>{% endif %}
</figure>
{%- endif %}
{%- endmacro %}
{%- macro picture(uri, alt) %}
{%- if uri %}<img src="{{ uri }}" alt="{{ alt }}">
{%- else %}<p class="quiet">not available</p>{% endif %}
{%- endmacro -%}
"""
"""Tables, drawings and pictures, also for other pages."""

TEMPLATE = (
    MACROS
    + """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ head.title }}: run report</title>
<style>{{ style | safe }}</style>
</head>
<body>
<header>
<h1>{{ head.title }}</h1>
{%- set known = head.status in ("completed", "failed") %}
<p><span class="status {{ head.status if known else 'unfinished' }}">
{{- head.sign }} {{ head.status }}</span>
{% if head.when %}<span class="quiet">{{ head.when }}</span>{% endif %}</p>
{% if head.reason %}<p role="note">{{ head.reason }}</p>{% endif %}
{% if head.sentence %}<p class="lead">{{ head.sentence }}</p>{% endif %}
<dl class="facts">
{%- for name, value in head.facts %}
<div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{%- endfor %}
</dl>
</header>
<nav aria-label="Sections"><ul>
<li><a href="#results">Results</a></li>
<li><a href="#learning">Learning</a></li>
{%- if graph %}<li><a href="#graph">CKA graph</a></li>{% endif %}
{%- if weights %}<li><a href="#weights">Client weights</a></li>{% endif %}
<li><a href="#clients">Clients' data</a></li>
{%- if cards %}<li><a href="#completions">Completions</a></li>{% endif %}
<li><a href="#costs">Time and traffic</a></li>
<li><a href="#rejected">Rejected replies</a></li>
<li><a href="#settings">Settings</a></li>
</ul></nav>
<main>

<section id="results"><h2>Results</h2>
{% if scores.note %}<p>{{ scores.note }}</p>{% endif %}
{{ table(scores.table, "scores") }}
{% if not scores.table %}<p>There is no evaluation of the global model yet.</p>{% endif %}
{% if scores.client_table %}
<details><summary>At the clients</summary>{{ table(scores.client_table) }}</details>
{% endif %}
</section>

<section id="learning"><h2>Learning</h2>
{% if learning %}
<div class="plots">
{% for name, p in learning.scores %}
{{ plot(p, name ~ " on the test set.", "Dashed: the missing modality is completed at test time.") }}
{% endfor %}
</div>
{% if learning.table %}
<details><summary>Evaluations in numbers</summary>{{ table(learning.table) }}</details>
{% endif %}
{% if learning.losses %}
<h3>Training loss and its parts</h3>
<p class="quiet">Mean over the training samples of the round's clients; the parts are unweighted.
{%- if learning.unused %}
Zero in every round, not part of this method: {{ learning.unused | join(", ") }}.{% endif %}</p>
<div class="plots small">{% for name, p in learning.losses %}{{ plot(p, name) }}{% endfor %}</div>
{% endif %}
{% else %}<p>No round has ended yet.</p>{% endif %}
</section>

{% if graph %}
<section id="graph"><h2>CKA graph</h2>
<p>How alike the clients' models represent the server's probe (linear CKA, 0 to 1).
{{ graph.sentence }}</p>
<p class="quiet">Rows and columns are the partition ids of the clients of the round. The
stronger the colour, the more alike: no colour is {{ graph.low }}, the lowest value of the run, full
colour is 1.</p>
<div class="plots thirds">
{% for server_round, p in graph.large %}{{ plot(p, "Round " ~ server_round) }}{% endfor %}
</div>
{% if graph.minis %}
<h3>The other rounds
{%- if graph.shown < graph.total %} ({{ graph.shown }} of {{ graph.total }} rounds are shown)
{%- endif -%}
</h3>
<div class="minis">
{%- for mini in graph.minis %}
<figure><div class="mini">
{%- if mini.clients %}<span aria-hidden="true">
{%- for client in mini.clients %}<i>{{ client }}</i>{% endfor %}</span>{% endif -%}
<img src="{{ mini.uri }}" alt="{{ mini.label }}"></div>
<figcaption>Round {{ mini.server_round }}</figcaption></figure>
{%- endfor %}
</div>
{% endif %}
</section>
{% endif %}

{% if weights %}
<section id="weights"><h2>Client weights</h2>
{% for sentence in weights.sentences %}<p>{{ sentence }}</p>{% endfor %}
<div class="plots">
{{ plot(weights.distance, "Distance to equal weights.",
 "Total variation; 0% means that all clients of the round weigh the same.") }}
</div>
{{ plot(weights.rounds, "Every client in every round.", wide=true, note="Percent above (+, blue) "
 ~ "or below (\N{MINUS SIGN}, orange) equal weight. Grey without a number: not in this round.") }}
<details><summary>Weights in numbers</summary>{{ table(weights.table) }}</details>
</section>
{% endif %}

<section id="clients"><h2>Clients' data</h2>
{% if clients %}
{% for sentence in clients.sentences %}<p>{{ sentence }}</p>{% endfor %}
{% if clients.shown < clients.total %}
<p class="quiet">The first {{ clients.shown }} of {{ clients.total }} clients are shown.</p>
{% endif %}
<div class="plots">
{{ plot(clients.missing, "Complete and incomplete training samples.") }}
{{ plot(clients.completed, "What became of the holes.", "The quality gate accepts or rejects.") }}
</div>
{{ table(clients.table, "dense") }}
{{ plot(clients.labels, "Training samples per client and class.", "Empty cells: none.",
 wide=true) }}
{{ plot(clients.classes, "Classes by modality, all clients.",
 "How many samples really have it. Grey: nobody, an unseen pair.", wide=true) }}
{% else %}<p>No client has reported on its data yet.</p>{% endif %}
</section>

{% if cards %}
<section id="completions"><h2>Sample completions</h2>
<p class="quiet">One modality of a complete sample was hidden and made again from the other one, as
for a client's hole. The samples are the server's own.</p>
<div class="cards">
{%- for card in cards %}
<article class="card">
<h4>{{ card.class_name }}: {{ card.filled }} completed</h4>
{%- if card.filled == "image" %}
<div class="pair">
<div class="made"><p class="tag">Image, generated</p>
{{ picture(card.made_image, "Generated: " ~ card.class_name) }}</div>
<div><p class="tag">Image, hidden</p>
{{ picture(card.original_image, "Original: " ~ card.class_name) }}</div>
</div>
<div class="texts"><div><p class="tag">Text, given</p>
<p>{{ card.original_text or dash }}</p></div></div>
{%- else %}
<div class="pair"><div><p class="tag">Image, given</p>
{{ picture(card.original_image, "Original: " ~ card.class_name) }}</div></div>
<div class="texts"><div class="made"><p class="tag">Text, generated</p>
<p>{{ card.made_text or dash }}</p></div>
<div><p class="tag">Text, hidden</p><p>{{ card.original_text or dash }}</p></div></div>
{%- endif %}
<p class="gate {{ 'accepted' if card.accepted else 'rejected' }}">
<b>{{ "✓ accepted" if card.accepted else "✗ rejected" }}</b> by the quality gate,
image-text similarity {{ card.similarity }}</p>
</article>
{%- endfor %}
</div>
</section>
{% endif %}

<section id="costs"><h2>Time and traffic</h2>
<div class="plots">
{{ table(costs.phases) }}
{{ table(costs.traffic) }}
{{ plot(costs.phase_bars, "Wall time per phase.") }}
{{ plot(costs.round_bars, "Wall time per round.") }}
</div>
{% if not costs.phases and not costs.traffic %}<p>Nothing was measured yet.</p>{% endif %}
</section>

<section id="rejected"><h2>Rejected replies</h2>
{% if rejected %}{{ table(rejected) }}
{%- elif rounds %}
<p>None: every reply of {{ rounds }} round{{ "s" if rounds != 1 }} was valid.</p>
{%- else %}<p>No round has ended yet.</p>{% endif %}
</section>

<section id="settings"><h2>Settings</h2>
{% if settings.config %}<details>
<summary>Run-config ({{ settings.changed }} of {{ settings.config.rows | length }} keys differ
from their default)</summary>
{{ table(settings.config) }}</details>{% endif %}
{{ table(settings.versions) }}
{{ table(settings.hashes) }}
{% if not settings.config and not settings.versions %}
<p>The run has not said how it was set up.</p>
{% endif %}
</section>
</main>
<footer><p>FedMVP (arXiv 2406.11048) on Flower.
Made from metrics.jsonl and result.json in the same folder.</p></footer>
</body>
</html>
"""
)
