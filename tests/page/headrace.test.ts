// headrace.js: what its parser makes of bytes, and how a stream is followed over connections that break.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cancel, follow, Parser, Refused, start, Unreachable, type Options, type StreamEvent } from "../../page/src/headrace.ts";
import { cut, ScriptedServer, silent, status, whole, type Reply } from "./server.ts";

const encoder = new TextEncoder();

/** Pauses of next to nothing: the server says so, as it does of others. */
const QUICK = "retry: 1\n\n";
const record = (number: number): string => `id: ${number}\ndata: {"n":${number}}\n\n`;
const END = "id: 6\nevent: close\ndata:\n\n";
const EVENTS: StreamEvent[] = [1, 2, 3, 4, 5]
  .map((n) => ({ id: String(n), event: "message", data: `{"n":${n}}` }))
  .concat({ id: "6", event: "close", data: "" });

async function all(events: AsyncIterable<StreamEvent>): Promise<StreamEvent[]> {
  const found: StreamEvent[] = [];
  for await (const event of events) found.push(event);
  return found;
}

async function followed(replies: Reply[], options: Options = {}): Promise<[StreamEvent[], ScriptedServer]> {
  await using server = await new ScriptedServer(...replies).open();
  return [await all(follow(server.url, { patience: 2000, ...options })), server];
}

const cursors = (server: ScriptedServer): unknown[] => server.asked.map(({ headers }) => headers["last-event-id"]);

// -- the parser ------------------------------------------------------------------------------------------------------

const BODIES: Record<string, [string, StreamEvent[]]> = {
  "a byte order mark is not part of the first field": ["\uFEFFdata: a\n\n", [{ id: "", event: "message", data: "a" }]],
  "LF, CR and CRLF end lines, mixed too": [
    "id: 1\r\ndata: a\r\n\r\nid: 2\rdata: b\r\rid: 3\ndata: c\n\r\nid:4\r\n\rdata\n\n",
    [
      { id: "1", event: "message", data: "a" },
      { id: "2", event: "message", data: "b" },
      { id: "3", event: "message", data: "c" },
      { id: "4", event: "message", data: "" },
    ],
  ],
  "lines of data are joined, one space after the colon is dropped": [
    "data:a\ndata:  b\ndata\ndata: c:d\n\n",
    [{ id: "", event: "message", data: "a\n b\n\nc:d" }],
  ],
  "comments, unknown fields and blocks without data are no events": [
    ": ping\n\nfoo: bar\n\nevent: lost\n\nevent: kept\ndata: x\n\n",
    [{ id: "", event: "kept", data: "x" }],
  ],
  "an id lasts, may be emptied, and is ignored with a NUL in it": [
    "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid\ndata: c\n\n",
    [
      { id: "1", event: "message", data: "a" },
      { id: "1", event: "message", data: "b" },
      { id: "", event: "message", data: "c" },
    ],
  ],
  "other line ends of Unicode are data, characters of four bytes survive": [
    "data: \u2028\u0085 重要 😀\u{10ffff}\n\n",
    [{ id: "", event: "message", data: "\u2028\u0085 重要 😀\u{10ffff}" }],
  ],
  "what is unfinished at the end is no event": ["data: a\n\nid: 9\ndata: b\n", [{ id: "", event: "message", data: "a" }]],
};

for (const [name, [text, expected]] of Object.entries(BODIES))
  test(`${name}, at whatever bytes it is split`, () => {
    const bytes = encoder.encode(text);
    assert.deepEqual(new Parser().feed(bytes), expected);
    const single = new Parser();
    assert.deepEqual([...bytes].flatMap((byte) => single.feed(Uint8Array.of(byte))), expected);
    for (let first = 0; first <= bytes.length; first++)
      for (let second = first; second <= bytes.length; second++) {
        const parser = new Parser();
        const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
        assert.deepEqual(pieces.flatMap((piece) => parser.feed(piece)), expected, `${first}, ${second}`);
      }
  });

test("the cursor moves with whole blocks only, and retry is a number or nothing", () => {
  const parser = new Parser("7");
  assert.deepEqual([parser.feed(encoder.encode("id: 8\nretry: 5x\ndata: a\n")), parser.id, parser.retry], [[], "7", undefined]);
  assert.equal(parser.feed(encoder.encode("\n"))[0]?.id, "8");
  parser.feed(encoder.encode("id: 9\nretry: 25\n\n"));
  assert.deepEqual([parser.id, parser.retry], ["9", 25]);
});

