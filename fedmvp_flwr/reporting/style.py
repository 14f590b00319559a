"""The style sheet of the report: light and dark, wide and narrow, on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f6f4; --surface: #ffffff; --text: #1c1d1f; --muted: #5a5d63; --grid: #dfe0e3;
  --first: #0072b2; --second: #d55e00; --third: #00845f;
  --good: #00694c; --bad: #a8321a; --open: #7a5600; --shown: #eef3f8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131416; --surface: #1c1e21; --text: #ececea; --muted: #a9acb2; --grid: #36393e;
    --first: #56b4e9; --second: #f29a52; --third: #3fcf9f;
    --good: #5bd6ac; --bad: #ff9a80; --open: #e8bd5c; --shown: #222a33;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-
    serif;
}
main, header, nav, footer { max-width: 68rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: 0 0 .7rem; max-width: 48rem; overflow-wrap: anywhere; }
.quiet { color: var(--muted); font-size: .9rem; }
.lead { font-size: 1.1rem; }
.status {
  display: inline-block; border: 1px solid; border-radius: 1rem; padding: 0 .7rem; font-weight:
  600;
}
.status.completed { color: var(--good); }
.status.failed { color: var(--bad); }
.status.unfinished { color: var(--open); }
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1px;
  margin: 1rem 0; padding: 0; background: var(--grid); border: 1px solid var(--grid);
  border-radius: .5rem; overflow: hidden;
}
.facts div { background: var(--surface); padding: .6rem .8rem; }
.facts dt { color: var(--muted); font-size: .85rem; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
nav ul {
  display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; margin: 0 0 1rem;
  padding: 0;
}
a { color: var(--first); }
section {
  background: var(--surface); border: 1px solid var(--grid); border-radius: .5rem;
  padding: 1.2rem; margin: 0 0 1rem;
}
.scroll { overflow-x: auto; margin: .7rem 0; min-width: 0; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible {
  outline: 2px solid var(--first); outline-offset: 2px;
}
table {
  border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums;
}
caption { text-align: left; font-weight: 600; padding: 0 0 .3rem; }
th, td {
  padding: .3rem .6rem; border-bottom: 1px solid var(--grid); text-align: left; vertical-align:
  top;
}
th:first-child { padding-left: 0; }
thead th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
table.numeric tbody th, table.numeric td { white-space: nowrap; }
table.dense { font-size: .86rem; }
table.dense th, table.dense td { padding: .25rem .4rem; }
table.dense th:first-child { padding-left: 0; }
table.numeric td, table.numeric thead th:not(:first-child) { text-align: right; }
table.long td { overflow-wrap: anywhere; }
table.scores td { font-size: 1rem; }
table.scores thead th { min-width: 6.5rem; }
.plots {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap:
  1rem 1.5rem;
}
.plots.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr)); }
.plots.thirds { grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
figure { margin: .6rem 0; min-width: 0; }
figcaption { color: var(--muted); font-size: .9rem; margin: 0 0 .3rem; max-width: 48rem; }
figcaption b { color: var(--text); font-weight: 600; }
svg { display: block; height: auto; width: 100%; max-width: var(--natural); }
svg text { font-family: inherit !important; }
.minis {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(6.2rem, 1fr)); gap: .8rem;
}
.minis figure { margin: 0; }
.minis figcaption { font-size: .8rem; margin: 0; text-align: center; }
.mini { display: flex; font-size: .68rem; line-height: 1; color: var(--muted); }
.mini span {
  display: flex; flex-direction: column; justify-content: space-around; padding-right: .25rem;
  text-align: right;
}
.mini img {
  flex: 1; min-width: 0; width: 100%; aspect-ratio: 1; image-rendering: pixelated; border: 1px
  solid var(--grid);
}
details { margin: .7rem 0; }
summary { cursor: pointer; color: var(--first); }
.cards {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap:
  1rem;
}
.card {
  border: 1px solid var(--grid); border-radius: .5rem; padding: .9rem; margin: 0; min-width: 0;
}
.card h4 { margin: 0 0 .5rem; font-size: 1rem; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .7rem; }
.pair > div { min-width: 0; }
.tag { color: var(--muted); font-size: .8rem; margin: 0 0 .2rem; }
.made { background: var(--shown); border-radius: .3rem; }
.pair > div, .texts > div { padding: .4rem; }
.pair img {
  width: 100%; max-width: 9rem; aspect-ratio: 1; object-fit: contain; border-radius: .3rem;
  display: block;
}
.texts p { margin: 0; font-size: .92rem; }
.gate { margin: .5rem 0 0; font-size: .88rem; }
.gate.accepted b { color: var(--good); }
.gate.rejected b { color: var(--bad); }
footer { color: var(--muted); font-size: .88rem; padding-bottom: 2rem; }
@media (max-width: 40rem) {
  section { padding: .9rem; }
  h1 { font-size: 1.5rem; }
  .wide svg { min-width: min(54rem, var(--natural)); }
  table.numeric tbody th { white-space: normal; }
}
@media print {
  body { background: none; } section { border: 0; padding: .5rem 0; } nav { display: none; }
}
"""
