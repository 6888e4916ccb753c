"""What a sweep would train is checked whole before anything trains."""

import json
import re

import pytest

from attention.lab import dry_run, estimate, execute, grid, plan
from attention.lab.estimate import Cost, Range
from attention.training import config as configs
from attention.training import describe
from tests.support import sweeps, toy

POOLINGS = grid.param("model.pooling", ["mean", "max", "sum"])
RATES = grid.param("training.learning_rate", [0.01, 0.02])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("plan")
    patch.setenv("ATTENTION_CACHE_DIR", str(folder / "cache"))
    yield toy.write_data(folder)
    patch.undo()


def test_points_are_variants_times_seeds_with_keys_of_their_own(source):
    made = sweeps.planned(sweeps.fields(source, POOLINGS, seeds=(3, 5)))
    points = made.points()
    assert [(p.variant.name, p.config.seeds) for p in points] == [(v, (s,)) for v in ("mean", "max", "sum") for s in (3, 5)]
    assert [p.config.model.pooling for p in points] == ["mean", "mean", "max", "max", "sum", "sum"]
    assert len({p.key for p in points}) == 6
    again = sweeps.planned(sweeps.fields(source, POOLINGS[:2], seeds=(5, 7, 3)))
    keys = {(p.variant.name, p.config.seeds): p.key for p in again.points()}
    assert keys["max", (3,)] == points[2].key
    assert keys["mean", (5,)] == points[1].key
    assert again.sweep.identity() == made.sweep.identity()


def test_a_margin_is_of_the_question_and_not_of_the_sweep(source):
    without, given = (plan.read(sweeps.fields(source, POOLINGS, **more), "toy") for more in ({}, {"margin": 0.02}))
    assert (without.margin, given.margin) == (None, 0.02)
    assert without.identity() == given.identity()
    assert without.words() == given.words()
    assert plan.read(sweeps.fields(source, POOLINGS, metric="nll", margin=2.0), "toy").margin == 2.0


def test_a_sweep_is_another_with_another_base_or_search(source):
    given = sweeps.fields(source, POOLINGS)
    identity = plan.read(given, "toy").identity()
    json.dumps(identity)
    for changed in (
        sweeps.fields(source, POOLINGS, training={"steps": 13}),
        sweeps.fields(source, POOLINGS, search={"training.dropout": "uniform(0.1, 0.5)"}),
    ):
        assert plan.read(changed, "toy").identity() != identity
    for same in (  # another question, and the same data under another name
        sweeps.fields(source, POOLINGS, baseline="max"),
        sweeps.fields(source, POOLINGS, metric="nll"),
        sweeps.fields(source.replace("/train.tsv", "/../x/train.tsv"), POOLINGS),
    ):
        assert plan.read(same, "toy").identity() == identity


def test_seeds_and_floats_share_a_program_and_spec_strings_do_not(source):
    made = sweeps.planned(sweeps.fields(source, grid.product(POOLINGS, RATES), seeds=(0, 1, 2), baseline="mean, 0.01"))
    cohorts = made.cohorts(made.points())
    assert [len(cohort) for cohort in cohorts] == [6, 6, 6]
    for cohort in cohorts:
        merged = configs.cohort([point.config for point in cohort])
        assert len({point.config.model for point in cohort}) == 1
        assert merged.training.learning_rate == (0.01, 0.01, 0.01, 0.02, 0.02, 0.02)
        assert merged.seeds == (0, 1, 2) * 2
        assert configs.members(merged) == [point.config for point in cohort]
    fewer = sweeps.planned(
        sweeps.fields(source, grid.product(POOLINGS, RATES), seeds=(0, 1, 2), baseline="mean, 0.01", max_members=4)
    )
    assert [len(cohort) for cohort in fewer.cohorts(fewer.points())] == [4, 2] * 3
    # Whether there is dropout at all is another program.
    rates = grid.param("training.dropout", [0.0, 0.1, 0.2])
    split = sweeps.planned(sweeps.fields(source, rates, seeds=(0, 1), baseline="0"))
    assert [[p.config.training.dropout for p in cohort] for cohort in split.cohorts(split.points())] == [
        [0.0, 0.0],
        [0.1, 0.1, 0.2, 0.2],
    ]