test("a long line that comes in small pieces takes no more than its length", { timeout: 5000 }, () => {
  const parser = new Parser();
  const piece = encoder.encode("x".repeat(16));
  parser.feed(encoder.encode("data: "));
  for (let count = 0; count < 65536; count++) parser.feed(piece);
  assert.equal(parser.feed(encoder.encode("\n\n"))[0]?.data.length, 1 << 20);
});

// -- following -------------------------------------------------------------------------------------------------------

test("a stream that is cut at every record yields each event once", async () => {
  const cuts = [0, 1, 2, 3, 4, 5].map((n) => cut(QUICK + (n ? record(n) : "") + `id: ${n + 1}\ndata: half`));
  const [events, server] = await followed([...cuts, cut(QUICK + END), status(204)]);
  assert.deepEqual(events, EVENTS);
  assert.deepEqual(cursors(server), [undefined, undefined, "1", "2", "3", "4", "5", "6"]);
});

test("a stream that is cut at every byte yields each event once", async () => {
  const body = QUICK + EVENTS.map(({ id }) => (id === "6" ? END : record(+id))).join("");
  for (let at = 0; at <= body.length; at++) {
    const rest: Reply = (response, request) => {
      const seen = Number(request.headers["last-event-id"] ?? 0);
      whole(QUICK + EVENTS.slice(seen).map(({ id }) => (id === "6" ? END : record(+id))).join(""))(response, request);
    };
    const [events] = await followed([cut(QUICK + body.slice(0, at)), rest, status(204)]);
    assert.deepEqual(events, EVENTS, `cut at ${at}`);
  }
});

test("a body that ends is not the end: only 204 is, and it is asked for at once", async () => {
  const [events, server] = await followed([whole(record(1) + record(2)), whole(record(3)), status(204)]);
  assert.deepEqual(events, EVENTS.slice(0, 3));
  assert.deepEqual(cursors(server), [undefined, "2", "3"]);
});

test("a stream is joined after a cursor", async () => {
  const [events, server] = await followed([whole(record(5)), status(204)], { after: "4", headers: { "x-a": "b" } });
  assert.deepEqual(events, EVENTS.slice(4, 5));
  assert.deepEqual(cursors(server), ["4", "5"]);
  assert.deepEqual(server.asked.map(({ headers }) => headers["x-a"]), ["b", "b"]);
});

for (const [number, name] of [[401, "Unauthorized"], [403, "Forbidden"], [404, "NotFound"], [410, "Gone"], [422, "Refused"]] as const)
  test(`${number} is final and is called ${name}`, async () => {
    const said = JSON.stringify({ error: { message: "No.", code: "offset_ahead" } });
    await assert.rejects(followed([status(number, {}, said)]), (error: Refused) => {
      assert.deepEqual([error.name, error.status, error.code, error.message], [name, number, "offset_ahead", "No."]);
      return error instanceof Refused;
    });
  });

test("a server that is away is waited for, and a proxy's page is no stream", async () => {
  const page = status(200, { "content-type": "text/html" }, "<h1>Sign in to this network</h1>");
  const [events] = await followed([cut(QUICK), status(502), status(503), page, whole(record(1)), status(204)], { patience: 10_000 });
  assert.deepEqual(events, EVENTS.slice(0, 1));
});

test("the server says whether to try again, and when", async () => {
  const since = Date.now();
  const busy = status(429, { "retry-after": "1" });
  await followed([busy, status(409, { "x-should-retry": "true", "retry-after": "0" }), whole(record(1)), status(204)]);
  assert.ok(Date.now() - since >= 1000);
  await assert.rejects(followed([status(503, { "x-should-retry": "false" })]), { name: "Refused", status: 503 });
});

test("nobody comes back sooner than the server has asked", async () => {
  const pauses: unknown[] = [];
  const onstate = (state: string, detail?: unknown): unknown => state === "waiting" && pauses.push(detail);
  await followed([cut("retry: 40\n\n"), cut("retry: 40\n\n"), whole(record(1)), status(204)], { onstate });
  assert.equal(pauses.length, 2);
  for (const pause of pauses) assert.ok(Number(pause) >= 40 && Number(pause) <= 120, String(pause));
});

