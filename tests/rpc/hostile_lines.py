"""Lines that no well-meaning client sends, each with the error code it must get.

None: the line gets no answer at all (it is blank, or a notification that failed).
"""

from __future__ import annotations

import json
from typing import Any

PARSE, REQUEST, METHOD, PARAMS = -32700, -32600, -32601, -32602
DURATION, PROMPT, BACKEND, STEPS, GUIDANCE, SCHEDULER, NOT_FOUND = (
    -32005, -32006, -32007, -32009, -32010, -32011, -32012,
)  # fmt: skip

MIB = 1 << 20
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'

Case = tuple[bytes, int | None]


def all_cases() -> list[Case]:
    return [
        *not_json(),
        *not_utf8(),
        *too_long_or_deep(),
        *no_requests(),
        *no_methods(),
        *wrong_parameters(),
        *unanswered(),
    ]


def not_json() -> list[Case]:
    cut = [PING[:length] for length in range(1, len(PING), 3)]
    broken = [
        b"}", b"]", b"{]", b"[}", b"{,}", b'{"a"}', b'{"a":}', b"{'a':1}", b'{"a":1,}', b"[1,]",
        b"nul", b"True", b"undefined", b"\\", b'"', b'"\\x41"', b'"\\u12"', b"01", b"+1", b"1.",
        b".5", b"1e", b"--1", b"0x10", b"1_000", b"ping", b"GET / HTTP/1.1",
        b"Content-Length: 40", b"\x00", b"\x1b[2J", PING + PING, PING + b",", b"// comment",
        b"/* */ {}", b'{"jsonrpc":"2.0"\x00}', b'{"a":"\x01"}', b'{"a":"\ttab"}', b"NaN",
        b"Infinity", b"-Infinity", b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":Infinity}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[-Infinity]}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":nan}}',
        b"1" * 5000, b"-" + b"9" * 100_000,
        b'{"jsonrpc":"2.0","id":' + b"7" * 5000 + b',"method":"ping"}',
    ]  # fmt: skip
    return [(line, PARSE) for line in cut + broken]


def not_utf8() -> list[Case]:
    tails = [
        b"\xff", b"\xfe\xff", b"\x80", b"\xc3", b"\xc3(", b"\xe2\x98", b"\xe2(\xa1",
        b"\xf0\x9f\x8e", b"\xf0\x28\x8c\xbc", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf",
        b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    ]  # fmt: skip
    inside = [b'{"jsonrpc":"2.0","id":1,"method":"p' + tail + b'ing"}' for tail in tails]
    return [(line, PARSE) for line in [*tails, *inside, PING.decode().encode("utf-16-le")]]


def too_long_or_deep() -> list[Case]:
    prompt = b'{"jsonrpc":"2.0","id":1,"method":"generate","params":{"prompt":"%s"}}'
    return [
        (b"x" * (MIB + 1), PARSE),
        (b" " * (2 * MIB), PARSE),
        (b"\xff" * (2 * MIB), PARSE),
        (b"[" * (2 * MIB), PARSE),
        (prompt % (b"a" * 2 * MIB), PARSE),
        (PING + b" " * MIB, PARSE),
        (prompt % (b"a" * (MIB - 200)), PROMPT),
        (b"[" * 10_000, PARSE),
        (b"[" * 10_000 + b"]" * 10_000, PARSE),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, PARSE),
        (b"[" * (MIB - 10), PARSE),
        (b'{"a":[' * 100_000, PARSE),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 10_000, PARSE),
        (b"[" * 200 + b"]" * 200, REQUEST),
        (b"[" + b"1," * 200_000 + b"1]", REQUEST),
        (b"[" + PING + (b"," + PING) * 1000 + b"]", REQUEST),
        (b"0." + b"1" * 500_000, REQUEST),
        (b'"' + b"a" * (MIB - 2) + b'"', REQUEST),
    ]