def test_a_cohort_refuses_members_of_other_programs(source):
    given = enumerate(("mean", "max"))
    one, other = (configs.from_dict({**toy.fields(source), "model": {"pooling": p}, "seeds": (seed,)}) for seed, p in given)
    with pytest.raises(ValueError, match="members of a cohort differ in seeds, learning_rate"):
        configs.cohort([one, other])


def bad(source):
    encodings = grid.param("model.encoding", ["none", "rope"])
    return {
        "unknown field": (
            sweeps.fields(source, grid.param("model.poling", ["mean"])),
            "is no field.*nearest: 'model.pooling'",
        ),
        "no section": (sweeps.fields(source, grid.param("pooling", ["mean"])), "the axis 'pooling' is no field"),
        "empty grid": (sweeps.fields(source, grid.where(POOLINGS, lambda _: False)), "grid of config.sweep.variants is empty"),
        "unknown baseline": (
            sweeps.fields(source, POOLINGS, baseline="men"),
            "got 'men' .nearest: 'mean'.; variants: mean, max",
        ),
        "same name": (sweeps.fields(source, [*POOLINGS, *POOLINGS]), "two variants are called 'mean'"),
        "same config": (
            sweeps.fields(source, grid.param("model.pooling", {"mean": "mean", "also": "mean()"})),
            "duplicate points: 'mean' and 'also' are the same config",
        ),
        "name that turns": (
            sweeps.fields(source, grid.param("model.pooling", {"a\u202eb": "mean", "max": "max"}), baseline="max"),
            r"the name of a variant wants no control characters, got U\+202E in 'a\\u202eb'",
        ),
        "title of two lines": (
            sweeps.fields(source, POOLINGS, title="a\nb"),
            r"config.sweep.title wants no control characters, got U\+000A in 'a\\nb'",
        ),
        "data of two lines": (
            sweeps.fields(source, POOLINGS, data_name="a\u2029b"),
            r"config.sweep.data_name wants no control characters, got U\+2029 in 'a\\u2029b'",
        ),
        "unknown value": (sweeps.fields(source, grid.param("model.pooling", ["mean", "maxx"])), "nearest: 'max'"),
        "unknown metric": (sweeps.fields(source, POOLINGS, metric="acuracy"), "got 'acuracy' .nearest: 'accuracy'"),
        "no longer texts": (
            sweeps.fields(source, POOLINGS, metric=plan.BEYOND),
            "accuracy_beyond_training needs test texts longer than those of training",
        ),
        "margin of a share": (
            sweeps.fields(source, POOLINGS, margin=1.0),
            r"config.sweep.margin must be below 1 for accuracy, a share \(0.01 is one percentage point\), got 1.0",
        ),
        "margin below 0": (sweeps.fields(source, POOLINGS, margin=-0.01), "margin must be a finite number above 0, got -0.01"),
        "max_members": (sweeps.fields(source, POOLINGS, max_members=0), "max_members must be 1 or more, got 0"),
        "incompatible": (
            sweeps.fields(source, encodings, baseline="none"),
            "1 of 2 variants cannot be built: 'rope': .*--config.sweep.drop_incompatible leaves them out",
        ),
        "baseline incompatible": (
            sweeps.fields(source, encodings, baseline="rope", drop_incompatible=True),
            "the baseline is among them",
        ),
        "no such data": (sweeps.fields("files(train='no.tsv', validation='no.tsv')", POOLINGS), "no.tsv"),
        "more trials than draws": (
            sweeps.fields(source, POOLINGS, search={"training.learning_rate": "choice(0.001, 0.01)"}, trials=3),
            r"trials=3 wants as many different draws; training.learning_rate from choice\(0.001, 0.01\) has 2",
        ),
        "a draw out of range": (
            sweeps.fields(source, POOLINGS, search={"training.dropout": "choice(0.5, 1)"}, trials=2),
            r"config.training.dropout wants a number in \[0, 1\), got 1.0",
        ),
        "a search of what a variant sets": (
            sweeps.fields(
                source,
                grid.param("training.dropout", [0.1, 0.2]),
                baseline="0.1",
                search={"training.dropout": "uniform(0.1, 0.2)"},
            ),
            "the variant '0.1' sets training.dropout, which config.sweep.search draws; give one of them",
        ),
        "halvings of two programs": (
            sweeps.fields(source, POOLINGS, search={"training.dropout": "choice(0, 0.1, 0.2)"}, trials=3, halvings=1),
            "config.sweep.halvings needs all trials of a variant in one cohort",
        ),
        "search of the seeds": (
            sweeps.fields(source, POOLINGS, seeds=(7,), search={"training.dropout": "uniform(0.1, 0.2)"}, search_seed=7),
            "search_seed must not be one of config.seeds, got 7",
        ),
        "halving apart": (
            sweeps.fields(source, POOLINGS, search={"training.dropout": "uniform(0.1, 0.2)"}, halvings=1, max_members=4),
            "8 trials and max_members=4",
        ),
    }


