"""The client and the load, against a scripted server on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import threading

import pytest

from inferd.cli import main
from inferd.cli.bench.client import Client
from inferd.cli.bench.load import Load, drive
from inferd.cli.bench.outcome import Outcome
from inferd.cli.bench.workload import Job
from inferd.errors import EnvironmentProblem, UsageError

JOB = Job([5, 6], 3)
USAGE = {"prompt_tokens": 2, "completion_tokens": 3}


def event(content):
    return f"data: {json.dumps(content)}\n\n".encode()


def piece(text, finish=None):
    return event({"choices": [{"index": 0, "text": text, "finish_reason": finish}]})


GOOD = piece("a") + piece("b") + piece("", "length") + event({"choices": [], "usage": USAGE})
GOOD += b"data: [DONE]\n\n"


def chunked(body, size):
    """A reply with chunked encoding, cut every `size` bytes."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    cuts = [body[i : i + size] for i in range(0, len(body), size)]
    return [head, *(b"%x\r\n%s\r\n" % (len(cut), cut) for cut in cuts), b"0\r\n\r\n"]


def plain(status, body):
    return [b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)), body]


class FakeServer(socketserver.ThreadingTCPServer):
    """`script` is what /v1/completions answers, piece by piece, from the n-th request on."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripts = []
        self.requests = []
        self.running = self.most_running = 0
        self.lock = threading.Lock()
        self.hold = threading.Event()
        self.hold.set()
        self.models = ["fake"]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        method, path, _ = self.rfile.readline().decode().split()
        headers = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        if path == "/v1/models":
            cards = {"data": [{"id": name} for name in self.server.models]}
            self._send(plain(200, json.dumps(cards).encode()))
        elif (method, path) == ("POST", "/v1/completions"):
            self._complete(json.loads(body), headers)
        else:
            self._send(plain(404, b"no such path"))

    def _complete(self, body, headers):
        server = self.server
        with server.lock:
            server.requests.append((body, headers))
            server.running += 1
            server.most_running = max(server.most_running, server.running)
            place = min(len(server.requests), len(server.scripts)) - 1
        server.hold.wait(30)
        with server.lock:
            server.running -= 1
        self._send(server.scripts[place])

    def _send(self, parts):
        for part in parts:
            self.wfile.write(part)
            self.wfile.flush()


@pytest.fixture
def server():
    with FakeServer() as fake:
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield fake
        fake.hold.set()
        fake.shutdown()
        thread.join()


def complete(server, *script, **options):
    server.scripts = [list(script)]
    return asyncio.run(Client(server.url, "fake", **options).complete(JOB))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_is_understood_however_it_is_cut(server, size):
    outcome = complete(server, *chunked(GOOD, size))
    assert outcome.error is None
    assert (outcome.num_prompt, outcome.num_output, len(outcome.pieces)) == (2, 3, 2)
    assert outcome.sent <= outcome.pieces[0] <= outcome.pieces[-1] <= outcome.ended


def test_the_request_asks_for_exactly_the_job(server):
    complete(server, *chunked(GOOD, 99), api_key="secret")
    body, headers = server.requests[0]
    assert body["prompt"] == [5, 6]
    assert (body["max_tokens"], body["ignore_eos"], body["stream"]) == (3, True, True)
    assert body["stream_options"] == {"include_usage": True}
    assert headers["authorization"] == "Bearer secret"


def test_without_usage_the_pieces_are_counted(server):
    outcome = complete(server, *chunked(piece("a") + piece("b") + piece("c", "stop"), 50))
    assert outcome.error is None
    assert outcome.num_output == 3


def test_an_answer_without_visible_text_has_a_first_piece(server):
    outcome = complete(server, *chunked(piece("") + piece("", "length"), 999))
    assert outcome.error is None
    assert len(outcome.pieces) == 1
    assert outcome.times_ms["ttft"] == outcome.times_ms["e2el"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (plain(429, b'{"error": {"message": "queue full"}}'), "HTTP 429: queue full"),
        (plain(500, b"oops"), "HTTP 500: oops"),
        (chunked(piece("a") + event({"error": {"message": "engine died"}}), 999), "engine died"),
        (chunked(piece("a"), 999)[:-1], "the stream ended early"),
        (chunked(b"data: {no json\n\n", 999), "not understood"),
        ([b"SPDY/9 what\r\n\r\n"], "not understood"),
        ([b""], "the stream ended early"),
    ],
)
def test_a_failure_is_told_and_not_raised(server, script, message):
    assert message in complete(server, *script).error


def test_a_server_that_is_silent_too_long_is_a_failure(server):
    server.hold.clear()
    assert complete(server, *chunked(GOOD, 99), timeout_s=0.05).error == "no end after 0.05 s"


def test_a_server_that_is_not_there_is_a_failure():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{held.getsockname()[1]}/v1", "fake")
        assert asyncio.run(client.complete(JOB)).error.startswith("connection: ")
        with pytest.raises(EnvironmentProblem, match="inferd serve MODEL"):
            asyncio.run(client.models())


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://"])
def test_a_bad_url_is_named(url):
    with pytest.raises(UsageError, match="give http://HOST:PORT"):
        Client(url, "fake")


def test_times_are_differences_and_one_token_has_no_tpot():
    outcome = Outcome(sent=1.0, num_prompt=1, pieces=[1.5, 1.6, 1.9], num_output=5, ended=2.5)
    assert outcome.times_ms == pytest.approx({"ttft": 500.0, "tpot": 250.0, "e2el": 1500.0})
    assert outcome.gaps_ms == pytest.approx([100.0, 300.0])
    assert Outcome(1.0, 1, [2.0], 1, 2.0).times_ms["tpot"] is None


def test_concurrency_is_bounded_and_used(server):
    server.scripts = [chunked(GOOD, 999)]
    server.hold.clear()

    async def run():
        client = Client(server.url, "fake")
        driving = asyncio.create_task(drive(client, Load([JOB] * 9, [0.0] * 9, 3)))
        while server.running < 3:
            await asyncio.sleep(0.005)
        server.hold.set()
        return await driving

    outcomes, _ = asyncio.run(run())
    assert [outcome.error for outcome in outcomes] == [None] * 9
    assert server.most_running == 3


def test_requests_are_not_sent_before_their_times(server):
    server.scripts = [chunked(GOOD, 999)]
    client, times = Client(server.url, "fake"), [0.0, 0.04, 0.08]
    outcomes, seconds = asyncio.run(drive(client, Load([JOB] * 9, times)))
    assert len(outcomes) == 3  # jobs without a time are not sent
    assert outcomes[1].sent - outcomes[0].sent >= 0.03
    assert seconds >= 0.08


ARGS = ["bench", "serve", "--model", "fake", "--num-warmup", "0", "--num-prompts", "4", "--json"]


def test_the_command_counts_failures_and_exits_with_3(server, capsys):
    bad = plain(400, b'{"error": {"message": "too long"}}')
    server.scripts = [chunked(GOOD, 999), bad, bad, chunked(GOOD, 999)]
    words = [*ARGS, "--url", server.url, "--max-concurrency", "1", "--goodput", "e2el:60000"]
    assert main(words) == 3
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert (values["completed"], values["failed"]) == (2, 2)
    assert values["failures"] == {"HTTP 400: too long": 2}
    assert (values["output_tokens"], values["prompt_tokens"]) == (6, 512)
    assert (values["goodput"]["requests"], values["goodput"]["share"]) == (2, 0.5)
    assert set(values["ttft_ms"]) == {"mean", "p50", "p90", "p99"}
    assert "2 requests failed: HTTP 400: too long" in err


def test_the_report_for_people_shows_the_same(server, capsys):
    server.models, server.scripts = ["other"], [chunked(GOOD, 999)]
    words = [word for word in ARGS if word != "--json"]
    assert main([*words, "--url", server.url, "--request-rate", "1000"]) == 0
    out, err = capsys.readouterr()
    assert "serves 'other'; using it" in err
    for text in ("4 completed, 0 failed", "1000 requests/s (poisson)", "first token (TTFT)", "p99"):
        assert text in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--request-rate", "0"], "--request-rate 0"),
        (["--max-concurrency", "0"], "--max-concurrency must be"),
        (["--arrivals", "trace"], "needs --dataset-path"),
        (["--url", "http://x", "--", "--block-size", "32"], "without --url"),
        (["--goodput", "speed:9"], "--goodput 'speed:9'"),
    ],
)
def test_flags_that_make_no_sense_are_refused(words, message, capsys):
    assert main([*ARGS, *words]) == 2
    assert message in capsys.readouterr().err
