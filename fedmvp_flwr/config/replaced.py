"""Keys of earlier versions, each with what to write now; `{value}` stands for the given value."""

_GENERATOR = "write it at the end of the model, image-generator='diffusers:...?{}={{value}}'{}"
_CAPTIONER = "write it at the end of the model, captioner='transformers:...?{}={{value}}'{}"
_OR_NONE = " (leave it out for the model's own default)"

REPLACED: dict[str, str] = {
    "captioner-dtype": _CAPTIONER.format("dtype", ""),
    "captioner-batch-size": _CAPTIONER.format("batch", " (leave it out for 0)"),
    "captioner-max-tokens": _CAPTIONER.format("max-tokens", _OR_NONE),
    "completion-seed": "write data-seed={value}, which also fixes the held-out share and captions",
    "classes-per-client": "write it into partition='pathological:{value}' or 'shards:{value}'",
    "dirichlet-alpha": "write it into partition='dirichlet:{value}'",
    "generated-dropout": "write views='fixed:{value},0', or leave it out for views='adaptive'",
    "generator-steps": _GENERATOR.format("steps", _OR_NONE),
    "generator-guidance": _GENERATOR.format("guidance", _OR_NONE),
    "generator-dtype": _GENERATOR.format("dtype", ""),
    "generator-batch-size": _GENERATOR.format("batch", " (leave it out for 0)"),
    "generator-size": _GENERATOR.format("size", _OR_NONE),
    "generator-offload": _GENERATOR.format("offload", ""),
    "missing-strength": "write it into missing-pattern='content:{value}'",
    "probe-file": "write probe-source='file:{value}', or leave it out where it was empty",
    "selection-metric": "write selection='server:{value}' or 'clients:{value}', or leave it out "
    "where it was accuracy.complete",
    "split-seed": "write data-seed={value}, which also fixes the completions and the probe",
    "test-missing-image-share": "leave it out, the test samples take missing-image-share",
    "test-missing-strength": "write it into test-missing-pattern='content:{value}'",
    "text-max-chars": "leave it out, a text has at most 100,000 characters",
}