@pytest.mark.parametrize("case", bad(""))
def test_bad_sweeps_say_what_is_wrong(source, case):
    given, message = bad(source)[case]
    with pytest.raises(ValueError, match=message):
        sweeps.planned(given)


def test_a_config_without_a_sweep_is_named(source):
    with pytest.raises(ValueError, match="config toy has no section sweep"):
        plan.read(toy.fields(source), "toy")


def test_what_cannot_be_built_is_left_out_where_the_config_says_so(source):
    encodings = grid.param("model.encoding", ["none", "rope", "sinusoidal"])
    made = sweeps.planned(sweeps.fields(source, encodings, baseline="none", drop_incompatible=True))
    assert [built.variant.name for built in made.built] == ["none", "sinusoidal"]
    ((name, reason),) = made.dropped
    assert name == "rope"
    assert "embeddings" in reason
    assert f"left out: 'rope' cannot be built: {reason}" in dry_run.outline(made, None, timed=False)


def test_no_two_trials_are_alike(source):
    search = {"training.learning_rate": "choice(0.001, 0.01, 0.1)", "training.dropout": "choice(0.1, 0.2)"}
    made = sweeps.planned(sweeps.fields(source, POOLINGS[:2], search=search, trials=6))
    draws = made.sweep.search.draws()
    assert len({tuple(draw.values()) for draw in draws}) == 6
    assert len(made.trials()) == 12


def test_trials_have_the_same_draws_for_each_variant(source):
    search = {"training.learning_rate": "log(1e-3, 1e-1)"}
    made = sweeps.planned(sweeps.fields(source, POOLINGS[:2], search=search, trials=4, halvings=1))
    trials = made.trials()
    rates = [trial.config.training.learning_rate for trial in trials]
    assert rates[:4] == rates[4:]
    assert len(set(rates)) == 4
    assert {(trial.config.seeds, trial.config.cohort.halvings, trial.phase) for trial in trials} == {
        ((1_000_000,), 1, "search")
    }
    assert [len(cohort) for cohort in made.cohorts(trials)] == [4, 4]
    assert made.points() == []
    assert len(made.points({"max": {"training.learning_rate": 0.5}})) == 2
    assert made.points({"max": {"training.learning_rate": 0.5}})[0].config.training.learning_rate == 0.5


def test_the_outline_counts_members_and_programs_and_exports_a_command_for_each(source):
    made = sweeps.planned(sweeps.fields(source, grid.product(POOLINGS, RATES), baseline="mean, 0.01"))
    text = dry_run.outline(made, None, timed=False)
    assert "6 variants x 2 seeds, against 'mean, 0.01' by accuracy" in text
    assert "members: 12 in 3 programs" in text
    assert not re.search(r"\d+ (to \d+ )?(s|min)\b", text)  # the sweep itself shows the time left
    lines = dry_run.export(made, "runs/x", ["--config=c.py", "--config.seeds=0,1"]).splitlines()
    commands = [line for line in lines if line.startswith("python sweep.py --config=c.py --config.seeds=0,1 --workdir=runs/x")]
    assert len(commands) == 4
    assert sum("--only=" in command for command in commands) == 3


