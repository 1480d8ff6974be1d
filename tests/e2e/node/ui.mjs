// What pages do with useChat, without React: its chat and its transport, one function for each use.
import { AbstractChat, DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls, uiMessageChunkSchema } from "ai";
import { run } from "./plan.mjs";

// The state that useChat keeps in React; whoever waits for a change is told.
class State {
  messages = [];
  error = undefined;
  #status = "ready";
  #waiting = [];
  get status() {
    return this.#status;
  }
  set status(status) {
    this.#status = status;
    this.#changed();
  }
  pushMessage = (message) => {
    this.messages = [...this.messages, this.snapshot(message)];
    this.#changed();
  };
  popMessage = () => (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index, message) => {
    this.messages = this.messages.map((old, number) => (number === index ? this.snapshot(message) : old));
    this.#changed();
  };
  snapshot = (value) => structuredClone(value);
  until = (condition) =>
    new Promise((resolve) => {
      this.#waiting.push({ condition, resolve });
      this.#changed();
    });
  #changed() {
    this.#waiting = this.#waiting.filter(({ condition, resolve }) => !condition(this) || resolve());
  }
}

// A chat of a page; it notes the frames that its transport lets through.
class Page extends AbstractChat {
  constructor(url, id, { model, messages = [], body, fetch, ...options } = {}) {
    const state = new State();
    const frames = [];
    const transport = new DefaultChatTransport({ api: `${url}/api/chat`, body: { model, ...body }, fetch });
    const parsed = transport.processResponseStream.bind(transport);
    transport.processResponseStream = (stream) =>
      parsed(stream).pipeThrough(
        new TransformStream({
          transform(frame, controller) {
            frames.push(frame);
            controller.enqueue(frame);
          },
        }),
      );
    super({ id, state, transport, ...options });
    state.messages = messages;
    Object.assign(this, { frames, url, until: state.until });
  }
  get text() {
    return textOf(this.lastMessage);
  }
  get seen() {
    const { status, messages, frames, text } = this;
    return { status, text, messages: messages.length, error: this.error?.message ?? null, last: frames.at(-1) ?? null };
  }
  send = () => this.sendMessage({ text: "hi" });
  says = (text) => this.until(() => this.text === text);
  // As a page does that is opened again: it has what it has stored, which is the user's message.
  again = (options) => new Page(this.url, this.id, { messages: this.messages.slice(0, 1), ...options });
  post = async (what, body) => {
    const path = `${this.url}/api/chat/${encodeURIComponent(this.id)}/${what}`;
    const reply = await fetch(path, { method: "POST", body: body && JSON.stringify(body) });
    return [reply.status, reply.headers.get("content-type").includes("json") ? await reply.json() : await reply.text()];
  };
}

const textOf = (message) => (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");
const release = (upstream, token) => fetch(`${upstream}/release/${token}`);

const uses = {
  async send(url, { model, chat }) {
    const page = new Page(url, chat, { model });
    await page.send();
    const { id, metadata, parts } = page.lastMessage;
    return { ...page.seen, own: id === metadata.stream, metadata, parts, whole: page.text };
  },
  // Left in the middle and opened again, twice; and once more when it has ended.
  async reload(url, { model, chat }, { upstream }) {
    const first = new Page(url, chat, { model });
    const sending = first.send();
    await first.says("One ");
    await first.stop();
    await sending;
    const pages = [first.again(), first.again()];
    const resuming = [];
    for (const page of pages) {
      resuming.push(page.resumeStream());
      await page.says("One ");
    }
    await pages[0].stop();
    await release(upstream, model.slice(3));
    await Promise.all(resuming);
    const late = first.again();
    await late.resumeStream();
    const ids = [first, ...pages, late].map((page) => page.lastMessage.id);
    return { left: first.seen, second: pages[0].seen, third: pages[1].seen, late: late.seen, same: new Set(ids).size === 1 };
  },
  // The network goes away in the middle; the same chat resumes what it has begun.
  async lost(url, { model, chat }, { upstream }) {
    const broken = {};
    const failing = async (...asked) => {
      const reply = await fetch(...asked);
      if (broken.done) return reply;
      const body = new ReadableStream({
        async start(controller) {
          broken.off = () => controller.error(new TypeError("network error"));
          for await (const piece of reply.body) if (!broken.done) controller.enqueue(piece);
        },
      });
      return new Response(body, { headers: reply.headers });
    };
    const page = new Page(url, chat, { model, fetch: failing });
    const sending = page.send();
    await page.says("One ");
    broken.done = true;
    broken.off();
    await sending;
    const lost = page.seen;
    const resuming = page["~resumeStreamIfDisconnected"]();
    await page.until(() => page.status === "streaming");
    await release(upstream, model.slice(3));
    await resuming;
    return { lost, found: page.seen };
  },
  async stop(url, { model, chat }) {
    const page = new Page(url, chat, { model });
    const sending = page.send();
    await page.says("One ");
    const watcher = page.again();
    const watching = watcher.resumeStream();
    await watcher.says("One ");
    const other = await page.post("stop", { messageId: "another" });
    const replies = [await page.post("stop", { messageId: page.lastMessage.id }), await page.post("stop")];
    await Promise.all([sending, watching]);
    return { other, replies, page: page.seen, watcher: watcher.seen };
  },
  async cut(url, { model, chat }) {
    const page = new Page(url, chat, { model });
    await page.send();
    const again = page.again();
    await again.resumeStream();
    return { page: page.seen, again: again.seen };
  },
  async busy(url, { model, chat }, { upstream }) {
    const page = new Page(url, chat, { model });
    const sending = page.send();
    await page.says("One ");
    const other = page.again({ model });
    await other.send();
    await release(upstream, model.slice(3));
    await sending;
    const next = page.again({ model });
    await next.send();
    return { page: page.seen, other: other.seen, next: next.seen };
  },
  async unknown(url, { chat }) {
    const page = new Page(url, chat);
    await page.resumeStream();
    return { ...page.seen, stop: await page.post("stop") };
  },
  // The page runs the tools, and the chat goes on by itself.
  async tools(url, { model, chat }) {
    const called = [];
    const page = new Page(url, chat, {
      model,
      body: { tools: { f: { inputSchema: { type: "object" } }, g: { inputSchema: { type: "object" } } } },
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
      onToolCall({ toolCall: { toolCallId, toolName, input } }) {
        called.push([toolCallId, toolName, input]);
        page.addToolOutput({ tool: toolName, toolCallId, output: { of: toolName } });
      },
    });
    await page.send();
    await page.until(() => page.text === "Done." && page.status === "ready");
    const parts = page.lastMessage.parts.map(({ type, state, input, output }) => ({ type, state, input, output }));
    return { ...page.seen, called, parts };
  },
  async refused(url, { chat, body }) {
    const page = new Page(url, chat, { body });
    await page.send();
    return page.seen;
  },
  // Which of the frames the SDK's own schema does not know.
  async schema(_, { frames }) {
    const { validate } = uiMessageChunkSchema();
    const results = await Promise.all(frames.map((frame) => validate(frame)));
    return frames.filter((_, number) => !results[number].success);
  },
};

await run((one, plan) => uses[one.use](plan.url, one, plan), 4);
