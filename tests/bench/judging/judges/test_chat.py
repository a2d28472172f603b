"""The chat judge against a small real server on the loopback."""

import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from bench.contracts.errors import BenchError
from bench.judging.judges.chat import Chat, parse, plain

RESPONSES = re.compile(r"\[Response A\]\n(.*)\n\n\[Response B\]\n(.*)\n\nReply", re.DOTALL)


class Server:
    """Prefers the response with more `good`; `behaviour` may say otherwise: a status to answer with, or a reply.

    Attributes:
        requests: the JSON bodies it was sent.
        headers: their headers.
        most: the largest number of requests at a time.
    """

    def __init__(self, behaviour=lambda question, count: None, pause=0.0):
        self.requests, self.headers, self.seen = [], [], Counter()
        self.now = self.most = 0
        lock, server = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                question = body["messages"][0]["content"]
                with lock:
                    server.requests.append(body)
                    server.headers.append(dict(self.headers))
                    server.seen[question] += 1
                    server.now += 1
                    server.most = max(server.most, server.now)
                    does = behaviour(question, server.seen[question])
                time.sleep(pause)
                with lock:
                    server.now -= 1
                if isinstance(does, int):
                    self.answer(does, {"error": {"message": f"status {does}"}})
                elif isinstance(does, dict):
                    self.answer(200, does)
                else:
                    reply = does or prefer_good(question)
                    self.answer(200, {"choices": [{"message": {"role": "assistant", "content": reply}}]})

            def answer(self, status, body):
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # a client that did not wait
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def prefer_good(question):
    first, second = (text.count("good") for text in RESPONSES.search(question).groups())
    return "tie" if first == second else "A" if first > second else "B"


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    waits, servers = [], []
    monkeypatch.setattr("bench.judging.judges.chat.time", SimpleNamespace(sleep=waits.append))

    def start(*arguments, **settings):
        servers.append(Server(*arguments, **settings))
        servers[-1].waits = waits
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_a_question_says_everything_and_the_answer_is_that_of_the_model(serve):
    server = serve()
    judge = Chat(url=server.url, model="some model")
    answers = judge.compare(["how was it ?"] * 3, [" good", " bad", " fine"], [" bad", " good good", " fine too"])
    assert answers == [1.0, 0.0, 0.5]
    assert {body["model"] for body in server.requests} == {"some model"}
    assert {body["temperature"] for body in server.requests} == {0.0}
    assert all("how was it ?" in body["messages"][0]["content"] for body in server.requests)
    assert "Authorization" not in server.headers[0]


def test_the_key_comes_from_the_environment_and_goes_into_the_header_alone(serve, monkeypatch):
    server = serve()
    monkeypatch.setenv("A_KEY", "sesame")
    judge = Chat(url=server.url, model="m", api_key_env="A_KEY")
    judge.compare(["p"], ["good"], ["bad"])
    assert server.headers[0]["Authorization"] == "Bearer sesame"
    assert "sesame" not in judge.model_dump_json() + json.dumps(server.requests)
    monkeypatch.delenv("A_KEY")
    with pytest.raises(BenchError, match="'A_KEY' is not set"):
        judge.compare(["p"], ["good"], ["bad"])


def test_rubbish_is_an_unparsable_answer_and_not_a_tie(serve):
    server = serve(lambda question, count: "Hard to say." if "odd" in question else None)
    answers = Chat(url=server.url, model="m").compare(["an odd one", "p"], ["good", "good"], ["bad", "bad"])
    assert np.isnan(answers[0])
    assert answers[1] == 1.0


def test_a_server_error_is_tried_again_after_longer_and_longer_waits(serve):
    server = serve(lambda question, count: 500 if count <= 3 else None)
    assert Chat(url=server.url, model="m").compare(["p"], ["good"], ["bad"]) == [1.0]
    assert server.waits == [1, 2, 4]


def test_a_server_that_stays_broken_is_an_error_that_says_so(serve):
    server = serve(lambda question, count: 503)
    with pytest.raises(BenchError, match=r"/v1/chat/completions answers 503 .*status 503.* \(after 3 tries\)"):
        Chat(url=server.url, model="m", retries=2).compare(["p"], ["good"], ["bad"])
    assert len(server.requests) == 3


def test_a_refusal_is_final(serve):
    server = serve(lambda question, count: 401)
    with pytest.raises(BenchError, match=r"answers 401 .*is `api_key_env` set\?"):
        Chat(url=server.url, model="m", concurrency=1).compare(["p"], ["good"], ["bad"])
    assert len(server.requests) == 1


def test_a_server_that_is_away_is_an_error_with_its_address(serve):
    server = serve()
    server.close()
    with pytest.raises(BenchError, match=rf"{server.url}/chat/completions cannot be reached: .*refused"):
        Chat(url=server.url, model="m", retries=1).compare(["p"], ["good"], ["bad"])


def test_a_server_that_does_not_answer_in_time_is_away(serve):
    release = threading.Event()
    server = serve(lambda question, count: release.wait(5) and None)
    with pytest.raises(BenchError, match="timed out"):
        Chat(url=server.url, model="m", timeout=0.1, retries=0).compare(["p"], ["good"], ["bad"])
    release.set()


def test_a_server_of_another_kind_is_told_apart(serve):
    server = serve(lambda question, count: {"hello": "world"})
    with pytest.raises(BenchError, match="does not answer as an OpenAI-compatible server does"):
        Chat(url=server.url, model="m").compare(["p"], ["good"], ["bad"])


def test_no_more_questions_are_on_their_way_than_allowed(serve):
    server = serve(pause=0.02)
    Chat(url=server.url, model="m", concurrency=3).compare(["p"] * 12, [f"good {i}" for i in range(12)], ["bad"] * 12)
    assert 2 <= server.most <= 3


@pytest.mark.parametrize(
    ("reply", "value"),
    [("A", 1.0), ("b.", 0.0), ("**B**", 0.0), ("[[A]]", 1.0), ("Tie", 0.5), ("I think so.\n\nAnswer: A", 1.0),
     ("Verdict: response B", 0.0), ("A\n", 1.0)],
)  # fmt: skip
def test_answers_in_the_usual_dress_are_understood(reply, value):
    assert parse(reply) == value


@pytest.mark.parametrize(
    "reply", ["", "A or B", "a bit of both", "AB", "A is better than B", "C", "Both are good", "A\nhm"]
)
def test_anything_else_is_not(reply):
    assert np.isnan(parse(reply))


def test_texts_with_braces_stay_as_they_are(serve):
    server = serve()
    Chat(url=server.url, model="m").compare(["{first} and {x}"], ["good {second}"], ["bad"])
    question = server.requests[0]["messages"][0]["content"]
    assert "{first} and {x}" in question
    assert "good {second}" in question


def test_a_conversation_is_shown_with_its_roles():
    assert plain([{"role": "user", "content": "hello"}]) == "user: hello"


def test_a_template_must_have_a_place_for_everything():
    with pytest.raises(ValueError, match=r"must contain \{second\}"):
        Chat(url="http://localhost", model="m", template="{prompt} {first}")
