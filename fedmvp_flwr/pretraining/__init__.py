"""Small frozen models of one's own, made from a public split: `fedmvp pretrain`."""
