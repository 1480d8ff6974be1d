// A server that says what a test tells it to, one reply per request, and keeps what it was asked.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How one request is answered. */
export type Reply = (response: ServerResponse, request: IncomingMessage) => void;

export interface Asked {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}

export class ScriptedServer {
  readonly asked: Asked[] = [];
  url = "";
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #replies: Reply[];

  /** The last reply is given to all further requests. */
  constructor(...replies: Reply[]) {
    this.#replies = replies;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async open(): Promise<this> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const piece of request) body += piece;
    this.asked.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
    const reply = this.#replies.length > 1 ? this.#replies.shift() : this.#replies[0];
    reply?.(response, request);
  }
}

/** Events, and a clean end. */
export const whole = (text: string): Reply => (response) => {
  response.writeHead(200, { "content-type": "text/event-stream" }).end(text);
};

/** Events, and a connection that breaks once they have left. */
export const cut = (text: string): Reply => (response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(text || ": nothing\n\n", () => setTimeout(() => response.destroy(), 2));
};

/** Events, then silence. */
export const silent = (text: string): Reply => (response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(text);
};

/** Nothing but a status. */
export const status = (number: number, headers: Record<string, string> = {}, body = ""): Reply => (response) => {
  response.writeHead(number, headers).end(body);
};
