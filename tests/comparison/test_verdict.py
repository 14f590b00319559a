from fedmvp_flwr.comparison.verdict import best_without_completion, verdict


def test_worth_it(make_group):
    answer = verdict(make_group(mask=0.5, mask_tuned=0.6, fedmvp=0.8, nothing_missing=0.9))
    assert answer.startswith("Completion is worth it here: fedmvp against mask-tuned")
    assert "+20.0" in answer
    assert "Against nothing-missing: -10.0" in answer


def test_not_worth_it(make_group):
    assert verdict(make_group(mask=0.8, fedmvp=0.5)).startswith("Completion is not worth it here")


def test_no_difference(make_group):
    assert "these runs cannot tell" in verdict(make_group(mask=0.5, fedmvp=0.5))


def test_gains_and_costs(make_group):
    group = make_group(mask=0.5, fedmvp=0.6)
    for run in group.outcomes["fedmvp"]:
        run.accuracy["text-only"] = 0.3
    answer = verdict(group)
    assert answer.startswith("Completion helps on complete samples and costs on texts alone")


def test_without_a_rival_there_is_no_answer(make_group):
    assert verdict(make_group(fedmvp=0.8)).startswith("No answer")
    assert verdict(make_group(mask=0.8)).startswith("No answer")


def test_the_rival_has_holes_and_no_completion(make_group):
    group = make_group(mask=0.5, drop=0.6, fedavg_completed=0.9, nothing_missing=0.95)
    assert best_without_completion(group) == "drop"