def envelope(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping", **members}).encode()


def no_requests() -> list[Case]:
    values: list[bytes] = [
        b"1", b"-0", b"1e999", b"true", b"false", b"null", b'"ping"', b"{}", b"[]", b"[[]]",
        b'{"id":1,"method":"ping"}', b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0","method":1}',
        b'{"jsonrpc":"2.0","id":1e999,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":-1e999,"method":"ping"}',
        b'{"JSONRPC":"2.0","id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"id":{},"method":"ping"}',
        b'{"__proto__":1}',
        *(envelope(jsonrpc=version) for version in (2, 2.0, "1.0", "2", "", None, [], True)),
        *(envelope(method=method) for method in (1, None, True, [], {}, ["ping"], 1.5)),
        *(envelope(id=identity) for identity in (True, False, [], {}, [1], {"a": 1})),
        *(envelope(params=params) for params in (1, "a", None, True, [1], ["a"], [{}], 0.5)),
    ]  # fmt: skip
    return [(value, REQUEST) for value in values]


def no_methods() -> list[Case]:
    names = [
        "", " ", "Ping", "PING", "ping ", "pings", "rpc.discover", "__init__", "generate\x00",
        "../ping", "пинг", "\ud800", "generate;shutdown", "exit", "eval", "a" * 100_000,
    ]  # fmt: skip
    return [(envelope(method=name), METHOD) for name in names]


def call(method: str, **params: Any) -> bytes:
    return envelope(method=method, params=params)


def generate(**params: Any) -> bytes:
    return call("generate", **{"prompt": "rain", **params})


def wrong_parameters() -> list[Case]:
    big = 10**400
    by_code: dict[int, list[bytes]] = {
        PARAMS: [
            envelope(method="generate"),
            call("generate", prompt=None), call("generate", prompt=1), call("generate", prompt=[]),
            call("generate", prompt={"a": 1}), call("generate", prompt=True),
            call("generate", Prompt="rain"), generate(prompts=["a"]), generate(steps=1),
            generate(**{"": 1}), generate(**{"\x00": 1}), generate(**{"a" * 10_000: 1}),
            generate(**{f"x{n}": n for n in range(5000)}), generate(**{"__class__": 1}),
            generate(self=1), generate(duration_sec="30"), generate(duration_sec=None),
            generate(duration_sec=True), generate(duration_sec=[30]), generate(duration_sec={}),
            generate(seed=-1), generate(seed=2**64), generate(seed=big), generate(seed=1.5),
            generate(seed="1"), generate(seed=True), generate(seed=[]), generate(seed=1e300),
            generate(backend=1), generate(backend=[]), generate(backend=True),
            generate(priority="low"), generate(priority=1), generate(priority=None),
            generate(inference_steps="60"), generate(inference_steps=60.5),
            generate(inference_steps=True), generate(inference_steps=[]),
            generate(scheduler=1), generate(scheduler=["euler"]), generate(scheduler={}),
            generate(guidance_scale="15"), generate(guidance_scale=True),
            generate(cfg_type="none"), generate(cfg_type=1), generate(erg=1), generate(erg="yes"),
            call("cancel"), call("cancel", track_id=1), call("cancel", track_id=None),
            call("cancel", id="a"), call("cancel", track_id="a", backend="b"),
            call("cancel", backend="demo"), call("ping", a=1), call("shutdown", now=True),
            call("status", verbose=1), call("queue_clear", all=True), call("get_backends", x=1),
            call("download_backend"), call("download_backend", backend=1),
            call("tracks_list", query=1), call("tracks_list", limit=-1),
            call("tracks_list", limit="1"), call("tracks_list", offset=-1),
            call("tracks_list", offset=1.5), call("tracks_keep"),
            call("tracks_keep", track_ids=["0" * 16]), call("tracks_keep", kept=True),
            call("tracks_keep", track_ids="0" * 16, kept=True),
            call("tracks_keep", track_ids=[], kept=1), call("tracks_delete"),
            call("tracks_delete", track_ids=[1]), call("tracks_delete", track_ids=None),
            call("tracks_delete", track_ids={"a": 1}),
            call("tracks_delete", track_ids=["a"] * 10_001),
        ],
        PROMPT: [
            call("generate", prompt=""), call("generate", prompt=" "),
            call("generate", prompt="\n\t\r "), call("generate", prompt="\u2003\u3000"),
            call("generate", prompt="a" * 513), call("generate", prompt="é" * 600),
            call("generate", prompt="\ud800"), call("generate", prompt="ok \udfff"),
            call("generate", prompt="a" * 500_000),
        ],
        DURATION: [
            generate(duration_sec=0), generate(duration_sec=-30), generate(duration_sec=4.999),
            generate(duration_sec=240.001), generate(duration_sec=1e308),
            generate(duration_sec=big), generate(duration_sec=5e-324), generate(duration_sec=-0.0),
            generate(duration_sec=30).replace(b"30", b"1e999"),
            generate(duration_sec=30).replace(b"30", b"-1e999"),
        ],
        BACKEND: [
            generate(backend=""), generate(backend="DEMO"), generate(backend="../demo"),
            generate(backend="a" * 100_000), generate(backend="\x00"), generate(backend="\ud800"),
            call("download_backend", backend="muzak"), call("cancel", backend="muzak"),
        ],
        STEPS: [
            generate(inference_steps=0), generate(inference_steps=201),
            generate(inference_steps=-1), generate(inference_steps=big),
        ],
        GUIDANCE: [
            generate(guidance_scale=0), generate(guidance_scale=30.0001),
            generate(guidance_scale=-15), generate(guidance_scale=big),
            generate(guidance_scale=15).replace(b"15", b"1e999"),
        ],
        SCHEDULER: [
            generate(scheduler=""), generate(scheduler="Euler"), generate(scheduler="ddim"),
            generate(scheduler="euler\x00"),
        ],
        NOT_FOUND: [
            call("cancel", track_id=""), call("cancel", track_id="../../../etc/passwd"),
            call("cancel", track_id="0" * 16), call("cancel", track_id="a" * 500_000),
            call("cancel", track_id="\x00"), call("cancel", track_id="\ud800"),
            call("tracks_delete", track_ids=["../../x"]), call("tracks_delete", track_ids=[""]),
            call("tracks_keep", track_ids=["\x00"], kept=True),
            call("tracks_delete", track_ids=["0" * 16] * 9999),
        ],
    }  # fmt: skip
    return [(line, code) for code, lines in by_code.items() for line in lines]


def unanswered() -> list[Case]:
    lines = [
        b"", b" ", b"\t", b"\r", b" \r ", b"\xc2\xa0".replace(b"\xc2\xa0", b"  "),
        b'{"jsonrpc":"2.0","method":"ping"}', b'{"jsonrpc":"2.0","method":"nonsense"}',
        b'{"jsonrpc":"2.0","method":"generate","params":{"prompt":""}}',
        b'{"jsonrpc":"2.0","method":"cancel","params":{"track_id":"x"}}',
        b'[{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","method":"status"}]',
        b'{"jsonrpc":"2.0","method":"tracks_delete","params":{"track_ids":["x"]}}',
    ]  # fmt: skip
    return [(line, None) for line in lines]
