"""Settings of the completion: what fills a hole, when it is good enough, what stays a hole."""

from typing import Literal

from pydantic import Field

from fedmvp_flwr.config.section import Section


class CompletionSettings(Section):
    """Way, prompts, gate and sources of the completions."""

    kind: str = Field(
        "foundation",
        alias="completion",
        description="`foundation`: frozen models fill the holes. `retrieval`: the nearest complete "
        "sample does. `none`: holes stay.",
    )
    incomplete: Literal["mask", "drop"] = Field(
        "mask", description="Samples that still have a hole: `mask` it, or `drop` the sample."
    )
    prompt_template: str = Field(
        "coarse-to-fine",
        description="`coarse`, `coarse-to-fine` or `detailed`; for chat models `instruct` or "
        "`instruct-coarse`.",
    )
    caption_questions: str = Field(
        "what colour are the petals? => {} petals; what shape are the petals? => {} petals; "
        "how many petals are there? => {} petals; what pattern do the petals have? => {} petals; "
        "what is the centre like? => a {} centre",
        description="Questions of `coarse-to-fine` and `instruct`, separated by `;`, each with the "
        "phrase that its answer becomes, and perhaps a place for the class name (docs/models.md).",
    )
    label_in_prompt: bool = Field(
        False,
        description="Whether the class name may enter a prompt (never possible at test time).",
    )
    quality_gate: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="A completion whose image-text similarity lies below this quantile of the "
        "client's real pairs is rejected; 0 accepts all.",
    )
    gate_encoder: str = Field(
        "",
        description="Image-text model that the quality gate measures with; empty: the encoders.",
    )
    retrieval_source: Literal["own", "public"] = Field(
        "own",
        description="Where `retrieval` looks: the client's `own` complete pairs, or a `public` "
        "split that everyone holds.",
    )
