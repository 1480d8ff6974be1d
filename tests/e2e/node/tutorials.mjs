// The clients that tutorials show, each as it stands there; a case names one.
import { EventSource } from "eventsource";
import { run } from "./plan.mjs";

const json = { "Content-Type": "application/json" };

const clients = {
  // Splits on blank lines and looks at the first letters of each block.
  async splitter({ url, body, release }) {
    const response = await fetch(`${url}/v1/chat/stream`, { method: "POST", headers: json, body: JSON.stringify(body) });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const tokens = [], events = [];
    let buffer = "", end = null;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      buffer += decoder.decode(value, { stream: true });
      const blocks = buffer.split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) {
        events.push(block.split("\n")[0]);
        const data = JSON.parse(block.split("\n").find((line) => line.startsWith("data: "))?.slice(6) ?? "null");
        if (block.startsWith("event: token")) {
          tokens.push(data.token);
          await release?.();
        } else if (block.startsWith("event: done")) end = data;
      }
    }
    return { tokens, events, end, rest: buffer };
  },

  // A page: closes on done, so that the browser does not come back. The proxy may cut it in between.
  eventSource({ url, query, stay, release }) {
    return new Promise((resolve) => {
      const requests = [];
      const fetched = async (input, init) => {
        const response = await fetch(input, init);
        requests.push({ status: response.status, id: new Headers(init.headers).get("last-event-id") });
        return response;
      };
      const source = new EventSource(`${url}/chat/stream?${query}`, { fetch: fetched });
      const tokens = [], errors = [];
      let dones = 0;
      const finish = (how) => {
        source.close();
        resolve({ tokens, errors, dones, how, requests });
      };
      source.onmessage = async (event) => {
        const data = JSON.parse(event.data);
        if (data.content) {
          tokens.push(data.content);
          await release?.();
        }
        if (data.done) {
          dones += 1;
          if (!stay) finish("done");
        }
      };
      source.addEventListener("error", (event) => {
        if (event.data) {
          errors.push(JSON.parse(event.data));
          return finish("event");
        }
        if (source.readyState === EventSource.CLOSED) finish(`closed ${event.code ?? ""}`.trim());
      });
    });
  },

  // fetch with nothing but a body: the browser calls it text/plain.
  async bare({ url, body }) {
    const response = await fetch(`${url}/chat`, { method: "POST", body: JSON.stringify(body) });
    return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
  },

  // The bare text, appended to the page as it comes.
  async text({ url, body, release }) {
    const headers = { ...json, Accept: "text/plain" };
    const response = await fetch(`${url}/chat`, { method: "POST", headers, body: JSON.stringify(body) });
    let text = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      await release?.();
    }
    return { type: response.headers.get("content-type"), text };
  },

  // NDJSON, a line at a time.
  async lines({ url, body, release }) {
    const response = await fetch(`${url}/infer`, { method: "POST", headers: json, body: JSON.stringify(body) });
    const told = [];
    let buffer = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      buffer += piece;
      const parts = buffer.split("\n");
      buffer = parts.pop();
      told.push(...parts.filter(Boolean).map((line) => JSON.parse(line)));
      await release?.();
    }
    return { text: told.map((line) => line.choices[0].message.content).join(""), lines: told.length };
  },
};

async function play({ client, token, at, ...asked }, { url, upstream }) {
  // The upstream waits with its second chunk until it is told that the first has been read.
  const release = token ? () => fetch(`${upstream}/release/${token}`) : undefined;
  return clients[client]({ url: at ?? url, ...asked, release });
}

await run(play, 12);
