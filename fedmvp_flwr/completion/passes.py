"""The passes over contents, in their order: each loads, completes and encodes chunk by chunk."""

from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT
from fedmvp_flwr.completion.contents import Source, content_key, image_from_bytes, load_image
from fedmvp_flwr.completion.preparation import COMPLETION, FEATURES, Preparation


def pass_over_images(work: Preparation) -> None:
    """Load each real image that is needed once: caption it, and compute its features."""
    captions = work.missing_completions(TEXT)
    references = work.holders[IMAGE]
    bare = [d for d in references if d not in captions and work.lacks(IMAGE, d)]
    blind = [*bare, *(digest for digest in captions if work.lacks(IMAGE, digest))]
    total, done, seen = sum(map(len, captions.values())), 0, 0
    size = work.at_once(TEXT) if captions else 0
    for chunk in [*work.chunks(list(captions), size), *work.chunks(bare)]:
        with work.clock(COMPLETION if chunk[0] in captions else FEATURES):
            images = {digest: load_image(references[digest]) for digest in chunk}
        sources = [
            (item.key, Source(images[digest], digest, item.class_name))
            for digest in chunk
            for item in captions.get(digest, ())
        ]
        items, _ = work.complete(TEXT, sources)
        seen += sum(work.lacks(IMAGE, digest) for digest in images)
        work.store.put_many(items | work.encode(IMAGE, images))
        done += len(sources)
        work.report("captions", done, total)
        work.report("image features", seen, len(blind))


def pass_over_generated_images(work: Preparation) -> None:
    """Draw the images that are missing, and compute the features of all generated ones."""
    _restore_generated_images(work)
    jobs = [
        (item, digest)
        for digest, items in work.missing_completions(IMAGE).items()
        for item in items
    ]
    texts = work.real_texts()
    done = 0
    for chunk in work.chunks(jobs, work.at_once(IMAGE) if jobs else 0):
        sources = [(item.key, Source(texts[d], d, item.class_name)) for item, d in chunk]
        items, contents = work.complete(IMAGE, sources)
        work.store.put_many(items | work.encode(IMAGE, contents))
        done += len(chunk)
        work.report("images", done, len(jobs))


def _restore_generated_images(work: Preparation) -> None:
    """Encode stored images that another encoder has seen; forget records of lost ones."""
    if work.completer.takes_over:  # its images are the pool's, encoded by now
        return
    keys = {item.key for item in work.wanted[IMAGE] if item}
    blind = {
        key: record
        for key, record in work.records.items()
        if key in keys and work.lacks(IMAGE, record.digest)
    }
    for chunk in work.chunks(list(blind)):
        with work.clock(FEATURES):
            contents = {content_key(blind[key].digest): blind[key] for key in chunk}
            found = work.store.get_many(contents)
            images = {
                contents[name].digest: image_from_bytes(value) for name, value in found.items()
            }
        work.store.put_many(work.encode(IMAGE, images))
        for key in chunk:
            if blind[key].digest not in images:
                work.forget(key)


def pass_over_texts(work: Preparation) -> None:
    """Compute the features of real and generated texts, those of like length together."""
    texts = work.real_texts()
    for record in work.records.values():
        if record.text is not None:
            texts[record.digest] = record.text
    # A caption made just now may be known from elsewhere: what is stored counts, to the bit.
    unknown = {digest for digest in texts if work.lacks(TEXT, digest)}
    with work.clock(FEATURES):
        for encoding in work.encodings:
            encoding.look_up({TEXT: unknown})
    missing = [digest for digest in texts if work.lacks(TEXT, digest)]
    missing.sort(key=lambda digest: len(texts[digest]))
    done = 0
    for chunk in work.chunks(missing):
        work.store.put_many(work.encode(TEXT, {digest: texts[digest] for digest in chunk}))
        done += len(chunk)
        work.report("text features", done, len(missing))


def pass_over_neighbours(work: Preparation) -> None:
    """Take what is missing over from the nearest samples; all features are known by now."""
    if not work.completer.takes_over:
        return
    with work.clock(COMPLETION):
        for modality in MODALITIES:
            missing = {i.key: i for i in work.wanted[modality] if i and i.key not in work.records}
            wanted = list(missing.values())
            found = work.completer.take_over(modality, wanted, work.encoding.features)
            records = dict(zip(missing, found, strict=True))
            work.records |= records
            work.store.put_many({key: record.to_bytes() for key, record in records.items()})
            work.report(f"{modality} neighbours", len(wanted), len(wanted))
    with work.clock(FEATURES):
        for modality in MODALITIES:
            taken = {work.records[item.key].digest for item in work.wanted[modality] if item}
            work.encoding.fetch_tokens(modality, taken)
