"""`fedmvp pretrain`: small frozen models from a public split of your data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.cli.console import fields_table, interruptible, progress_bars
from fedmvp_flwr.cli.options import (
    AppOption,
    RunConfigOption,
    build_config,
    find_app,
    given_settings,
)


def pretrain(
    data: Annotated[str, typer.Option(help="The data set, as the key `dataset` names it.")],
    out: Annotated[Path, typer.Option(help="Gets encoder/, captioner/, generator/ and the card.")],
    split: Annotated[str, typer.Option(help="The split to learn from; a+b joins two.")] = "public",
    minutes: Annotated[float, typer.Option(help="Of training, all models together.")] = 60.0,
    steps: Annotated[int | None, typer.Option(help="Of training, of each model, at most.")] = None,
    image_size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 64,
    patch: Annotated[int, typer.Option(help="Pixels per side of a patch.")] = 8,
    width: Annotated[int, typer.Option(help="Of the transformers.")] = 128,
    context: Annotated[int, typer.Option(help="Longest text in tokens.")] = 64,
    vocabulary: Annotated[int, typer.Option(help="Most tokens.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    use_labels: Annotated[bool, typer.Option(help="Learn from the labels as well.")] = False,
    app_dir: AppOption = None,
    run_config: RunConfigOption = None,
) -> None:
    """Build a small encoder, captioner and generator from a public split of your data."""
    from fedmvp_flwr.pretraining import pretrain as pretraining
    from fedmvp_flwr.pretraining.shape import Shape

    chosen = given_settings(run_config, None) | {"dataset": data, "device": device}
    config = build_config(find_app(app_dir), chosen)
    console = Console()
    settings = pretraining.PretrainSettings(
        split=split,
        out=expanded(out, ConfigError, "--out").resolve(),
        minutes=minutes,
        steps=pretraining.NO_LIMIT if steps is None else steps,
        shape=Shape(image_size=image_size, patch=patch, width=width, context=context),
        vocabulary_size=vocabulary,
        seed=seed,
        use_labels=use_labels,
    )
    with interruptible(), progress_bars(console) as show:
        made = pretraining.pretrain(config, settings, show)
    for name, figures in made["figures"].items():
        numbers = {key: value for key, value in figures.items() if isinstance(value, int | float)}
        console.print(f"[bold]{name}[/bold]", fields_table(numbers))
    for field, spec in pretraining.specs(settings.out).items():
        line = f"{field.replace('_', '-')}='{spec}'"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(str(settings.out / pretraining.CARD), markup=False, soft_wrap=True)
