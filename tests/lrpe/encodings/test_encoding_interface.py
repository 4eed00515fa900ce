"""Building by name, checkpoints, compilation, and what a wrong call is told."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from lrpe.encodings import ENCODINGS, build_encoding, encoding_options
from tests.lrpe.encodings.encoding_cases import ALL, HEAD_DIM, HEADS, LEARNED, Case, random_positions, random_vectors

SIZE = {"head_dim": 8, "num_heads": 2}


def test_every_encoding_is_built_with_its_defaults_and_reports_its_sizes():
    for name, kind in ENCODINGS.items():
        encoding = build_encoding(name, **SIZE)
        assert type(encoding) is kind
        assert encoding.name == name
        assert (encoding.head_dim, encoding.num_heads, encoding.ndim) == (8, 2, 1)
        assert encoding(torch.randn(1, 2, 3, 8), torch.randn(1, 2, 3, 8))[0].shape[-1] == encoding.output_dim


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lprpe", {}, "lprpe.*did you mean 'lrpe'"),
        ("lrpe", {"projektion": "dct"}, "'projektion', did you mean 'projection'"),
        ("none", {"seed": 1}, "'none' has no option 'seed'.*valid: ndim"),
        ("lrpe", {"core": "orthogonl"}, "core='orthogonl' is unknown, did you mean 'orthogonal'"),
        ("lrpe", {"projection": "hausholder"}, "did you mean 'householder'"),
        ("lrpe", {"projection": "dft"}, "projection='dft'.*needs core='unitary', got core='orthogonal'"),
        ("lrpe", {"angle_schedule": "geometrical"}, "angle_schedule='geometrical'.*did you mean 'geometric'"),
        ("lrpe", {"angle_schedule": "uniform"}, "angle_schedule='uniform' needs max_length.*got None"),
        ("lrpe", {"angle_schedule": "harmonic", "max_length": 0}, "max_length must be a positive integer, got 0"),
        ("lrpe", {"core": "permutation", "learn_angles": True}, "learn_angles=True needs a core that has angles"),
        ("lrpe", {"learn_projection": True}, "learn_projection=True needs projection='householder'"),
        ("lrpe", {"decay": "fast"}, "decay='fast' is unknown"),
        ("lrpe", {"decay": "fixed", "layer_fraction": 1.5}, r"layer_fraction must be in \[0, 1\], got 1.5"),
        ("lrpe", {"decay": "fixed", "ndim": 2}, "decay='fixed'.*needs ndim=1, got 2"),
        ("lrpe", {"ndim": 0}, "ndim must be a positive integer, got 0"),
        ("lrpe", {"ndim": 2, "axes": "owned"}, "axes='owned' is unknown, did you mean 'own'"),
        ("lrpe", {"ndim": 5}, "needs at least ndim=5 angles, but head_dim leaves 4"),
        ("lrpe", {"ndim": 5, "core": "permutation"}, "needs head_dim >= 10, got 8"),
        ("permuteformer", {"permutation": "per head"}, "did you mean 'per_head'"),
        ("permuteformer", {"ndim": 2}, "decay=True.*needs ndim=1, got ndim=2"),
        ("spe", {"kind": "sin"}, "kind='sin' is unknown, did you mean 'sine'"),
        ("spe", {"axis": "batches"}, "did you mean 'batch'"),
        ("spe", {"resample": "alway"}, "did you mean 'always'"),
        ("spe", {"ndim": 2, "axis": "batch"}, "axis='batch'.*needs ndim=1, got 2"),
        ("spe", {"num_realizations": 0}, "num_realizations must be a positive integer, got 0"),
        ("spe", {"kernel_size": -1}, "kernel_size must be a positive integer, got -1"),
    ],
)
def test_a_wrong_name_or_value_is_refused_at_construction(name: str, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build_encoding(name, **SIZE, **options)


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("size", [{"head_dim": 0}, {"head_dim": -4}, {"num_heads": 0}])
def test_dimensions_that_are_not_positive_are_refused(name: str, size: dict):
    with pytest.raises(ValueError, match=f"{next(iter(size))} must be a positive integer"):
        build_encoding(name, **{**SIZE, **size})


@pytest.mark.parametrize("name", ENCODINGS)
def test_dimensions_that_are_no_integers_are_refused(name: str):
    with pytest.raises(TypeError, match=r"head_dim must be a positive integer, got 8\.0"):
        build_encoding(name, head_dim=8.0, num_heads=2)


@pytest.mark.parametrize("options", [("rope", {}), ("lrpe", {}), ("lrpe", {"core": "orthogonal_mixed"})])
def test_an_odd_head_dim_is_refused_where_pairs_are_rotated(options: tuple[str, dict]):
    with pytest.raises(ValueError, match=r"head_dim must be even.*got 7"):
        build_encoding(options[0], head_dim=7, num_heads=2, **options[1])


def test_an_odd_head_dim_is_fine_where_there_are_no_pairs():
    for core in ("unitary", "permutation"):
        encoding = build_encoding("lrpe", head_dim=7, num_heads=2, core=core, projection="odd_even")
        x = random_vectors(1, 2, 3, 7)
        torch.testing.assert_close(encoding(x, x)[0].norm(dim=-1), x.norm(dim=-1))


def test_a_seed_has_to_be_an_integer():
    with pytest.raises(TypeError, match="seed must be an integer or None, got 'a'"):
        build_encoding("permuteformer", **SIZE, seed="a")


@pytest.mark.parametrize(
    ("positions", "offset", "error", "message"),
    [
        (torch.arange(4), 0, ValueError, r"shape \(5,\) or \(3, 5\), got \(4,\)"),
        (torch.zeros(2, 5, dtype=torch.int64), 0, ValueError, r"\(3, 5\), got \(2, 5\)"),
        (torch.zeros(5, 2, dtype=torch.int64), 0, ValueError, r"got \(5, 2\)"),
        (torch.arange(5.0), 0, TypeError, "must be integers, got a tensor of torch.float32"),
        (torch.ones(5, dtype=torch.bool), 0, TypeError, "torch.bool"),
        ([0, 1, 2, 3, 4], 0, TypeError, "got list"),
        (torch.arange(5), 3, ValueError, "not both: got positions and offset=3"),
        (None, 1.5, TypeError, "offset must be an integer, got 1.5"),
    ],
)
@pytest.mark.parametrize("name", ENCODINGS)
def test_wrong_positions_are_refused(name: str, positions, offset, error: type, message: str):
    encoding = build_encoding(name, **SIZE)
    x = torch.randn(3, 2, 5, 8)
    with pytest.raises(error, match=message):
        encoding(x, x, positions=positions, offset=offset)
    with pytest.raises(error, match=message):
        encoding.encode_key(x, positions=positions, offset=offset)


def test_positions_of_images_have_to_be_given():
    encoding = build_encoding("rope", **SIZE, ndim=2)
    x = torch.randn(3, 2, 5, 8)
    with pytest.raises(ValueError, match=r"must be given for ndim=2, with shape \(5, 2\)"):
        encoding(x, x)
    with pytest.raises(ValueError, match=r"\(5, 2\) or \(3, 5, 2\), got \(5,\)"):
        encoding(x, x, positions=torch.arange(5))


@pytest.mark.parametrize("name", ENCODINGS)
def test_wrong_queries_and_keys_are_refused(name: str):
    encoding = build_encoding(name, **SIZE)
    good = torch.randn(3, 2, 5, 8)
    for bad in (torch.randn(3, 5, 2, 8), torch.randn(3, 2, 5, 6), torch.randn(2, 5, 8)):
        with pytest.raises(ValueError, match=r"query must have shape \(batch, 2, length, 8\)"):
            encoding(bad, good)
        with pytest.raises(ValueError, match=r"key must have shape \(batch, 2, length, 8\)"):
            encoding(good, bad)
    with pytest.raises(TypeError, match=r"query must be a floating-point tensor, got torch.int64"):
        encoding(good.long(), good)


def test_query_and_key_may_differ_in_length():
    for name in ENCODINGS:
        encoding = build_encoding(name, **SIZE).eval()
        x = random_vectors(2, 2, 5, 8)
        query, key = encoding(x[:, :, :2], x)
        torch.testing.assert_close(query, encoding(x, x)[0][:, :, :2])
        torch.testing.assert_close(key, encoding(x, x)[1])


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_checkpoint_reproduces_the_encoding(case: Case):
    """Another seed draws other permutations and vectors; the checkpoint brings those of the first."""
    encoding = case.build().eval()
    options = {**case.options, "seed": 4} if "seed" in encoding_options(case.name) else case.options
    other = build_encoding(case.name, head_dim=HEAD_DIM, num_heads=HEADS, **options).eval()
    x = random_vectors(2, HEADS, 5, HEAD_DIM)
    positions = random_positions(case, 5)
    expected = encoding(x, x, positions=positions)
    if encoding.state_dict() and set(encoding.state_dict()) != {"core.angles.values"}:
        assert not torch.equal(other(x, x, positions=positions)[0], expected[0])
    other.load_state_dict(encoding.state_dict())
    for one, two in zip(other(x, x, positions=positions), expected, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["permuteformer", "spe"])
def test_without_a_seed_the_global_generator_decides(name: str):
    def state(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(build_encoding(name, head_dim=32, num_heads=2).state_dict().values())

    assert all(torch.equal(one, two) for one, two in zip(state(1), state(1), strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(state(1), state(2), strict=True))


def test_a_seed_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for case in ALL:
        case.build()
    assert torch.equal(torch.get_rng_state(), before)


def test_learned_angles_are_named_for_no_weight_decay():
    for case in LEARNED:
        encoding = case.build()
        angles = {name for name, _ in encoding.named_parameters() if name.endswith("angles.values")}
        assert encoding.no_weight_decay() == angles


def test_a_copy_is_independent():
    encoding = build_encoding("lrpe", **SIZE, learn_angles=True)
    other = copy.deepcopy(encoding)
    with torch.no_grad():
        encoding.core.angles.values.zero_()
    assert (other.core.angles.values != 0).all()


COMPILED = [
    Case("rope"),
    Case("lrpe", {"core": "orthogonal", "projection": "householder", "learn_angles": True, "learn_projection": True}),
    Case("lrpe", {"core": "orthogonal_mixed", "projection": "dct", "ndim": 2, "axes": "split"}),
    Case("lrpe", {"core": "unitary", "projection": "householder", "learn_angles": True}),
    Case("lrpe", {"core": "unitary", "projection": "dft", "learn_angles": True}),
    Case("lrpe", {"core": "permutation", "projection": "householder", "learn_projection": True}),
    Case("permuteformer"),
]


@pytest.mark.parametrize("case", COMPILED, ids=str)
def test_compiles_to_one_graph_with_the_same_values_and_gradients(case: Case):
    torch._dynamo.reset()
    encoding = case.build()
    compiled = torch.compile(encoding, backend="aot_eager", fullgraph=True)
    positions = random_positions(case, 5)
    results = []
    for encode in (encoding, compiled):
        encoding.zero_grad()
        query, key = (random_vectors(2, HEADS, 5, HEAD_DIM, seed=seed).requires_grad_() for seed in (0, 1))
        encoded = encode(query, key, positions=positions)
        ((encoded[0] @ encoded[1].mT) ** 2).sum().backward()
        gradients = [query.grad, key.grad, *(parameter.grad.clone() for parameter in encoding.parameters())]
        results.append([*encoded, *gradients])
    for eager, graph in zip(*results, strict=True):
        torch.testing.assert_close(graph, eager)


@pytest.mark.parametrize("case", COMPILED[1:2], ids=str)
def test_compiles_for_every_length_after_the_second(case: Case):
    """torch.compile takes the first length for a constant and the second for proof that it is none."""
    torch._dynamo.reset()
    counter = CompileCounter()
    encode = torch.compile(case.build(), backend=counter, fullgraph=True)
    graphs = []
    for length in (5, 6, 9, 17):
        query, key = (random_vectors(2, HEADS, length, HEAD_DIM, seed=seed) for seed in (0, 1))
        encode(query, key, positions=random_positions(case, length))
        graphs.append(counter.frame_count)
    assert graphs == [1, 2, 2, 2]
