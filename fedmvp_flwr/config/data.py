"""Settings of the data: which samples there are, and who has them."""

from typing import Literal

from pydantic import Field

from fedmvp_flwr.config.section import Section


class DataSettings(Section):
    """The data set, its split, its partition, and how own data are read."""

    # Which samples, and who has them
    dataset: str = Field(
        "flora",
        description="`flora`, the embedded data (`flora:N`: another set of the same species); "
        "`SOURCE:PATH`, your own, with a source of docs/data.md; `nodes`: every node has its own "
        "folder, the server none, see docs/deploy.md.",
    )
    train_samples: int = Field(
        1500, ge=1, description="Flora: training samples, all clients together."
    )
    validation_samples: int = Field(
        0, ge=0, description="Flora: validation samples, for `selection`."
    )
    test_samples: int = Field(500, ge=1, description="Flora: test samples.")
    partition: str = Field(
        "dirichlet:0.1",
        description="How the training samples are dealt to the clients, with a number or a name "
        "after the colon where it takes one: docs/data.md.",
    )

    # Your own data (docs/data.md)
    image_column: str = Field(
        "",
        description="Column of the images; empty: the source's own. `none`: there are no images "
        "(`folder`, `hf`).",
    )
    text_column: str = Field(
        "",
        description="Column of the texts; empty: the source's own. `none`: there are no texts "
        "(`folder`, `hf`, `fashion`, `flickr30k`).",
    )
    label_column: str = Field("", description="Column of the labels; empty: the source's own.")
    id_column: str = Field(
        "",
        description="`folder`, `hf`: column of the samples' keys; empty: the image's name, else "
        "file and line (`folder`), or split and row (`hf`). Other sources: docs/data.md.",
    )
    split_column: str = Field(
        "", description="Column that names the split; empty: `split`, where there is one."
    )
    train_split: str = Field(
        "train", min_length=1, description="Split to train on; `a+b` joins two."
    )
    test_split: str = Field(
        "test", description="Split to test on; empty: a `test-fraction` of the training split."
    )
    public_split: str = Field(
        "public",
        description="The data set's split that `retrieval-source` and `probe-source` mean.",
    )
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of each class held out for testing, where the data has no split.",
    )
    benchmark_split: Literal["official", "paper"] = Field(
        "official",
        description="`cub`, `flowers`: the split of the archive, or one of the paper's sizes.",
    )
    data_seed: int = Field(
        0,
        ge=0,
        description="Fixes that share, the choice of captions, the completions and the probe, "
        "apart from `seed`.",
    )
    captions: Literal["sampled", "first", "joined"] = Field(
        "sampled",
        description="Of several texts of a sample: one drawn by its key and `data-seed`, the "
        "first, or all in a row.",
    )
    class_names_file: str = Field(
        "",
        description="Text file of the class names in the order of the labels, one a line, each "
        "with a description after a tab if you like; empty: the sorted labels.",
    )
    mask_class_words: bool = Field(
        False, description="Replace the words of all class names in the texts by `item`."
    )
    bad_samples: Literal["refuse", "skip"] = Field(
        "refuse", description="Broken, unsafe or contradictory samples: `refuse` to run, or `skip`."
    )
