// What a page with `useChat` does when it is reloaded, and when its user presses Stop: with the AI SDK's own transport,
// and without React around it.
//
//     npm install ai
//     node examples/usechat.mjs          HEADRACE_URL says where the server is, if not on this machine
//
// In a page it is: useChat({ id, resume: true, transport: new DefaultChatTransport({ api }) }).
import { DefaultChatTransport, readUIMessageStream } from "ai";

const url = process.env.HEADRACE_URL ?? "http://127.0.0.1:8003";
const key = process.env.HEADRACE_KEY;
const headers = key ? { Authorization: `Bearer ${key}` } : {};

const chatId = `chat-${crypto.randomUUID()}`;
const api = `${url}/api/chat`;
const transport = new DefaultChatTransport({ api, headers, body: { model: "demo/counter" } });
const textOf = (message) => message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");

/** Read an answer until its text has so many numbers, or to its end; how it ended is the last piece of all. */
async function read(stream, count = Infinity) {
  let message;
  let last;
  const noted = stream.pipeThrough(
    new TransformStream({
      transform(piece, controller) {
        last = piece;
        controller.enqueue(piece);
      },
    }),
  );
  for await (message of readUIMessageStream({ stream: noted })) if (textOf(message).split(" ").length >= count) break;
  return { message, last };
}

// A page asks, and is closed in the middle.
const page = new AbortController();
const question = { id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text: "Count, please." }] };
const asked = await transport.sendMessages({
  trigger: "submit-message",
  chatId,
  messages: [question],
  abortSignal: page.signal,
});
const first = await read(asked, 20);
page.abort();
console.log("left after:", textOf(first.message));

// The same page, opened again: the answer from its start, and then as it goes on. It is the same message.
const resumed = await transport.reconnectToStream({ chatId });
const second = await read(resumed, 40);
console.log("resumed to:", textOf(second.message));
console.log("the same message:", second.message.id === first.message.id);

// Stop. Closing the connection would not do it: that is what a reload does, too.
const stopped = await fetch(`${api}/${chatId}/stop`, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ messageId: second.message.id }),
});
console.log("stopping:", await stopped.text());

// Whoever watches is told; for a minute the answer can be read again, as far as it came.
const { last } = await read(await transport.reconnectToStream({ chatId }));
console.log("the end:", last.type);
