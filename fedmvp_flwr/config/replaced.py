"""Keys of earlier versions, each with what to write now; `{value}` stands for the given value."""

REPLACED: dict[str, str] = {
    "completion-seed": "write data-seed={value}, which also fixes the held-out share and captions",
    "split-seed": "write data-seed={value}, which also fixes the completions and the probe",
    "test-missing-image-share": "leave it out, the test samples take missing-image-share",
    "text-max-chars": "leave it out, a text has at most 100,000 characters",
}
