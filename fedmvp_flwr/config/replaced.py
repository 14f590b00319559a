"""Keys of earlier versions, each with what to write now; `{value}` stands for the given value."""

REPLACED: dict[str, str] = {
    "completion-seed": "write data-seed={value}, which also fixes the held-out share and captions",
    "classes-per-client": "write it into partition='pathological:{value}' or 'shards:{value}'",
    "dirichlet-alpha": "write it into partition='dirichlet:{value}'",
    "missing-strength": "write it into missing-pattern='class:{value}' or 'content:{value}'",
    "probe-file": "write probe-source='file:{value}', or leave it out where it was empty",
    "selection-metric": "write selection='server:{value}' or 'clients:{value}', or leave it out "
    "where it was accuracy.complete",
    "split-seed": "write data-seed={value}, which also fixes the completions and the probe",
    "test-missing-image-share": "leave it out, the test samples take missing-image-share",
    "test-missing-strength": "write it into test-missing-pattern='class:{value}' or "
    "'content:{value}'",
    "text-max-chars": "leave it out, a text has at most 100,000 characters",
}
