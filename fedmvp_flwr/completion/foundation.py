"""Completion by the frozen captioner and the frozen text-to-image model."""

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from fedmvp_flwr.base.samples import IMAGE, TEXT
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.contents import Completion, Source
from fedmvp_flwr.completion.prompts import PromptTemplate, Question, parse_questions, template_named
from fedmvp_flwr.completion.store import key_for
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import GENERATOR_ROLES
from fedmvp_flwr.foundation.spec import ModelOptions

if TYPE_CHECKING:
    from PIL.Image import Image

_USUAL_DTYPE = ModelOptions().dtype


class FoundationCompleter(Completer):
    """Captions images and draws texts, as the prompt template says."""

    roles = tuple(GENERATOR_ROLES.values())
    prompted = True

    @cached_property
    def _template(self) -> PromptTemplate:
        return template_named(self.settings.prompt_template)

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        return parse_questions(self.settings.caption_questions) if self._template.asks else ()

    @classmethod
    def check(cls, settings: CompletionSettings) -> None:
        """Refuse an unknown prompt template or a malformed question."""
        if template_named(settings.prompt_template).asks:
            parse_questions(settings.caption_questions)

    def key(self, modality: str, digest: str, class_name: str | None, sample_key: str) -> str:
        """Return the key: source, model fingerprint, prompts, settings and class name if any.

        Which sample asks has no part in it.
        """
        return key_for(
            "completion",
            modality=modality,
            source=digest,
            model=self.models.fingerprint(GENERATOR_ROLES[modality]),
            class_name=class_name,
            settings=self._settings(modality),
        )

    def _settings(self, modality: str) -> dict[str, Any]:
        """What makes another completion of the same source."""
        options = self.models.spec(GENERATOR_ROLES[modality]).options
        if modality == IMAGE:
            prompt = self._template.image_prompt
            return {"prompt": prompt, "seed": self.seed, **drawing_settings(options)}
        settings: dict[str, Any] = {
            "prompt": self._template.caption_prompt,
            "questions": [dataclasses.astuple(question) for question in self._questions],
        }
        if options.max_tokens is not None:
            settings["captioner_max_tokens"] = options.max_tokens
        if options.dtype != _USUAL_DTYPE:
            settings["captioner_dtype"] = options.dtype
        return settings

    def complete(self, modality: str, sources: Sequence[Source]) -> list[Completion]:
        """Caption images or draw texts, in batches of the model's own size."""
        size = self.models.at_once(GENERATOR_ROLES[modality])
        make = self._draw if modality == IMAGE else self._describe
        return [
            completion
            for start in range(0, len(sources), size)
            for completion in make(sources[start : start + size])
        ]

    def _draw(self, sources: Sequence[Source]) -> list[Completion]:
        prompts = [
            self._template.image_prompt_for(cast(str, source.content), source.class_name)
            for source in sources
        ]
        seeds = [seed_for(self.seed, "completion", source.digest) for source in sources]
        images = self.models.image_generator.generate(prompts, seeds)
        return [
            Completion(image, self._provenance(IMAGE, source, [prompt], seed))
            for source, image, prompt, seed in zip(sources, images, prompts, seeds, strict=True)
        ]

    def _describe(self, sources: Sequence[Source]) -> list[Completion]:
        completions: list[Completion | None] = [None] * len(sources)
        for class_name in dict.fromkeys(source.class_name for source in sources):
            rows = [row for row, source in enumerate(sources) if source.class_name == class_name]
            prompts = self._template.caption_prompts(self._questions, class_name)
            images = [cast("Image", sources[row].content) for row in rows]
            answers = self.models.captioner.caption_each(images, prompts)  # per prompt, per image
            for row, replies in zip(rows, zip(*answers, strict=True), strict=True):
                text = self._template.assemble(self._questions, replies, class_name)
                provenance = self._provenance(TEXT, sources[row], list(prompts), None)
                completions[row] = Completion(text, provenance | {"answers": list(replies)})
        return cast(list[Completion], completions)

    def _provenance(
        self, modality: str, source: Source, prompts: list[str], seed: int | None
    ) -> dict[str, Any]:
        return {
            "modality": modality,
            "source": source.digest,
            "model": self.models.fingerprint(GENERATOR_ROLES[modality]),
            "prompts": prompts,
            "seed": seed,
        }


def drawing_settings(options: ModelOptions) -> dict[str, Any]:
    """What of an image generator's options changes its images, by the names in stored keys.

    Names and values never change, or nothing that is stored would be found.
    """
    settings: dict[str, Any] = {
        "steps": options.steps or 0,
        "guidance": -1.0 if options.guidance is None else options.guidance,
    }
    if options.size is not None:
        settings["generator_size"] = options.size
    if options.dtype != _USUAL_DTYPE:
        settings["generator_dtype"] = options.dtype
    return settings