def test_a_dry_run_counts_and_says_a_range_for_each_program_and_for_all(source, monkeypatch):
    monkeypatch.setattr(estimate, "BUDGET", 0.0)  # the baseline is timed, the other is like it
    made = sweeps.planned(sweeps.fields(source, POOLINGS[:2]))
    text = dry_run.outline(made, None, timed=True)
    assert "parameters  operations per example" in text
    (parameters, operations), _ = (line.split()[-2:] for line in text.splitlines() if line.split()[1:2] == ["12"])
    assert int(parameters) == made.built[0].counted()[0] > 8
    assert float(operations) > 100
    *programs, total = re.findall(r"(\d+) to (\d+) s", text)
    assert len(programs) == 2
    assert int(total[0]) >= max(int(low) for low, _ in programs)
    assert int(total[1]) >= sum(int(high) for _, high in programs) - 2  # rounded
    assert "(1 from updates timed here, 1 taken to be like these)" in text


def test_many_variants_are_planned_without_tracing_any(source, monkeypatch):
    def traced(*_):
        raise AssertionError("a variant was traced")

    rates = grid.param("training.learning_rate", [0.001 * n for n in range(1, 68)])
    made = sweeps.planned(sweeps.fields(source, grid.product(POOLINGS, rates), baseline="mean, 0.001"))
    assert len(made.built) == 201
    monkeypatch.setattr(describe, "abstract_members", traced)
    monkeypatch.setattr(estimate, "BUDGET", 0.0)
    text = dry_run.outline(made, None, timed=True)
    assert "operations" not in text
    assert "1 from updates timed here, 200 taken to be like these" in text


def test_trained_members_are_better_evidence_than_timed_updates(source, tmp_path, monkeypatch):
    given = sweeps.fields(source, POOLINGS[:2])
    sweeps.run({**given, "seeds": (0,)}, tmp_path / "sweep")
    made = sweeps.planned(given)
    monkeypatch.setattr(estimate, "_timed", lambda *_: pytest.fail("an update was timed"))
    with execute.opened(tmp_path / "sweep", made) as points:
        found = estimate.estimate(made, points, {})
        result = points.run(made.points()[0]).read_result()
        text = dry_run.outline(made, points, timed=True)
    spent = result["train_seconds"] - result["compile_seconds"]
    assert found.costs["mean"].member.low <= spent  # less where it had to wait
    assert "members: 4 in 2 programs, 2 of them already done or failed" in text
    assert "(2 from members that are trained)" in text


@pytest.mark.parametrize(("axis", "members"), [("map", 1), ("vmap", 3)])
def test_members_side_by_side_are_timed_together(source, axis, members, monkeypatch):
    calls, lower = [], estimate.cohort_step
    monkeypatch.setattr(estimate, "cohort_step", lambda program, axis: calls.append(axis) or lower(program, axis))
    drawn, draw = [], estimate.new_cohort
    monkeypatch.setattr(
        estimate,
        "new_cohort",
        lambda program, count, seeds, *rest: drawn.append(len(seeds)) or draw(program, count, seeds, *rest),
    )
    given = sweeps.fields(source, POOLINGS[:1], seeds=(0, 1, 2, 3))
    made = sweeps.planned({**given, "cohort": {"axis": axis}})
    cost = estimate._timed(made.built[0], 3, 0.0)
    assert (calls, set(drawn)) == ([axis], {members})
    assert 0 < cost.member.low < cost.member.high
    assert 0 < cost.cohort.low < cost.cohort.high


def test_what_is_not_known_is_in_proportion_to_its_operations():
    known = {"a": Cost(Range(1.0, 3.0), Range(10.0, 20.0)), "b": Cost(Range(3.0, 5.0), Range(30.0, 60.0))}
    one = estimate._alike("c", known, {})
    assert one.cohort == (2.0, 4.0)
    assert one.member.low < 20.0 < 40.0 < one.member.high
    twice = estimate._alike("c", {"a": known["a"]}, {"a": 100.0, "c": 200.0})
    assert twice.member.low < 20.0 < 40.0 < twice.member.high


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((20.2, 41.0), "20 to 41 s"),
        ((0.1, 0.4), "0 s"),
        ((250, 520), "4 to 9 min"),
        ((100, 190), "1.7 to 3.2 min"),
        ((7300, 15000), "2.0 to 4.2 h"),
    ],
)
def test_ranges(seconds, words):
    assert dry_run.between(Range(*seconds)) == words


