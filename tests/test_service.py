"""examples/service.py: requests that are drawn together get what they would have got alone."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import genfast as gf

pytest.importorskip("fastapi")
testclient = pytest.importorskip("starlette.testclient")

EXAMPLE = Path(__file__).parent.parent / "examples" / "service.py"
if not EXAMPLE.exists():
    pytest.skip("needs the source tree", allow_module_level=True)

REQUESTS = [
    {"prompt": "Alice ", "n": 2, "seed": 7, "max_tokens": 30},
    {"prompt": "", "n": 1, "seed": 7, "max_tokens": 12},
    {"prompt": "`What a curious feeling!' said the", "n": 5, "seed": 3},
    {"prompt": "Q", "n": 3, "seed": 2**63 - 1, "max_tokens": 1},
    {"prompt": "Alice ", "n": 1, "seed": 0, "temperature": 0.5, "top_p": 0.9},
]


@pytest.fixture(scope="module")
def service():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE.parent)
        yield importlib.import_module("service")


@pytest.fixture
def client(service):
    with testclient.TestClient(service.app) as client:
        yield client


def ask(client, request):
    answer = client.post("/complete", json=request)
    assert answer.status_code == 200, answer.text
    return answer.json()["texts"]


def test_texts_are_those_of_the_model(client):
    model = gf.load("alice")
    vocabulary = model.meta["vocabulary"]
    prompt = [vocabulary.index(character) for character in "Alice "]
    rows = model.sample(2, rng=7, prompt=prompt, max_tokens=30)
    assert ask(client, REQUESTS[0]) == ["".join(vocabulary[token] for token in row[6:]) for row in rows]
    assert [len(text) for text in ask(client, REQUESTS[2])] == [80] * 5


def test_batching_changes_no_text(service, client, monkeypatch):
    alone = [ask(client, request) for request in REQUESTS]
    before = len(client.app.state.batcher.calls)
    many = [REQUESTS[i % len(REQUESTS)] for i in range(40)]
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(lambda request: ask(client, request), many))
    assert together == [alone[i % len(REQUESTS)] for i in range(40)]
    calls = client.app.state.batcher.calls[before:]
    assert len(calls) < 40, "no requests were drawn together"
    assert max(calls) <= service.MAX_ROWS


def test_a_bad_request_harms_no_other(client):
    for request, word in [
        ({"prompt": "{}"}, "'{}'"),
        ({"prompt": "a" * 300}, "300"),
        ({"n": 0}, "greater"),
        ({"temperature": 0}, "greater"),
    ]:
        answer = client.post("/complete", json=request)
        assert answer.status_code == 422
        assert word in answer.text
    assert len(ask(client, REQUESTS[1])[0]) == 12