test("a server that asks for no pause at all, and goes away, is asked less and less often", async () => {
  const pauses: number[] = [];
  const enough = new AbortController();
  const onstate = (state: string, detail?: unknown): void => {
    if (state === "waiting" && pauses.push(Number(detail)) === 8) enough.abort();
  };
  const replies = [Promise.resolve(new Response("retry: 0\n\n", { headers: { "content-type": "text/event-stream" } }))];
  const away = (): Promise<Response> => replies.shift() ?? Promise.reject(new TypeError("away"));
  await assert.rejects(all(follow("http://server/", { fetch: away, patience: Infinity, signal: enough.signal, onstate })), { name: "AbortError" });
  assert.ok(pauses.at(-1)! >= 64, String(pauses));
});

test("patience ends, and tells what went wrong", async () => {
  const since = Date.now();
  await assert.rejects(followed([status(503)], { patience: 300 }), (error: Unreachable) => {
    assert.match(String((error.cause as Error).message), /503/);
    return error instanceof Unreachable;
  });
  assert.ok(Date.now() - since < 3000);
});

test("silence is a lost connection; comments are life", async () => {
  const lively: Reply = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    let count = 0;
    const timer = setInterval(() => {
      if (++count < 8) return response.write(": ping\n\n");
      clearInterval(timer);
      return response.end(record(1));
    }, 60);
  };
  const states: string[] = [];
  const onstate = (state: string): unknown => states.push(state);
  const [events] = await followed([lively, silent(QUICK), whole(record(2)), status(204)], { timeout: 240, onstate });
  assert.deepEqual(events, EVENTS.slice(0, 2));
  assert.deepEqual(states.filter((state) => state === "waiting").length, 1);
});

test("an abort ends it while it reads and while it waits, with the signal's reason", async () => {
  const enough = new Error("enough");
  for (const reply of [silent(record(1)), status(503)]) {
    const caller = new AbortController();
    setTimeout(() => caller.abort(enough), 50);
    await assert.rejects(followed([reply], { signal: caller.signal, patience: 60_000 }), enough);
  }
  await assert.rejects(followed([whole("")], { signal: AbortSignal.abort(enough) }), enough);
});

test("leaving the loop hangs up", async () => {
  let left = false;
  const watched: Reply = (response, request) => {
    response.on("close", () => (left = true));
    silent(record(1))(response, request);
  };
  await using server = await new ScriptedServer(watched).open();
  for await (const event of follow(server.url)) {
    assert.equal(event.id, "1");
    break;
  }
  for (const since = Date.now(); !left && Date.now() - since < 1000; ) await new Promise(setImmediate);
  assert.ok(left);
});

// -- starting and stopping -------------------------------------------------------------------------------------------

test("an answer that has to be asked for again is the same answer", async () => {
  const first = "retry: 1\nid: st_a:1\ndata: a\n\n";
  await using server = await new ScriptedServer(status(502), cut(first), whole("id: st_a:2\ndata: b\n\n"), status(204)).open();
  const events = await all(start({ message: "hi" }, { url: `${server.url}/v1/chat/stream`, headers: { authorization: "Bearer k" } }));
  assert.deepEqual(events.map(({ id, data }) => [id, data]), [["st_a:1", "a"], ["st_a:2", "b"]]);
  assert.deepEqual(cursors(server), [undefined, undefined, "st_a:1", "st_a:2"]);
  const [one, ...others] = server.asked.map(({ method, url, body, headers }) => [method, url, body, headers["idempotency-key"]]);
  assert.deepEqual(one?.slice(0, 3), ["POST", "/v1/chat/stream", '{"message":"hi"}']);
  assert.match(String(one?.[3]), /^[0-9a-f]{32}$/);
  for (const other of others) assert.deepEqual(other, one);
});

test("a stream is cancelled by any of its names, once the server can be reached", async () => {
  const json = { "content-type": "application/json" };
  await using server = await new ScriptedServer(status(502), status(200, json, '{"cancelled":true,"state":"cancelled"}')).open();
  assert.deepEqual(await cancel("a key/1", { base: server.url }), { cancelled: true, state: "cancelled" });
  assert.deepEqual(server.asked.map(({ method, url }) => `${method} ${url}`), Array(2).fill("POST /v1/streams/a%20key%2F1/cancel"));
  await using other = await new ScriptedServer(status(404, json, "{}")).open();
  await assert.rejects(cancel("x", { base: other.url }), { name: "NotFound" });
});