def test_members_of_a_cohort_share_its_devices(source):
    points = sweeps.planned(sweeps.fields(source, POOLINGS[:1], seeds=(0, 1, 2))).points()
    expected = estimate.Estimate({points[0].variant.name: Cost(Range(1.0, 2.0), Range(10.0, 20.0))}, "")
    assert expected.of(points) == (31.0, 62.0)
    assert expected.of(points, 2) == pytest.approx((21.0, 42.0))  # two, and then one
    assert expected.of(points, 6) == pytest.approx((6.0, 22.0))  # two for each, which gain all or nothing
    assert expected.of([], 2) == (0.0, 0.0)


def test_cohorts_are_spread_over_devices_and_none_is_cut():
    alone = estimate.whole([[Range(10.0, 20.0), Range(30.0, 40.0)]], 1, 2)
    both = estimate.whole([[Range(10.0, 20.0), Range(30.0, 40.0)]], 2, 2)
    assert alone.low - both.low == 10.0
    assert alone.high - both.high == 20.0
    assert estimate.whole([], 1, 2) == (0.0, 0.0)
    one, other = [Range(10.0, 20.0)], [Range(30.0, 40.0)]  # the members of a search wait for it
    assert estimate.whole([one, other], 2, 2) == alone


def test_variants_with_other_tokens_are_not_compared_by_a_mean_over_tokens(source):
    tokens = grid.param("data.tokenizer", ["characters", "words"])

    def planned(metric, variants=tokens, **data):
        fields = sweeps.fields(source, variants, metric=metric, baseline=variants[0][0][0])
        return sweeps.planned({**fields, "task": "lm", "data": {"source": source, "max_length": 8, **data}})

    with pytest.raises(
        ValueError, match=r"metric=nll is per token.* other tokens than 'characters'.*: words; compare them by b"
    ):
        planned("nll")
    assert not planned("bits_per_byte").sweep.higher_is_better
    with pytest.raises(ValueError, match="metric=longer_context is per token"):
        planned("longer_context")
    rates = planned("longer_context", RATES, tokenizer="characters")
    assert not rates.sweep.higher_is_better
    own = {"source": "induction(train=20, validation=5, test=5, lengths=0)", "tokenizer": "words", "max_length": 72}
    with pytest.raises(ValueError, match="metric=longer_context needs windows cut from texts"):
        planned("longer_context", RATES, **own)


def test_one_tokenizer_that_learned_other_words_makes_other_tokens(source):
    """A small vocabulary of other words tells an unknown token easily."""
    other = source.replace("train.tsv", "validation.tsv", 1)
    sources = grid.param("data.source", {"own": source, "other": other})

    def planned(metric, variants=sources, tokenizer="words", **more):
        fields = sweeps.fields(source, variants, metric=metric, baseline=variants[0][0][0], **more)
        fields |= {"task": "lm", "data": {"source": source, "max_length": 8, "tokenizer": tokenizer}}
        return sweeps.planned(fields)

    assert len(planned("nll").built) == 2  # the same words, more often or less
    with pytest.raises(ValueError, match=r"metric=nll is per token.* other tokens than 'own', by their tok.* learned: other"):
        planned("nll", tokenizer="words(max_size=5)")
    same = grid.param("data.tokenizer", ["words", "words(max_size=1000)"])
    assert len(planned("nll", same).built) == 2
    with pytest.raises(ValueError, match=r"2 variants cannot be.*metric=exact_match is undefined on test: a text of which"):
        planned("exact_match")
    unknown = grid.param("data.tokenizer", ["characters", "words(max_size=5)"])
    with pytest.raises(ValueError, match=r"metric=bits_per_byte is undefined on test: .* tokens are unknown"):
        planned("bits_per_byte", unknown)
    assert [one.variant.name for one in planned("bits_per_byte", unknown, drop_incompatible=True).built] == ["characters"]


def test_data_are_shared_by_variants_that_read_them_alike(source):
    """Characters of words are read with the data, and what a model is made of is not."""
    own = {"source": "bucket_sort(train=30, validation=5, test=5, lengths=0)", "max_length": 16}
    two = grid.product(grid.param("model.characters", [0, 8]), grid.param("model.dim", [8, 16]))
    fields = sweeps.fields(source, two, metric="accuracy", baseline="0, 8")
    built = sweeps.planned({**fields, "task": "tagging", "data": own}).built
    assert len({id(each.data) for each in built}) == 2
    assert built[2].data is built[3].data
    assert built[2].counted()[0] > built[0].counted()[0]
