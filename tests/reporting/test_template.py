from jinja2 import Environment, StrictUndefined, meta

from fedmvp_flwr.reporting.svg import Plot
from fedmvp_flwr.reporting.template import MACROS, TEMPLATE
from fedmvp_flwr.reporting.text import Table

ENVIRONMENT = Environment(autoescape=True, undefined=StrictUndefined)


def render(text, **values):
    return ENVIRONMENT.from_string(MACROS + text).render(**values)


def test_a_table_escapes_its_cells_and_names_its_columns():
    table = Table("What <it> shows", ["Name", "Value"], [["<b>", "1"]])
    page = render("{{ table(t) }}", t=table)
    assert "<caption>What &lt;it&gt; shows</caption>" in page
    assert '<th scope="col">Value</th>' in page
    assert '<th scope="row">&lt;b&gt;</th><td>1</td>' in page


def test_nothing_is_drawn_where_there_is_nothing():
    assert render("{{ table(none) }}{{ plot(none, 'x') }}").strip() == ""


def test_a_drawing_has_its_sentence_and_is_not_escaped():
    page = render("{{ plot(p, 'Head') }}", p=Plot("<path/>", "0 0 10 5", 'says "this"', 10.0))
    assert "<path/>" in page
    assert 'aria-label="says &#34;this&#34;"' in page


def test_a_picture_that_is_missing_is_said_to_be():
    assert "not available" in render("{{ picture(none, 'a') }}")
    assert '<img src="data:x" alt="a">' in render("{{ picture('data:x', 'a') }}")


def test_the_page_asks_for_what_the_report_gives():
    asked = meta.find_undeclared_variables(ENVIRONMENT.parse(TEMPLATE))
    assert asked == {
        *("cards", "clients", "costs", "dash", "graph", "head", "learning", "rejected", "rounds"),
        *("scores", "settings", "style", "weights"),
    }
